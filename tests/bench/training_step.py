"""What training costs beside a bare PyTorch loop over the same network; run by `make bench`.

Bare loop and Lightning Trainer, with everything a run has, take turns in this process; ratios are
medians over the turns. Nothing else should run meanwhile.
"""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, Trainer
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.optim import Optimizer

from dsn_lab.data.load import Dataset
from dsn_lab.data.module import TimeSeriesData
from dsn_lab.nn import DSN
from dsn_lab.nn.prototypes import Prototypical
from dsn_lab.records.cell import Folder
from dsn_lab.run.epochs import WholeEpochs
from dsn_lab.run.keeping import BestWeights, History, LastState
from dsn_lab.run.preparation import quieten
from dsn_lab.run.progress import Progress
from dsn_lab.run.task import Classification
from dsn_lab.sparse.callback import DynamicSparseTraining

TURNS = 5
# The schedule's mean over a whole training: 0.25 over four fifths of it, then next to nothing.
DROP_FRACTION = 0.2
ADAM = partial(torch.optim.Adam, lr=3e-4)
COSINE = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=1000, eta_min=1e-4)
# name, channels, time, classes, batch size, series and epochs of a turn, steps of a real epoch
SHAPES = [
    ("HAR", 9, 128, 6, 16, 16 * 60, 2, 460),
    ("GunPoint", 1, 150, 2, 5, 50, 20, 10),
    ("ItalyPowerDemand", 1, 24, 2, 6, 72, 50, 12),
]


class TimedUpdates(DynamicSparseTraining):
    """Dynamic sparse training after every epoch, with a stopwatch."""

    def __init__(self) -> None:
        super().__init__(update_every=1, alpha=DROP_FRACTION, alpha_end=DROP_FRACTION)
        self.seconds: list[float] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Classification) -> None:  # type: ignore[override]
        """Time the update."""
        started = time.perf_counter()
        super().on_train_epoch_end(trainer, pl_module)
        if trainer.current_epoch + 1 != trainer.max_epochs:
            self.seconds.append(time.perf_counter() - started)


def synthetic(channels: int, steps: int, n_classes: int, n: int) -> Dataset:
    """Noise of a dataset's shape."""
    random = np.random.default_rng(0)
    x = random.standard_normal((n, channels, steps), dtype=np.float32)
    y = random.integers(0, n_classes, n)
    classes = tuple(str(label) for label in range(n_classes))
    return Dataset("noise", "UCR", x, y, x, y, classes, {})


def bare(
    network: nn.Module,
    dataset: Dataset,
    batch_size: int,
    epochs: int,
    make_optimizer: Callable[..., Optimizer] = ADAM,
) -> float:
    """Seconds a step of the plainest loop."""
    network.train()
    optimizer = make_optimizer(network.parameters())
    x, y = torch.from_numpy(dataset.x_train), torch.from_numpy(dataset.y_train)
    steps, started = 0, time.perf_counter()
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(y)), batch_size):
            optimizer.zero_grad()
            labels = (y[batch],) if isinstance(network, Prototypical) else ()
            torch.autograd.backward(F.cross_entropy(network(x[batch], *labels), y[batch]))
            optimizer.step()
            steps += 1
    return (time.perf_counter() - started) / steps


def fit(
    network: nn.Module,
    dataset: Dataset,
    batch_size: int,
    epochs: int,
    make_optimizer: Callable[..., Optimizer],
    make_scheduler: Callable[..., Any],
    *callbacks: Callback,
) -> tuple[float, int]:
    """Seconds, and steps, of a run as users get it."""
    history = History()
    with tempfile.TemporaryDirectory() as folder:
        last = LastState(Folder(Path(folder)), history, {})
        trainer = Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[BestWeights(), *callbacks, Progress(), history, last],
        )
        task = WholeEpochs(network, len(dataset.classes), make_optimizer, make_scheduler)
        trainer.fit(task, TimeSeriesData(dataset, batch_size, seed=0))
    return history.seconds, trainer.global_step


def lightning(
    network: DSN, dataset: Dataset, batch_size: int, epochs: int
) -> tuple[float, list[float]]:
    """Seconds a step of a run as users get it, and of each topology update in it."""
    updates = TimedUpdates()
    seconds, steps = fit(network, dataset, batch_size, epochs, ADAM, COSINE, updates)
    return (seconds - sum(updates.seconds)) / steps, updates.seconds


def main() -> None:
    """Print ratios for the shapes of three datasets."""
    quieten()
    table = Table("shape", "bare step", "step", "ratio", "added", "update", "share of training")
    for name, channels, steps, n_classes, batch_size, n, epochs, epoch_steps in SHAPES:
        dataset = synthetic(channels, steps, n_classes, n)
        network = DSN(channels, n_classes)
        bare(network, dataset, batch_size, 1)
        rows = []
        for _ in range(TURNS):
            plain = bare(network, dataset, batch_size, epochs)
            full, updates = lightning(network, dataset, batch_size, epochs)
            rows.append((plain, full, full / plain, full - plain, median(updates)))
        plain, full, ratio, added, update = (median(column) for column in zip(*rows, strict=True))
        share = update / (5 * epoch_steps * full)
        table.add_row(
            name,
            f"{plain * 1e3:.1f} ms",
            f"{full * 1e3:.1f} ms",
            f"{ratio:.3f}",
            f"{added * 1e3:.2f} ms",
            f"{update * 1e3:.1f} ms",
            f"{share:.2%}",
        )
    console = Console()
    console.print(table)
    console.print(f"{TURNS} turns each, {torch.get_num_threads()} threads, updates every 5 epochs")


if __name__ == "__main__":
    main()
