"""How a network says who makes and who consumes its channels, so that filters can be removed."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from torch import nn

Widths = tuple[tuple[int, ...], ...]
"""Filters of each branch of each layer."""

Axis = tuple[tuple[int, int] | int, ...]
"""The channels along a tensor's axis: a ``(layer, branch)``'s filters, or a number that stay."""

INPUT = -1
"""The series' own channels, where a layer is named; they all stay."""


@dataclass(frozen=True)
class Channels:
    """Who makes and who consumes the filters of each branch.

    Args:
        feature_maps: for each layer, the module whose output ``(batch, channel, time)`` is the
            layer's feature map. The filters of its branches come first along the channels.
        axes: for each tensor of ``state_dict`` that knows filters, what its axes run along; None
            or nothing where an axis does not.
        sparse: for each :class:`SparseConv1d`, what its outputs and its inputs run along.
        tied: pairs of layers, of as many filters, whose feature maps are added to each other as
            they are: a filter stays in both if it stays in one. The first may be ``INPUT``.
    """

    feature_maps: tuple[str, ...]
    axes: Mapping[str, tuple[Axis | None, ...]]
    sparse: Mapping[str, tuple[Axis | None, Axis | None]] = field(default_factory=dict)
    tied: tuple[tuple[int, int], ...] = ()

    @property
    def has_frozen(self) -> bool:
        """Whether filters that cannot go stand beside those that can."""
        axes = [axis for each in self.axes.values() for axis in each if axis]
        return any(isinstance(part, int) for axis in axes for part in axis)


class Prunable(nn.Module, ABC):
    """A network whose filters can be removed: its widths are arguments, its channels described.

    Attributes:
        least_of_branch: filters that each branch keeps at least; at 0 branches may vanish.
        least_of_layer: filters that each layer keeps at least.
    """

    least_of_branch: int = 1
    least_of_layer: int = 1

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self.arguments = arguments

    @property
    @abstractmethod
    def shape(self) -> dict[str, Any]:
        """The arguments that removing filters changes; among them ``widths``."""

    @abstractmethod
    def channels(self) -> Channels:
        """Describe who makes and who consumes which filters."""

    @property
    def widths(self) -> Widths:
        """Filters of each branch of each layer."""
        widths: Widths = self.shape["widths"]
        return widths

    def resized(self, **shape: Any) -> Self:
        """Make a new network, with fresh weights, that differs in its ``shape`` only."""
        return type(self)(**{**self.arguments, **shape})


def norm_axes(prefix: str, axis: Axis) -> dict[str, tuple[Axis | None, ...]]:
    """Axes of a BatchNorm's tensors."""
    tensors = ("weight", "bias", "running_mean", "running_var")
    return {f"{prefix}.{tensor}": (axis,) for tensor in tensors}


def branches(layer: int, widths: tuple[int, ...]) -> Axis:
    """All branches of a layer, side by side."""
    return tuple((layer, branch) for branch in range(len(widths)))
