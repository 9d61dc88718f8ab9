"""When the topology moves (Delta T), and the drop fraction over training (Eq. 4)."""

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


def update_due(epoch: int, since: int, *, every: int = 5, floor: int | None = None) -> bool:
    """Whether the topology moves at the end of an epoch.

    Updates happen at ends of epochs only, where an epoch's loss, by which the best weights are
    kept, is that of one topology.

    Args:
        epoch: epochs trained, from 1.
        since: training steps since the last update, or since the start.
        every: the update interval Delta T in epochs: after each multiple of it.
        floor: the same in steps: not before so many; None: no floor.
    """
    return epoch % every == 0 and since >= (floor or 0)
