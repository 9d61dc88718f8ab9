"""The final test of one or several networks."""

from collections.abc import Mapping

import numpy as np
import torch
from lightning.pytorch import Trainer
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import update_bn

from dsn_lab.data.module import TimeSeriesData
from dsn_lab.errors import UserError
from dsn_lab.records.cell import Files
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
    """Test each network once; the last one stays in the task.

    Writes ``predictions.npz``: ``labels`` ``(n,)`` and for each name the probabilities
    ``(n, n_classes)`` of the test series.

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
    measured, probabilities = {}, {}
    for name, network in networks.items():
        task.network = network.to(task.device)
        if recalibrate:
            recalibrated(network, data, task.device)
        require_finite(network, data, task.device)
        (logged,) = trainer.test(task, data, verbose=False)
        measured[name] = {key: round(value, 6) for key, value in logged.items()}
        probabilities[name] = torch.cat(task.test_probabilities).numpy()
    _write_predictions(files, data.dataset.y_test, probabilities)
    return measured


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


def _write_predictions(
    files: Files, labels: NDArray[np.int64], probabilities: Mapping[str, NDArray[np.float32]]
) -> None:
    with written_whole(files.predictions) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, labels=labels, **probabilities)
