"""Batches by index from arrays that stay in memory."""

from collections.abc import Iterator
from math import ceil

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, TensorDataset

from dsn_lab.data.load import Dataset

EVALUATION_BATCH = 256


class EpochBatches(Sampler[Tensor]):
    """Index tensors of one epoch's batches, in an order that is a function of seed and epoch.

    So a resumed run needs no random state to go on with the same batches.
    """

    def __init__(self, size: int, batch_size: int, seed: int) -> None:
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return ceil(self.size / self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.size)
        yield from torch.split(torch.from_numpy(order), self.batch_size)


class Batches:
    """The batches that a sampler's index tensors pick; Lightning tells the sampler the epoch.

    A ``DataLoader`` over what is in memory does no more, and takes longer to find a batch than to
    pick it.
    """

    def __init__(self, x: Tensor, y: Tensor, sampler: EpochBatches) -> None:
        self.x, self.y, self.sampler = x, y, sampler

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for picked in self.sampler:
            yield self.x[picked], self.y[picked]


class TimeSeriesData(LightningDataModule):
    """A dataset as Lightning wants it; the test set can only be reached in the test stage.

    Args:
        dataset: arrays ``(n, channel, time)`` and encoded labels.
        batch_size: series in a training batch.
        seed: seed of the batches' order.
    """

    def __init__(self, dataset: Dataset, batch_size: int, seed: int) -> None:
        super().__init__()
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self._testing = False

    def setup(self, stage: str) -> None:
        """Open the test set for the test stage only."""
        self._testing = stage == "test"

    def train_dataloader(self) -> Batches:
        """Shuffled batches; the last one of an epoch may be smaller."""
        x, y = (torch.from_numpy(a) for a in (self.dataset.x_train, self.dataset.y_train))
        return Batches(x, y, EpochBatches(len(y), self.batch_size, self.seed))

    def test_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """The test set in order.

        Raises:
            RuntimeError: outside the test stage.
        """
        if not self._testing:
            raise RuntimeError("the test set is closed until training has ended")
        return self._in_order(self.dataset.x_test, self.dataset.y_test)

    def calibration_batches(self) -> DataLoader[tuple[Tensor, ...]]:
        """The training set in order, in batches as large as the test's."""
        return self._in_order(self.dataset.x_train, self.dataset.y_train)

    def _in_order(self, x: np.ndarray, y: np.ndarray) -> DataLoader[tuple[Tensor, ...]]:
        # Of nearly equal size, so that BatchNorm may weigh them equally.
        parts = torch.tensor_split(torch.arange(len(y)), ceil(len(y) / EVALUATION_BATCH))
        arrays = TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
        # With batch_size=None each index tensor picks a whole batch in one operation.
        return DataLoader(arrays, sampler=list(parts), batch_size=None)
