"""The same density in every region, as in the paper."""

from collections.abc import Sequence

from dsn_lab.registry import distributions
from dsn_lab.sparse.distribution import Shape, sizes
from dsn_lab.sparse.regions import active_counts


@distributions.register("uniform")
def uniform(shapes: Sequence[Shape], sparsity: float) -> tuple[int, ...]:
    """Active weights: ``floor(size * (1 - sparsity))`` of each region.

    >>> uniform([(1, 2, 5), (4, 5, 5)], 0.8)
    (2, 20)
    """
    return active_counts(sizes(shapes), sparsity)
