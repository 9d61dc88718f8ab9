"""Random growth: Sparse Evolutionary Training (Mocanu et al., 2018) and DSN's Algorithm 1."""

import numpy as np
from torch import Tensor

from dsn_lab.registry import growths
from dsn_lab.sparse import topology
from dsn_lab.sparse.growth.base import Group, Growth


@growths.register("random")
class RandomGrowth(Growth):
    """Grow at free positions of the region, uniformly without replacement."""

    def grow(
        self, group: Group, held: Tensor, count: int, generator: np.random.Generator
    ) -> Tensor:
        """Draw ``count`` free positions."""
        return topology.draw_free(group.region, held, count, generator)
