"""What a growth rule is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from dsn_lab.sparse.topology import Region

Observes = Literal["nothing", "updates", "epochs", "steps"]


@dataclass(frozen=True)
class Group:
    """A kernel group of a sparse layer.

    Args:
        index: its place among the layer's groups, from 0.
        region: where its weights may be.
        active: how many there are, always.
    """

    index: int
    region: Region
    active: int


def groups_of(regions: Sequence[Region], active: Sequence[int]) -> list[Group]:
    """The groups of a layer, from their regions and numbers of active weights."""
    return [Group(i, *each) for i, each in enumerate(zip(regions, active, strict=True))]


class Growth(ABC):
    """Where the weights of one layer grow; each layer has a rule object of its own.

    A subclass decorated with ``@growths.register(name)`` is chosen by ``dst.growth=name``. What
    its constructor takes are its settings: ``dst.growth={name: name, setting: value}``.

    Attributes:
        moves: whether the topology ever changes.
        observes: at which steps :meth:`observe` is given the layer's dense gradient, which makes
            these steps dense: none, the one before each update, the last of each epoch, or each.
    """

    moves: bool = True
    observes: Observes = "nothing"

    @abstractmethod
    def grow(
        self, group: Group, held: Tensor, count: int, generator: np.random.Generator
    ) -> Tensor:
        """Choose where a group's dropped weights grow again.

        Args:
            group: of this layer.
            held: which positions of the flat kernel the surviving weights hold, bool.
            count: weights to grow, at most as many as positions of the region are free.
            generator: the only source of randomness, of which a resumed run has the state.

        Returns:
            ``count`` distinct free positions of the group's region, integers.
        """

    def observe(self, gradient: Tensor, groups: Sequence[Group]) -> None:  # noqa: B027
        """See the layer's dense gradient ``(outputs * inputs * taps,)``; it is gone afterwards.

        Args:
            gradient: flat, to be copied if it is to be kept.
            groups: of this layer.
        """

    def state_dict(self) -> Mapping[str, Any]:
        """What an exact resume needs: tensors and plain values known at the end of an epoch."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Undo :meth:`state_dict`; tensors may be on another device than the layer."""
