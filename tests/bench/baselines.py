"""What training a baseline costs beside a bare PyTorch loop over the same network; `make bench`.

Bare loop and a run as users get it take turns in this process; ratios are medians over the turns.
Nothing else should run meanwhile.
"""

from functools import partial
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

from dsn_lab.nn.sizes import sizes
from dsn_lab.registry import networks
from dsn_lab.run.preparation import quieten
from tests.bench.training_step import bare, fit, synthetic

TURNS = 5
ADAM = partial(torch.optim.Adam, lr=1e-3, fused=True)
PLATEAU = torch.optim.lr_scheduler.ReduceLROnPlateau
# channels, time, classes, series; the smallest steps that there are are those of such sets
SHAPES = {"ItalyPowerDemand": (1, 24, 2, 67), "GunPoint": (1, 150, 2, 50)}
# network: batch size of its own protocol (None: a tenth of the series)
BATCHES = {"resnet": None, "inception": 64, "oscnn": None, "tapnet": 128, "mlstm_fcn": 128}


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
            first = bare(network, dataset, batch_size, 1, ADAM)
            epochs = max(1, round(1.0 / (first * -(-n // batch_size))))  # a second a turn
            rows = []
            for _ in range(TURNS):
                plain = bare(network, dataset, batch_size, epochs, ADAM)
                seconds, taken = fit(network, dataset, batch_size, epochs, ADAM, PLATEAU)
                full = seconds / taken
                rows.append((plain, full, full / plain))
            plain, full, ratio = (median(column) for column in zip(*rows, strict=True))
            cells = f"{plain * 1e3:.1f} ms", f"{full * 1e3:.1f} ms", f"{ratio:.3f}"
            table.add_row(name, shape, str(min(batch_size, n)), *cells)
    console = Console()
    console.print(table)
    console.print(f"{TURNS} turns each, 1 thread")


if __name__ == "__main__":
    main()
