"""A progress bar over the whole training, with rich."""

import logging
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

from dsn_lab.run.task import Classification

log = logging.getLogger(__name__)

REFRESH_SECONDS = 0.1
LOG_SECONDS = 30


class Progress(Callback):
    """Show epochs, loss, accuracy and time left; without a terminal, log a line now and then.

    Args:
        always: show the bar where there is no terminal, too, as in a notebook.
    """

    def __init__(self, *, always: bool = False) -> None:
        self._console = Console(stderr=True)
        self._seen = always or self._console.is_terminal
        self._shown, self._metrics = time.monotonic(), ""
        self._bar = RichProgress(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[metrics]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            auto_refresh=False,
            disable=not self._seen,
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar where training stands."""
        self._task = self._bar.add_task(
            "epoch", total=trainer.max_epochs, completed=trainer.current_epoch, metrics=""
        )
        self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar, not more often than a person can see."""
        if self._seen and (now := time.monotonic()) - self._shown > REFRESH_SECONDS:
            self._shown = now
            done = trainer.current_epoch + batch_idx / trainer.num_training_batches
            self._bar.update(self._task, completed=done, metrics=self._metrics, refresh=True)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refresh the metrics shown."""
        assert isinstance(pl_module, Classification)
        loss, accuracy = pl_module.train_loss.compute(), pl_module.train_accuracy.compute()
        self._metrics = f"loss {loss:.4f}  accuracy {accuracy:.4f}"
        now, done = time.monotonic(), trainer.current_epoch + 1
        if not self._seen and now - self._shown > LOG_SECONDS:
            self._shown = now
            log.info("epoch %d/%s  %s", done, trainer.max_epochs, self._metrics)
        if done == trainer.max_epochs:
            self._bar.update(self._task, completed=done, metrics=self._metrics, refresh=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the finished bar on the screen."""
        self._bar.stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Give the terminal back."""
        self._bar.stop()
