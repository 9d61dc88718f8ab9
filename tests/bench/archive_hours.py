"""What training on all of UCR-128 costs: core-hours from measured seconds per step.

Steps are those of a run, in Lightning's Trainer, on one thread, over noise of a few shapes; their
CPU time, so that other work on the machine does not count, is fitted by a + b x batch x length.
The protocol's steps on the 128 datasets' sizes (ucr_sizes.csv) then give the hours.
"""

import math
import tempfile
import time
from functools import partial

import numpy as np
import torch
from lightning.pytorch import Trainer
from rich.console import Console
from rich.table import Table

from dsn_lab.data.load import Dataset
from dsn_lab.data.module import TimeSeriesData
from dsn_lab.data.sizes import default_batch_size, ucr
from dsn_lab.nn import DSN
from dsn_lab.run.epochs import WholeEpochs
from dsn_lab.run.keeping import BestWeights, History
from dsn_lab.run.preparation import quieten
from dsn_lab.sparse.callback import DynamicSparseTraining

EPOCHS = 1000  # of the protocol
ADAM = partial(torch.optim.Adam, lr=3e-4, fused=True)
COSINE = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=EPOCHS, eta_min=1e-4)
SHAPES = [(2, 100), (16, 150), (16, 600)]  # batch, length
STEPS, TIMED_EPOCHS = 10, 2
METHODS = {
    "S = 0.8": {"sparsity": 0.8},
    "S = 0.8, no groups": {"sparsity": 0.8, "groups": 1},
    "S = 0.5": {"sparsity": 0.5},
    "S = 0.9": {"sparsity": 0.9},
    "S = 0.8, 177 channels": {"sparsity": 0.8, "width": 59},
    "dense": {"sparsity": 0.0, "groups": 1},
}


def seconds_per_step(settings: dict[str, float], batch: int, length: int) -> float:
    """CPU seconds of a training step, updates of the topology and the epoch's end included."""
    random = np.random.default_rng(0)
    n = batch * STEPS
    x = random.standard_normal((n, 1, length), dtype=np.float32)
    y = np.arange(n) % 2
    dataset = Dataset("noise", "UCR", x, y, x[:2], y[:2], ("0", "1"), {})
    network = DSN(in_channels=1, n_classes=2, padding="zeros", **settings)  # type: ignore[arg-type]
    task = WholeEpochs(network, 2, ADAM, COSINE)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_epochs=1 + TIMED_EPOCHS,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[BestWeights(), DynamicSparseTraining(update_every=5), History()],
            default_root_dir=folder,
        )
        # The first epoch packs and warms up.
        trainer.fit_loop.max_epochs = 1
        data = TimeSeriesData(dataset, batch, seed=0)
        trainer.fit(task, data)
        trainer.fit_loop.max_epochs = 1 + TIMED_EPOCHS
        started = time.process_time()
        trainer.fit(task, data)
        return (time.process_time() - started) / (TIMED_EPOCHS * STEPS)


def main() -> None:
    """Measure, fit, add up, print."""
    quieten()
    torch.set_num_threads(1)
    sizes = [(size.n_train, size.length) for size in ucr().values()]
    table = Table("method", *(f"{b} x {t}" for b, t in SHAPES), "fit off by", "UCR-128, hours")
    for name, settings in METHODS.items():
        seconds = np.array([seconds_per_step(settings, *shape) for shape in SHAPES])
        products = np.array([[1.0, batch * length] for batch, length in SHAPES])
        # Relative errors count: a short step is made as often as a long one.
        weights = 1 / seconds
        fixed, slope = np.linalg.lstsq(products * weights[:, None], np.ones(len(SHAPES)))[0]
        off = np.abs(products @ [fixed, slope] / seconds - 1).max()
        hours = 0.0
        for n, length in sizes:
            batch = default_batch_size(n)
            steps = EPOCHS * math.ceil(n / batch)
            hours += steps * (fixed + slope * batch * length) / 3600
        cells = [f"{1e3 * s:.1f} ms" for s in seconds]
        table.add_row(name, *cells, f"{off:.0%}", f"{hours:.0f}")
    console = Console(width=130)
    console.print(table)
    console.print("CPU time per step; hours on one core, one seed, 1000 epochs")


if __name__ == "__main__":
    main()
