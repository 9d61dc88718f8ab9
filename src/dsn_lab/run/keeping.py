"""What every run keeps while it trains: its best weights, its history, its last state."""

import csv
import time
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from dsn_lab.records.cell import Files
from dsn_lab.run.task import Classification
from dsn_lab.storage import torch_bytes, written_whole

# Files are written again once this many times the cost of writing them has passed.
PACE = 50


class BestWeights(Callback):
    """Keep, in memory, the weights of the epoch of lowest mean training loss, or of the last.

    Where series are held out, their loss takes the place of the training loss.

    Of equal losses the latest counts. Everything travels in the trainer's checkpoints.

    Args:
        which: ``best`` or ``last``, which is the last one whose loss is a finite number.
    """

    state_key = "BestWeights"  # in checkpoints, whatever the class is called

    def __init__(self, which: Literal["best", "last"] = "best") -> None:
        self.which = which
        self.reset()

    def reset(self) -> None:
        """Forget what was best so far."""
        self.loss = float("inf")
        self.epoch = -1
        self.weights: dict[str, Tensor] = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy the network if this epoch was the best so far."""
        assert isinstance(pl_module, Classification)
        held_out = trainer.callback_metrics.get("validation_loss")
        loss = pl_module.train_loss.compute() if held_out is None else float(held_out)
        if loss <= self.loss or (self.which == "last" and isfinite(loss)):
            self.loss, self.epoch = loss, trainer.current_epoch
            state = pl_module.network.state_dict()
            self.weights = {name: tensor.clone() for name, tensor in state.items()}

    def state_dict(self) -> dict[str, Any]:
        """Best loss, its epoch (counted from 0) and its weights."""
        return {"loss": self.loss, "epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Undo :meth:`state_dict`."""
        self.loss, self.epoch = state_dict["loss"], state_dict["epoch"]
        self.weights = state_dict["weights"]


class History(Checkpoint):
    """Collect what is logged, a row an epoch, and the seconds spent training.

    A ``Checkpoint`` by type only: Lightning calls those after everything else has logged.
    """

    state_key = "History"

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.seconds = 0.0
        self._last = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._last = time.monotonic()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what earlier epochs logged, so that a row holds its own epoch only."""
        trainer.callback_metrics.clear()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row."""
        now = time.monotonic()
        self.seconds, self._last = self.seconds + now - self._last, now
        row: dict[str, float] = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        self.rows.append(row | {k: float(v) for k, v in trainer.callback_metrics.items()})

    def state_dict(self) -> dict[str, Any]:
        """Rows and seconds."""
        return {"rows": self.rows, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Undo :meth:`state_dict`."""
        self.rows, self.seconds = list(state_dict["rows"]), state_dict["seconds"]

    def write_csv(self, path: Path) -> None:
        """Write all rows, whole."""
        columns = list(dict.fromkeys(column for row in self.rows for column in row))
        with written_whole(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)


class PlainFiles(TorchCheckpointIO):
    """Writes checkpoints right where they go.

    Lightning takes a way through the temporary folder, and an error then names that.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write it."""
        Path(path).write_bytes(torch_bytes(checkpoint))


class LastState(Checkpoint):
    """Write what a resume needs, and the metrics so far, at ends of epochs.

    Not at all of them: the time since the last writing must be ``PACE`` times its cost. The
    first and the last epoch's end are always written.

    Args:
        files: the run's, of which checkpoint and metrics are written.
        history: the run's history, written beside the checkpoint.
        kept: what whoever resumes is to find in the checkpoint: the run's settings and data.
    """

    state_key = "LastState"

    def __init__(self, files: Files, history: History, kept: Mapping[str, Any]) -> None:
        self.files, self.history, self.kept = files, history, dict(kept)
        self._next = 0.0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write if it is time to."""
        started = time.monotonic()
        last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        if started < self._next and not last:
            return
        self.history.write_csv(self.files.metrics)
        with written_whole(self.files.checkpoint) as temporary:
            trainer.save_checkpoint(temporary)
        ended = time.monotonic()
        self._next = ended + PACE * (ended - started)

    def state_dict(self) -> dict[str, Any]:
        """What was given to be kept."""
        return self.kept
