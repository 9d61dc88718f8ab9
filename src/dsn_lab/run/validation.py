"""Training series that are held out: their loss chooses the weights, and may end the training."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from numpy.typing import NDArray

from dsn_lab.data.load import Dataset
from dsn_lab.data.module import EVALUATION_BATCH
from dsn_lab.errors import UserError
from dsn_lab.run.evaluate import settled
from dsn_lab.run.task import Classification


@dataclass(frozen=True)
class HeldOut:
    """Series ``(n, channel, time)`` and labels ``(n,)`` that no weight is fitted to."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]


def hold_out(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, HeldOut]:
    """Take a stratified share of the training set away; the test set stays as it is.

    Args:
        dataset: scaled, by moments of its whole training set.
        share: of the training series.
        seed: of the choice.

    Raises:
        UserError: some class would have no series on one of the sides.
    """
    # Takes half a second to import, which runs without a validation set need not wait for.
    from sklearn.model_selection import train_test_split

    counts = np.bincount(dataset.y_train, minlength=len(dataset.classes))
    least, n = int(counts[counts > 0].min()), ceil(share * len(dataset.y_train))
    classes = int((counts > 0).sum())
    if least < 2 or not classes <= n <= len(dataset.y_train) - classes:
        raise UserError(
            f"validation={share}: {dataset.name} has {len(dataset.y_train)} training series of "
            f"{classes} classes, {least} of the smallest; each class needs one on both sides"
        )
    chosen, held = train_test_split(
        np.arange(len(dataset.y_train)), test_size=n, stratify=dataset.y_train, random_state=seed
    )
    chosen, held = np.sort(chosen), np.sort(held)
    x, y = dataset.x_train, dataset.y_train
    rest = replace(dataset, x_train=x[chosen], y_train=y[chosen])
    return rest, HeldOut(x[held], y[held])


class Validation(Callback):
    """Measure cross-entropy and accuracy on held-out series at the end of each epoch.

    Args:
        held_out: the series.
    """

    def __init__(self, held_out: HeldOut) -> None:
        self.x, self.y = torch.from_numpy(held_out.x), torch.from_numpy(held_out.y)

    @torch.no_grad()
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure, with BatchNorm's statistics of training."""
        assert isinstance(pl_module, Classification)
        data = trainer.datamodule  # type: ignore[attr-defined]
        settled(pl_module.network, data)
        pl_module.network.eval()
        batches = torch.split(self.x, EVALUATION_BATCH)
        logits = torch.cat([pl_module(batch.to(pl_module.device)).cpu() for batch in batches])
        pl_module.network.train()
        measured = {
            "validation_loss": float(F.cross_entropy(logits, self.y)),
            "validation_accuracy": float((logits.argmax(dim=1) == self.y).float().mean()),
        }
        pl_module.record(measured)


class Patience(EarlyStopping):
    """End the training when the validation loss has not fallen for so many epochs."""

    def __init__(self, epochs: int) -> None:
        super().__init__("validation_loss", patience=epochs, check_on_train_epoch_end=True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A run that was killed after its last epoch has nothing more to train."""
        super().on_train_start(trainer, pl_module)
        if self.wait_count >= self.patience:
            trainer.should_stop = True


def validated(row: Mapping[str, float]) -> dict[str, float]:
    """What a record says of the chosen epoch besides, if series were held out.

    Args:
        row: of the history.
    """
    if "validation_loss" not in row:
        return {}
    return {key: row[key] for key in ("train_loss", "validation_loss", "validation_accuracy")}
