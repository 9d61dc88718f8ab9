"""What an optimizer knows of a weight that has just grown: ``dst.state``."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from dsn_lab.errors import UserError
from dsn_lab.sparse.growth.base import Observes

State = Literal["zero", "mean", "dense"]

# What torch's Adam and its kin call averages of gradients, and of squared ones.
FIRST = "exp_avg"
SECOND = ("exp_avg_sq", "max_exp_avg_sq")


class ZeroMoments:
    """A grown weight begins with nothing.

    From 0 on, with a count of steps that all weights share, Adam's first step on it is 3.2 times
    the learning rate, ``(1 - beta1) / sqrt(1 - beta2)``.

    Attributes:
        observes: at which steps :meth:`observe` is given the layer's dense gradient.
    """

    observes: Observes = "nothing"

    def observe(self, gradient: Tensor, options: Mapping[str, Any]) -> None:
        """See the dense gradient ``(outputs * inputs * taps,)`` before the optimizer's step.

        Args:
            gradient: flat; it is gone afterwards.
            options: the optimizer's.
        """

    def of(self, state: Mapping[str, Tensor], moved: Tensor, grown: Tensor) -> dict[str, Tensor]:
        """What grown weights begin with, by name; what is not named begins at 0.

        Args:
            state: the optimizer's of the active weights, by name; ``(active,)``.
            moved: indices of the weights that are dropped.
            grown: positions of the flat kernel where weights grow.

        Raises:
            UserError: the optimizer has no such state.
        """
        return {}

    def state_dict(self) -> Mapping[str, Tensor]:
        """What an exact resume needs."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Undo :meth:`state_dict`; tensors may be on another device than the layer."""


class MeanMoments(ZeroMoments):
    """Second moments begin at their mean over the layer's other weights."""

    def of(self, state: Mapping[str, Tensor], moved: Tensor, grown: Tensor) -> dict[str, Tensor]:
        """The mean of those that stay, 0 if none does."""
        if not state.keys() & set(SECOND):
            raise UserError(f"dst.state=mean: the optimizer keeps no {SECOND[0]}, use zero")
        return {name: _mean_of_others(state[name], moved) for name in SECOND if name in state}


class DenseMoments(ZeroMoments):
    """Moments of all positions go on as if all weights were there, as in the authors' code.

    There gradients are dense, so Adam's averages of an inactive weight are of its gradients, too,
    and a weight dropped and grown again keeps them. Every step is dense for that.
    """

    observes: Observes = "steps"

    def __init__(self) -> None:
        self.first, self.second = torch.zeros(()), torch.zeros(())

    def observe(self, gradient: Tensor, options: Mapping[str, Any]) -> None:
        """Take the gradient into both averages, as Adam does."""
        if "betas" not in options or options.get("amsgrad"):
            raise UserError("dst.state=dense: needs Adam's two averages, without amsgrad; use zero")
        decay, decay_of_squares = options["betas"]
        first, second = (
            each.to(gradient).expand_as(gradient) for each in (self.first, self.second)
        )
        self.first = first.lerp(gradient, 1 - decay)
        self.second = (second * decay_of_squares).addcmul(
            gradient, gradient, value=1 - decay_of_squares
        )

    def of(self, state: Mapping[str, Tensor], moved: Tensor, grown: Tensor) -> dict[str, Tensor]:
        """The averages where weights grow."""
        return {FIRST: self.first[grown], SECOND[0]: self.second[grown]}

    def state_dict(self) -> Mapping[str, Tensor]:
        """Both averages."""
        return {"first": self.first.cpu(), "second": self.second.cpu()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Undo :meth:`state_dict`."""
        self.first, self.second = state["first"], state["second"]


MOMENTS = {"zero": ZeroMoments, "mean": MeanMoments, "dense": DenseMoments}


def _mean_of_others(weights: Tensor, moved: Tensor) -> Tensor:
    others = torch.ones_like(weights, dtype=torch.bool).index_fill_(0, moved, False)
    return weights[others].mean() if others.any() else weights.new_zeros(())
