"""A progress bar over the whole training, with rich."""

import logging
import sys
import time
from datetime import timedelta
from statistics import fmean
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

from dsn_lab.run.stages import Staged
from dsn_lab.run.task import Classification

log = logging.getLogger(__name__)

# What a topology update logs of each layer and group.
MOVED = "/replaced"
REFRESH_SECONDS = 0.1
LOG_SECONDS = 60


class Progress(Callback):
    """Show phase, epochs, training loss and accuracy, what moved, and the time left.

    A bar on a terminal, above which log lines are put; else a line in the log each minute.

    Args:
        always: show the bar where there is no terminal, too, as in a notebook.
    """

    def __init__(self, *, always: bool = False) -> None:
        self._console = Console(stderr=True)
        self._seen = always or self._console.is_terminal
        self._shown, self._metrics = time.monotonic(), ""
        self._began, self._first, self._moved = time.monotonic(), 0, ""
        self._redirected: list[tuple[logging.StreamHandler[Any], Any]] = []
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[metrics]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            auto_refresh=False,
            disable=not self._seen,
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar where training stands."""
        self._began, self._first = time.monotonic(), trainer.current_epoch
        self._task = self._bar.add_task(
            _phase(trainer), total=trainer.max_epochs, completed=trainer.current_epoch, metrics=""
        )
        stderr = sys.stderr
        self._bar.start()
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is stderr:
                self._redirected.append((handler, stderr))
                handler.setStream(sys.stderr)  # which the bar now looks after

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar, not more often than a person can see."""
        if self._seen and (now := time.monotonic()) - self._shown > REFRESH_SECONDS:
            self._shown = now
            done = trainer.current_epoch + batch_idx / trainer.num_training_batches
            self._update(trainer, done)

    def _update(self, trainer: Trainer, done: float) -> None:
        self._bar.update(
            self._task,
            description=_phase(trainer),
            completed=done,
            metrics=self._metrics,
            refresh=True,
        )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refresh the metrics shown."""
        assert isinstance(pl_module, Classification)
        loss, accuracy = pl_module.train_loss.compute(), pl_module.train_accuracy.compute()
        moved = [
            float(each) for name, each in trainer.callback_metrics.items() if name.endswith(MOVED)
        ]
        if moved:
            self._moved = f"  moved {fmean(moved):.0%}"
        self._metrics = f"train loss {loss:.4f}  train acc {accuracy:.4f}{self._moved}"
        now, done = time.monotonic(), trainer.current_epoch + 1
        if not self._seen and now - self._shown > LOG_SECONDS:
            self._shown = now
            log.info(
                "%s, epoch %d/%s  %s  %s left",
                *(_phase(trainer), done, trainer.max_epochs, self._metrics),
                self._left(done, trainer.max_epochs or done),
            )
        if done == trainer.max_epochs:
            self._update(trainer, done)

    def _left(self, done: int, every: int) -> str:
        seconds = (time.monotonic() - self._began) / max(1, done - self._first) * (every - done)
        return str(timedelta(seconds=round(seconds)))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the finished bar on the screen."""
        self._stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Give the terminal back."""
        self._stop()

    def _stop(self) -> None:
        self._bar.stop()
        for handler, stream in self._redirected:
            handler.setStream(stream)
        self._redirected.clear()


def _phase(trainer: Trainer) -> str:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    said = (each.phase(trainer.current_epoch) for each in callbacks if isinstance(each, Staged))
    return next(said, "training")
