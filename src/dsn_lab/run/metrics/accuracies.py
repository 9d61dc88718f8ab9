"""Shares of series that are classified rightly: over all, and by class."""

from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from dsn_lab.registry import metrics


@metrics.register("accuracy")
def accuracy(n_classes: int) -> MulticlassAccuracy:
    """The share of series classified rightly."""
    return MulticlassAccuracy(n_classes, average="micro")


@metrics.register("balanced_accuracy")
def balanced_accuracy(n_classes: int) -> MulticlassAccuracy:
    """The mean over classes of the share of their series classified rightly."""
    return MulticlassAccuracy(n_classes, average="macro")


@metrics.register("f1_macro")
def f1_macro(n_classes: int) -> MulticlassF1Score:
    """The mean over classes of the F1 score."""
    return MulticlassF1Score(n_classes, average="macro")
