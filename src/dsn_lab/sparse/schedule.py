"""The drop fraction over training (Eq. 4)."""

from math import cos, pi


def drop_fraction(
    step: float, total: float, *, alpha: float = 0.5, end: float = 0.001, stop: float = 0.8
) -> float:
    """Share of a group's active weights to move at ``step`` of ``total`` training steps.

    A cosine from ``alpha`` at step 0 to ``end`` at ``stop * total``, constant after that. The
    paper's Eq. 4 is ``end=0, stop=1``; its authors' code is the default.
    """
    progress = min(step / (stop * total), 1.0)
    return end + (alpha - end) * (1 + cos(pi * progress)) / 2
