"""Drop and grow on one topology: pure functions from tensors to tensors.

A topology is the ``positions`` of active weights, distinct integers of shape ``(active,)`` that
index the flat kernel ``(outputs * inputs * taps,)``, beside the weights' ``values``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Region:
    """A group's exploration region: the first ``taps`` taps of consecutive kernels.

    Args:
        first: position of the first tap of the first kernel.
        kernels: number of kernels.
        kernel_size: taps of each, whether in the region or not.
        taps: taps of each that are in the region.
    """

    first: int
    kernels: int
    kernel_size: int
    taps: int

    @property
    def size(self) -> int:
        """Number of positions."""
        return self.kernels * self.taps

    @property
    def span(self) -> slice:
        """Positions of all taps of its kernels, whether in the region or not."""
        return slice(self.first, self.first + self.kernels * self.kernel_size)

    def positions(self, index: Tensor) -> Tensor:
        """Positions by their rank in the region, an integer in ``[0, size)``.

        >>> Region(first=6, kernels=2, kernel_size=3, taps=2).positions(torch.arange(4))
        tensor([ 6,  7,  9, 10])
        """
        kernel = index.div(self.taps, rounding_mode="floor")
        return self.first + kernel * self.kernel_size + index % self.taps


def tap_first(region: Region, count: int) -> Tensor:
    """First topology that fills tap 0 of all kernels, then tap 1, until ``count`` are active."""
    order = torch.arange(count)
    index = order % region.kernels * region.taps + order // region.kernels
    return region.positions(index.sort().values)


def uniform(region: Region, count: int) -> Tensor:
    """First topology drawn uniformly from a region, with torch's global generator."""
    return region.positions(torch.randperm(region.size)[:count].sort().values)


def drop_count(n_active: int, fraction: float) -> int:
    """How many weights a drop fraction in [0, 1] moves: ``ceil(fraction * n_active)``."""
    return ceil(fraction * n_active)


def lowest(scores: Tensor, count: int) -> Tensor:
    """Indices of exactly ``count`` of the lowest scores ``(n,)``, however many are equal."""
    if count == 0:
        return torch.empty(0, dtype=torch.long, device=scores.device)
    order = np.argpartition(scores.cpu().numpy(), count - 1)
    return torch.from_numpy(order[:count]).to(scores.device)


def draw_free(region: Region, held: Tensor, count: int, generator: np.random.Generator) -> Tensor:
    """``count`` of a region's free positions, uniform without replacement.

    Args:
        region: where to draw.
        held: which positions of the flat kernel are taken, bool.
        count: at most as many as are free.
        generator: source of the draws.
    """
    kernels = held[region.span].view(region.kernels, region.kernel_size)
    free = np.flatnonzero(~kernels[:, : region.taps].cpu().numpy())
    index = generator.choice(free, count, replace=False, shuffle=False)
    return region.positions(torch.from_numpy(index).to(held.device))


def rank(region: Region, scores: Tensor, count: int) -> Tensor:
    """The ``count`` positions of a region of highest score, highest first.

    ``scores`` are those of the flat dense kernel.
    """
    positions = region.positions(torch.arange(region.size, device=scores.device))
    return positions[scores[positions].topk(count).indices]


def first_free(ranking: Tensor, held: Tensor, count: int) -> Tensor:
    """The first ``count`` free positions of a ranking; ``held`` as in :func:`draw_free`."""
    return ranking[~held[ranking]][:count]


def move(
    positions: Tensor, weights: Iterable[tuple[Tensor, Tensor]], moved: Tensor, grown: Tensor
) -> None:
    """Move the weights ``moved`` (indices) to the positions ``grown``, in place.

    Positions ascend before and after: that costs the native kernel less memory and time.

    Args:
        positions: of the active weights, ``(active,)``.
        weights: what belongs to the active weights, ``(active,)``, and what each of it is where
            weights have grown: a number for each of ``grown``, or one for all.
        moved: distinct indices of active weights.
        grown: as many positions, ascending.
    """
    index = moved.cpu().numpy()
    kept = np.ones(len(positions), dtype=bool)
    kept[index] = False
    runs = np.concatenate([np.flatnonzero(kept), index])
    positions.index_copy_(0, moved, grown.to(positions))
    # Two ascending runs, which a stable sort only has to merge.
    merged = np.argsort(positions.cpu().numpy()[runs], kind="stable")
    order = torch.from_numpy(runs[merged]).to(moved.device)
    positions.copy_(positions.index_select(0, order))
    for weight, start in weights:
        weight[moved] = start
        weight.copy_(weight.index_select(0, order))
