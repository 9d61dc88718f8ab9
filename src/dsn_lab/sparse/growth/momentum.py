"""Growth by momentum: after Sparse Momentum (Dettmers & Zettlemoyer, arXiv:1907.04840, 2019)."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, validate_call
from torch import Tensor

from dsn_lab.registry import growths
from dsn_lab.sparse import topology
from dsn_lab.sparse.growth.base import Group, Growth, Observes


@growths.register("momentum")
class MomentumGrowth(Growth):
    """Grow at the free positions where an average of the dense gradient is largest in magnitude.

    The average is exponential: ``average = decay * average + (1 - decay) * gradient``, from 0 on.
    It holds one number a position of the dense kernel, as does its state in checkpoints. What the
    paper does besides, to move active weights from layer to layer, is not done: each group keeps
    its number.

    Args:
        decay: share of the average that stays at each observation, in [0, 1).
        observes: ``epochs`` averages over the last step of each epoch, which costs one dense step
            an epoch; ``steps`` over all steps, as in the paper, all of which are dense then.
    """

    @validate_call
    def __init__(
        self,
        decay: Annotated[float, Field(ge=0, lt=1)] = 0.9,
        observes: Literal["epochs", "steps"] = "epochs",
    ) -> None:
        self.decay = decay
        self.observes: Observes = observes
        self.average = torch.zeros(())

    def observe(self, gradient: Tensor, groups: Sequence[Group]) -> None:
        """Take the gradient into the average."""
        average = self.average.to(gradient).expand_as(gradient)
        self.average = average.lerp(gradient, 1 - self.decay)

    def grow(
        self, group: Group, held: Tensor, count: int, generator: np.random.Generator
    ) -> Tensor:
        """Take the free positions where the average is largest in magnitude."""
        ranking = topology.rank(group.region, self.average.abs(), group.active)
        return topology.first_free(ranking, held, count)

    def state_dict(self) -> Mapping[str, Any]:
        """The average."""
        return {"average": self.average.cpu()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo :meth:`state_dict`."""
        self.average = state["average"]
