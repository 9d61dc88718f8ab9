"""Best weights, epochs' batches, the closed test set."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from dsn_lab.data.load import Dataset
from dsn_lab.data.module import EpochBatches, TimeSeriesData
from dsn_lab.data.sizes import default_batch_size
from dsn_lab.run.keeping import BestWeights
from dsn_lab.run.task import Classification


def test_of_equal_losses_the_latest_epochs_weights_are_kept() -> None:
    task = Classification(nn.Linear(1, 2), 2, torch.optim.Adam, lambda _: None)  # type: ignore[arg-type, return-value]
    best, trainer = BestWeights(), Trainer(logger=False, enable_progress_bar=False)
    for epoch, loss in enumerate([0.5, 0.3, 0.3, float("nan"), 0.4]):
        trainer.fit_loop.epoch_progress.current.completed = epoch
        task.train_loss.reset()
        task.train_loss.update(loss, 1)
        nn.init.constant_(task.network.weight, epoch)  # type: ignore[arg-type]
        best.on_train_epoch_end(trainer, task)
    assert best.epoch == 2
    assert best.loss == pytest.approx(0.3)
    assert best.weights["weight"].equal(torch.full((2, 1), 2.0))


def test_each_epoch_visits_every_series_once_in_an_order_of_its_own() -> None:
    batches = EpochBatches(23, 5, seed=1)
    assert len(batches) == 5
    orders = []
    for epoch in (0, 1, 0):
        batches.set_epoch(epoch)
        orders.append(torch.cat(list(batches)).tolist())
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[0]) == list(range(23))
    assert orders[0] != torch.cat(list(EpochBatches(23, 5, seed=2))).tolist()


def test_default_batch_is_a_tenth_of_the_training_set_from_2_to_16() -> None:
    sizes = [(16, 2), (23, 2), (50, 5), (67, 6), (100, 10), (160, 16), (7352, 16)]
    assert [default_batch_size(n) for n, _ in sizes] == [batch for _, batch in sizes]


def test_the_test_set_is_closed_while_training() -> None:
    x, y = np.zeros((4, 1, 8), dtype=np.float32), np.array([0, 1, 0, 1])
    data = TimeSeriesData(Dataset("noise", "UCR", x, y, x + 1, y, ("a", "b"), {}), 2, seed=0)
    data.setup("fit")
    assert all(series.max() == 0 for series, _ in data.train_dataloader())
    with pytest.raises(RuntimeError, match="test set is closed"):
        data.test_dataloader()
    data.setup("test")
    assert all(series.min() == 1 for series, _ in data.test_dataloader())
