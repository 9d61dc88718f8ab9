"""The final test of one or several networks."""

import copy
import csv
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import update_bn
from torchmetrics import MetricCollection
from torchmetrics.functional.classification import (
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from dsn_lab.data.load import Dataset
from dsn_lab.data.module import TimeSeriesData
from dsn_lab.errors import UserError
from dsn_lab.nn.prototypes import Prototypical
from dsn_lab.records.cell import Files
from dsn_lab.records.results import Record
from dsn_lab.registry import metrics
from dsn_lab.run.task import Classification
from dsn_lab.storage import written_whole

Measures = dict[str, float]


def test_each(
    trainer: Trainer,
    task: Classification,
    data: TimeSeriesData,
    networks: Mapping[str, nn.Module],
    files: Files,
    *,
    recalibrate: bool,
) -> dict[str, Measures]:
    """Test each network with BatchNorm's statistics as set; the last one stays in the task.

    With the statistics that the setting does not ask for, the accuracy is recorded and nothing
    follows from it: ``test_accuracy_running`` is with the means of training,
    ``test_accuracy_recalibrated`` with those of the training set; ``test_accuracy`` is one of them.

    Writes ``predictions.npz`` and ``classes.csv`` (:func:`write_predictions`).

    Args:
        trainer: has trained the task.
        task: measures; what it logs is returned.
        data: training set for recalibration, test set.
        networks: by name.
        files: the run's.
        recalibrate: estimate BatchNorm's statistics anew first, on the training set.

    Raises:
        UserError: a network has diverged, which only its outputs show.
    """
    measured, probabilities, accuracies = {}, {}, {}
    for name, network in networks.items():
        task.network = network.to(task.device)
        other = copy.deepcopy(network)
        for each, anew in ((other, not recalibrate), (network, recalibrate)):
            task.network = each
            if anew:
                recalibrated(each, data, task.device)
            settled(each, data)
            if each is network:
                require_finite(network, data, task.device)
            (logged,) = trainer.test(task, data, verbose=False)
            rounded = {key: round(value, 6) for key, value in logged.items()}
            which = "recalibrated" if anew else "running"
            accuracies[f"test_accuracy_{which}"] = rounded["test_accuracy"]
        measured[name] = rounded | accuracies
        probabilities[name] = torch.cat(task.test_probabilities).numpy()
    write_predictions(files, data.dataset, probabilities)
    return measured


def measures(logits: torch.Tensor, labels: torch.Tensor, n_classes: int) -> Measures:
    """What the test measures, of logits ``(n, n_classes)`` and labels ``(n,)`` as they are."""
    collection = MetricCollection({f"test_{name}": metrics[name](n_classes) for name in metrics})
    collection.update(logits, labels)
    found = {name: round(float(value), 6) for name, value in collection.compute().items()}
    return {"test_loss": round(float(F.cross_entropy(logits, labels)), 6), **found}


def shape_of(dataset: Dataset) -> Record:
    """What the data are like."""
    _, channels, length = dataset.x_train.shape
    return {
        "n_train": len(dataset.y_train),
        "n_test": len(dataset.y_test),
        "n_channels": channels,
        "length": length,
        "n_classes": len(dataset.classes),
        "archive": dataset.archive,
        **dataset.facts,
    }


def recalibrated(network: nn.Module, data: TimeSeriesData, device: torch.device) -> None:
    """Estimate BatchNorm's statistics anew, in place, on the training set."""
    update_bn(data.calibration_batches(), network, device)


@torch.no_grad()
def require_finite(network: nn.Module, data: TimeSeriesData, device: torch.device) -> None:
    """Refuse weights whose outputs on the training set are not all finite.

    An epoch's loss is the mean over its steps, the weights are those after its last one: the loss
    may be the lowest ever, and that step the one that went astray.

    Raises:
        UserError: some are not.
    """
    training = network.training
    network.eval()
    finite = all(network(x.to(device)).isfinite().all() for x, _ in data.calibration_batches())
    network.train(training)
    if not finite:
        raise UserError(
            "training diverged: the outputs of the best weights are not finite; lower "
            "optimizer.lr, or check the range of the data (dataset.scaling)"
        )


def settled(network: nn.Module, data: TimeSeriesData) -> None:
    """Make, in place, of the training set what a network needs of it besides its weights."""
    if isinstance(network, Prototypical):
        network.settle(data.calibration_batches())


def write_predictions(
    files: Files, dataset: Dataset, probabilities: Mapping[str, NDArray[np.float32]]
) -> None:
    """Write what was predicted of the test set, and by the last of the networks of each class.

    ``predictions.npz``: labels and, by name, probabilities ``(n, n_classes)``. ``classes.csv``: a
    row a class with its number of series, precision, recall and F1 score, and in columns ``as
    <class>`` how many of its series were taken for which class.
    """
    labels = dataset.y_test
    with written_whole(files.predictions) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, labels=labels, **probabilities)
    *_, final = probabilities.values()
    with written_whole(files.by_class) as temporary, temporary.open("w", newline="") as file:
        csv.writer(file).writerows(_by_class(dataset.classes, labels, final.argmax(axis=1)))


def _by_class(
    names: Sequence[str], labels: NDArray[np.int64], predicted: NDArray[np.int64]
) -> Iterator[list[object]]:
    told, true, n = torch.from_numpy(predicted), torch.from_numpy(labels), len(names)
    precision = multiclass_precision(told, true, n, average=None)
    recall = multiclass_recall(told, true, n, average=None)
    f1 = multiclass_f1_score(told, true, n, average=None)
    counts = multiclass_confusion_matrix(told, true, n)
    yield ["class", "n", "precision", "recall", "f1", *(f"as {name}" for name in names)]
    for name, row, *scores in zip(names, counts.tolist(), precision, recall, f1, strict=True):
        yield [name, sum(row), *(round(float(score), 6) for score in scores), *row]
