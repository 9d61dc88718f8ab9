"""Shares of series that are classified rightly: over all, and by class."""

from torch import Tensor
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
)

from dsn_lab.registry import metrics


@metrics.register("accuracy")
def accuracy(n_classes: int) -> MulticlassAccuracy:
    """The share of series classified rightly."""
    return MulticlassAccuracy(n_classes, average="micro")


class BalancedAccuracy(MulticlassConfusionMatrix):
    """Mean recall of the classes that there are, as scikit-learn has it.

    Torchmetrics' macro average also counts a class that is absent once it is predicted.
    """

    def compute(self) -> Tensor:
        """Of all that was seen."""
        counts = super().compute()
        n = counts.sum(dim=1)
        return (counts.diagonal()[n > 0] / n[n > 0]).mean()


@metrics.register("balanced_accuracy")
def balanced_accuracy(n_classes: int) -> BalancedAccuracy:
    """The mean over classes of the share of their series classified rightly."""
    return BalancedAccuracy(n_classes)


@metrics.register("f1_macro")
def f1_macro(n_classes: int) -> MulticlassF1Score:
    """The mean over classes of the F1 score."""
    return MulticlassF1Score(n_classes, average="macro")
