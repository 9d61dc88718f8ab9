"""Idle on every series: a rule that is ours."""

from collections.abc import Sequence
from math import log
from typing import Annotated, Literal

import torch
from pydantic import BeforeValidator, validate_call
from pydantic_core import PydanticCustomError
from torch import Tensor

from dsn_lab.prune.rules.base import Rule, at_least
from dsn_lab.registry import rules

# Of a layer's largest activity: what counts as nothing, and what is never idle (tau=auto).
FLOOR, CEILING = 1e-7, 0.1


def _share(tau: object) -> object:
    """Pydantic would name both of the alternatives in its complaint."""
    if tau == "auto" or (isinstance(tau, int | float) and 0 < tau < 1):
        return tau
    raise PydanticCustomError("share", "must be in (0, 1) or auto")


Tau = Annotated[float | Literal["auto"], BeforeValidator(_share)]


@rules.register("largest_activity")
class LargestActivity(Rule):
    """A filter stays if its activity, on any series, exceeds a share of the layer's largest.

    The activity of filter c on series n is ``a[n, c] = ||F[n, c, :]||_2 / sqrt(T)``; a score is
    the largest over all series. Every branch keeps its most active filter.

    Args:
        tau: the share, in (0, 1); or ``auto``, the middle of the widest gap between the sorted
            logarithms of the scores that begins below a tenth of the largest.
    """

    score = "largest activity over the training set"
    logarithmic = True

    @validate_call
    def __init__(self, tau: Tau = 0.01) -> None:
        self.tau = tau

    def add(self, scores: Tensor, feature_map: Tensor) -> Tensor:
        """Take the maximum with the batch's."""
        norms = torch.linalg.vector_norm(feature_map, dim=-1) / feature_map.shape[-1] ** 0.5
        return scores.maximum(norms.amax(dim=0))

    def cut(self, scores: Tensor) -> float:
        """The share of the largest, or the middle of the gap."""
        largest = float(scores.max())
        if self.tau != "auto":
            return self.tau * largest
        logs = (scores / largest).clamp(min=FLOOR).log().sort().values
        below = int((logs < log(CEILING)).sum())
        if below == 0 or largest == 0:
            return 0.0
        widest = int(logs.diff()[:below].argmax())
        return largest * float((logs[widest] + logs[widest + 1]).div(2).exp())

    def kept(
        self, scores: Tensor, cut: float, widths: Sequence[int], least: tuple[int, int]
    ) -> list[Tensor]:
        """Those above the cut; of a branch that would be empty the most active."""
        stay = scores > cut
        parts = (torch.split(each, list(widths)) for each in (stay, scores))
        for branch, of_branch in zip(*parts, strict=True):
            if len(branch) and not branch.any():
                branch[of_branch.argmax()] = True
        return at_least(stay, widths, least)
