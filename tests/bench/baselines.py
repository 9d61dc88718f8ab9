"""What training a baseline costs beside a bare PyTorch loop over the same network; `make bench`.

Bare loop and a run as users get it take turns in this process; ratios are medians over the turns.
Nothing else should run meanwhile.
"""

import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer
from rich.console import Console
from rich.table import Table
from torch import nn

from dsn_lab.data.load import Dataset
from dsn_lab.data.module import TimeSeriesData
from dsn_lab.nn.prototypes import Prototypical
from dsn_lab.nn.sizes import sizes
from dsn_lab.records.cell import Folder
from dsn_lab.registry import networks
from dsn_lab.run.epochs import WholeEpochs
from dsn_lab.run.keeping import BestWeights, History, LastState
from dsn_lab.run.preparation import quieten
from dsn_lab.run.progress import Progress
from tests.bench.training_step import synthetic

TURNS = 5
ADAM = partial(torch.optim.Adam, lr=1e-3, fused=True)
PLATEAU = torch.optim.lr_scheduler.ReduceLROnPlateau
# channels, time, classes, series; the smallest steps that there are are those of such sets
SHAPES = {"ItalyPowerDemand": (1, 24, 2, 67), "GunPoint": (1, 150, 2, 50)}
# network: batch size of its own protocol (None: a tenth of the series)
BATCHES = {"resnet": None, "inception": 64, "oscnn": None, "tapnet": 128, "mlstm_fcn": 128}


def bare(network: nn.Module, dataset: Dataset, batch_size: int, epochs: int) -> float:
    """Seconds a step of the plainest loop."""
    network.train()
    optimizer = ADAM(network.parameters())
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


def run(network: nn.Module, dataset: Dataset, batch_size: int, epochs: int) -> float:
    """Seconds a step of a run as users get it."""
    history = History()
    with tempfile.TemporaryDirectory() as folder:
        last = LastState(Folder(Path(folder)), history, {})
        trainer = Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[BestWeights(), Progress(), history, last],
        )
        task = WholeEpochs(network, len(dataset.classes), ADAM, PLATEAU)
        trainer.fit(task, TimeSeriesData(dataset, batch_size, seed=0))
    return history.seconds / trainer.global_step


def main() -> None:
    """Print a row for each network and shape."""
    quieten()
    torch.set_num_threads(1)
    table = Table("network", "shape", "batch", "bare step", "step", "ratio")
    for shape, (channels, steps, n_classes, n) in SHAPES.items():
        dataset = synthetic(channels, steps, n_classes, n)
        for name, given in BATCHES.items():
            batch_size = given or max(2, n // 10)
            network = networks.make({"name": name}, **sizes(name, channels, n_classes, steps))
            first = bare(network, dataset, batch_size, 1)
            epochs = max(1, round(1.0 / (first * -(-n // batch_size))))  # a second a turn
            rows = []
            for _ in range(TURNS):
                plain = bare(network, dataset, batch_size, epochs)
                full = run(network, dataset, batch_size, epochs)
                rows.append((plain, full, full / plain))
            plain, full, ratio = (median(column) for column in zip(*rows, strict=True))
            cells = f"{plain * 1e3:.1f} ms", f"{full * 1e3:.1f} ms", f"{ratio:.3f}"
            table.add_row(name, shape, str(min(batch_size, n)), *cells)
    console = Console()
    console.print(table)
    console.print(f"{TURNS} turns each, 1 thread")


if __name__ == "__main__":
    main()
