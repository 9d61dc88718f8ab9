"""No growth: the topology of the start stays (DSN-fix in the paper's Fig. 7)."""

import numpy as np
import torch
from torch import Tensor

from dsn_lab.registry import growths
from dsn_lab.sparse.growth.base import Group, Growth


@growths.register("none")
class NoGrowth(Growth):
    """Grow nowhere; hence nothing is dropped either."""

    moves = False

    def grow(
        self, group: Group, held: Tensor, count: int, generator: np.random.Generator
    ) -> Tensor:
        """No positions."""
        return torch.empty(0, dtype=torch.long, device=held.device)
