"""How good probabilities are, not only the classes of the largest."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAUROC, MulticlassCalibrationError

from dsn_lab.registry import metrics

BINS = 15


class _Ranked(MulticlassAUROC):
    """Torchmetrics takes logits for probabilities where they happen to lie between 0 and 1."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take logits and labels."""
        super().update(preds.softmax(dim=-1), target)


class _CalibrationError(MulticlassCalibrationError):
    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take logits and labels."""
        super().update(preds.softmax(dim=-1), target)


class _LogLikelihood(Metric):
    """Torchmetrics' ``MeanMetric`` weighs batches alike, or leaves out what is no number."""

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take logits and labels."""
        self.total += F.cross_entropy(preds, target, reduction="sum")
        self.count += len(target)

    def compute(self) -> Tensor:
        """The mean over series."""
        return self.total / self.count


@metrics.register("auroc")
def auroc(n_classes: int) -> MulticlassAUROC:
    """The area under the ROC curve, each class against the rest, mean over classes."""
    return _Ranked(n_classes, average="macro", **_UNCHECKED)


@metrics.register("ece")
def expected_calibration_error(n_classes: int) -> MulticlassCalibrationError:
    """How far confidence and accuracy differ on average, in 15 bins of confidence."""
    return _CalibrationError(n_classes, n_bins=BINS, norm="l1", **_UNCHECKED)


@metrics.register("nll")
def negative_log_likelihood(n_classes: int) -> Metric:
    """The mean negative logarithm of the true class's probability."""
    return _LogLikelihood()


_UNCHECKED: dict[str, Any] = {"validate_args": False}
