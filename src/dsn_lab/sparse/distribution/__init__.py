"""Distributions of a network's active weights, one a module, by ``model.distribution=<name>``.

A distribution is a function decorated with ``@distributions.register(name)`` from the shapes of
all exploration regions of a network and its sparsity to their numbers of active weights.
"""

from collections.abc import Callable, Sequence
from math import prod

Shape = tuple[int, int, int]
"""A region's output channels, input channels and taps."""

Distribution = Callable[[Sequence[Shape], float], tuple[int, ...]]


def sizes(shapes: Sequence[Shape]) -> tuple[int, ...]:
    """Numbers of positions.

    >>> sizes([(2, 3, 5)])
    (30,)
    """
    return tuple(map(prod, shapes))
