"""Growth by gradient: RigL (Evci et al., "Rigging the Lottery", ICML 2020)."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from dsn_lab.registry import growths
from dsn_lab.sparse import topology
from dsn_lab.sparse.growth.base import Group, Growth, Observes


@growths.register("gradient")
class GradientGrowth(Growth):
    """Grow at the free positions of largest ``|dense gradient|`` of the step before the update.

    The gradient is ranked at once, so that only one layer's is in memory at a time: of each group
    as many positions as it has active weights, enough to replace any share of them.
    """

    observes: Observes = "updates"

    def __init__(self) -> None:
        self.rankings: list[Tensor] = []

    def observe(self, gradient: Tensor, groups: Sequence[Group]) -> None:
        """Rank each group's region by the gradient's magnitude."""
        score = gradient.abs()
        self.rankings = [topology.rank(group.region, score, group.active) for group in groups]

    def grow(
        self, group: Group, held: Tensor, count: int, generator: np.random.Generator
    ) -> Tensor:
        """Take the free positions that rank first."""
        return topology.first_free(self.rankings[group.index], held, count)
