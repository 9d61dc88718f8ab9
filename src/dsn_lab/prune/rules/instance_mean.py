"""The rule of DSP's authors."""

import torch
from pydantic import PositiveInt, validate_call
from torch import Tensor

from dsn_lab.prune.rules.base import Rule
from dsn_lab.registry import rules


@rules.register("instance_mean")
class InstanceMean(Rule):
    """A filter stays if its activity exceeds the layer's mean on enough training series.

    The activity of filter c on series n is ``a[n, c] = ||F[n, c, :]||_2``; the layer's mean on the
    series ``mu[n] = sum_c a[n, c] / (number of c with a[n, c] > 0, plus 1)``. A score is the
    number of series on which ``a[n, c] > mu[n]``. There is no ratio and no threshold to tune.

    Args:
        min_series: on how many series at least.
    """

    score = "training series on which a filter exceeds the mean"

    @validate_call
    def __init__(self, min_series: PositiveInt = 1) -> None:
        self.min_series = min_series

    def add(self, scores: Tensor, feature_map: Tensor) -> Tensor:
        """Count the series of the batch."""
        norms: Tensor = torch.linalg.vector_norm(feature_map, dim=-1)
        means = norms.sum(dim=1) / ((norms > 0).sum(dim=1) + 1)
        return scores.add((norms > means[:, None]).sum(dim=0))

    def cut(self, scores: Tensor) -> float:
        """One series less than the least number."""
        return self.min_series - 1.0
