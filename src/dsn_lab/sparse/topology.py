"""Drop and grow on one topology: pure functions from tensors to tensors.

A topology is the ``positions`` of active weights, distinct integers of shape ``(active,)`` that
index the flat kernel ``(outputs * inputs * taps,)``, beside the weights' ``values``.
"""

from math import ceil

import numpy as np
import torch
from torch import Tensor


def region(kernels: int, kernel_size: int, taps: int) -> Tensor:
    """Positions of an exploration region: the first ``taps`` taps of each of ``kernels`` kernels.

    >>> region(2, 3, 2)
    tensor([0, 1, 3, 4])
    """
    first = torch.arange(kernels).unsqueeze(1) * kernel_size
    return (first + torch.arange(taps)).flatten()


def tap_first(kernels: int, kernel_size: int, count: int) -> Tensor:
    """First topology that fills tap 0 of all kernels, then tap 1, until ``count`` are active."""
    order = torch.arange(count)
    return (order % kernels * kernel_size + order // kernels).sort().values


def uniform(region: Tensor, count: int) -> Tensor:
    """First topology drawn uniformly from a region, with torch's global generator."""
    return region[torch.randperm(len(region))[:count]].sort().values


def drop_count(n_active: int, fraction: float) -> int:
    """How many weights a drop fraction in [0, 1] moves: ``ceil(fraction * n_active)``."""
    return ceil(fraction * n_active)


def smallest(values: Tensor, count: int) -> Tensor:
    """Indices of exactly ``count`` values of smallest magnitude; of equals, the earlier ones."""
    return values.abs().argsort(stable=True)[:count]


def free(region: Tensor, survivors: Tensor) -> Tensor:
    """The region's positions that no survivor holds, ascending; those just dropped are free."""
    held = torch.zeros(int(region[-1]) + 1, dtype=torch.bool, device=region.device)
    held[survivors.long()] = True
    return region[~held[region]]


def grow_random(free: Tensor, count: int, generator: np.random.Generator) -> Tensor:
    """``count`` of the free positions, drawn uniformly without replacement (Algorithm 1)."""
    # Some times faster than the permutation of all that torch would need.
    chosen = generator.choice(len(free), count, replace=False, shuffle=False)
    return free[torch.from_numpy(chosen).to(free.device)]


def grow_by_gradient(free: Tensor, count: int, gradient: Tensor) -> Tensor:
    """The ``count`` free positions of largest ``|gradient|`` (RigL); of equals, the earlier.

    ``gradient`` is the gradient of the flat dense kernel.
    """
    order = gradient[free].abs().argsort(descending=True, stable=True)
    return free[order[:count]]
