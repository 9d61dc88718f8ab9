"""Erdos-Renyi-Kernel: small regions denser than large ones."""

from collections.abc import Sequence
from fractions import Fraction

from dsn_lab.registry import distributions
from dsn_lab.sparse.distribution import Shape, sizes
from dsn_lab.sparse.distribution.uniform import uniform


@distributions.register("erk")
def erk(shapes: Sequence[Shape], sparsity: float) -> tuple[int, ...]:
    """Active weights by Erdos-Renyi-Kernel, in total as many as with ``uniform``.

    A region of ``outputs x inputs x taps`` positions has the density ``scale * (outputs + inputs +
    taps) / (outputs * inputs * taps)``, hence ``scale * (outputs + inputs + taps)`` active weights
    (Evci et al., "Rigging the Lottery", ICML 2020, Sec. 3; Erdos-Renyi: Mocanu et al., 2018). The
    scale is one for the whole network, such that the total comes out. Regions that would hold more
    than they can are full, and the others share the rest. Fractions of weights go to the regions
    with the largest remainders, the first of equal ones.

    >>> erk([(1, 2, 5), (4, 5, 5)], 0.8)
    (8, 14)
    """
    capacities, total = sizes(shapes), sum(uniform(shapes, sparsity))
    shares = _shares(shapes, capacities, total)
    counts = [int(share) for share in shares]
    by_remainder = sorted(range(len(shapes)), key=lambda i: counts[i] - shares[i])
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return tuple(counts)


def _shares(shapes: Sequence[Shape], capacities: Sequence[int], total: int) -> list[Fraction]:
    """What each region gets of ``total``, in proportion to the sums of the shapes, if it fits."""
    full: set[int] = set()
    while True:
        scale = Fraction(
            total - sum(capacities[i] for i in full),
            sum(sum(shape) for i, shape in enumerate(shapes) if i not in full),
        )
        shares = [
            Fraction(capacities[i]) if i in full else scale * sum(shape)
            for i, shape in enumerate(shapes)
        ]
        # What these cannot hold the others share, which may fill the next.
        over = {i for i, share in enumerate(shares) if share > capacities[i]}
        if not over:
            return shares
        full |= over
