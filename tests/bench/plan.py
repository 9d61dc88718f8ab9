"""The network as one native plan beside the same network layer by layer; run by `make bench`.

Both run on the native kernel, from the same weights, and take turns in this process; a turn is
several steps, as in training, where a network's buffers stay in the caches. Beside them is the time
that the arithmetic would take at the rate of a matrix product.
"""

import argparse
import json
import time
from copy import deepcopy
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from dsn_lab.nn import DSN
from dsn_lab.nn.cost import measure
from dsn_lab.nn.whole import Whole
from dsn_lab.storage import written_whole
from tests.bench.network import MATRIX, Network, Work, ratio, show

# channels, time, batch: ItalyPowerDemand, GunPoint, ECG200, a long one, HAR.
SHAPES = ((1, 24, 6), (1, 150, 5), (1, 100, 8), (1, 286, 2), (9, 128, 16))
TURN_SECONDS = 0.05


class LayerByLayer(Whole):
    """No plans."""

    def _ready(self, features: nn.Sequential, classifier: nn.Sequential, x: Tensor) -> None:
        """Leave it to the layers."""


def turns(works: dict[str, Work], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of a call, of each work in turn."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    calls = {}
    for name, work in works.items():
        work()
        started = time.perf_counter()
        work()
        calls[name] = max(1, int(TURN_SECONDS / (time.perf_counter() - started)))
    for _ in range(rounds):
        for name, work in works.items():
            started = time.perf_counter()
            for _ in range(calls[name]):
                work()
            taken[name].append(1e3 * (time.perf_counter() - started) / calls[name])
    return taken


def row(shape: tuple[int, int, int], batch: int, threads: int, rounds: int) -> dict[str, Any]:
    """Training a batch, or inference of one series if ``batch`` is 1."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    channels, steps, _ = shape
    planned = DSN(channels, 2, start="random", backend="packed").train(batch > 1)
    layered = deepcopy(planned)
    layered._whole = LayerByLayer()
    x, y = torch.randn(batch, channels, steps), torch.randint(2, (batch,))
    works: dict[str, Work] = {}
    for name, model in (("layers", layered), ("plan", planned)):
        adam = torch.optim.Adam(model.parameters(), lr=3e-4, fused=True)
        training = partial(Network(model, adam, []).train, x, y)
        works[name] = training if batch > 1 else torch.inference_mode()(partial(model, x))
    a, b, c = torch.randn(3, MATRIX, MATRIX)
    times = turns({**works, "matmul": lambda: torch.mm(a, b, out=c)}, rounds)
    # Backward passes cost twice a forward one.
    flops = measure(planned, channels, steps).flops * batch * (3 if batch > 1 else 1)
    return {
        "what": "training" if batch > 1 else "inference",
        "channels": channels,
        "time": steps,
        "batch": batch,
        "threads": threads,
        "layers_ms": median(times["layers"]),
        "plan_ms": median(times["plan"]),
        "bound_ms": median(times["matmul"]) * flops / (2 * MATRIX**3),
        "ratio": ratio(times["layers"], times["plan"]),
    }


def main() -> None:
    """Measure all shapes, print a table and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=21)
    parser.add_argument("--json", type=Path, default="bench-plan.json", help="file to write")
    parser.add_argument("--threads", type=int, nargs="+", default=(1, 2))
    args, console = parser.parse_args(), Console()
    rows = [
        row(shape, batch, threads, args.rounds)
        for shape in SHAPES
        for batch in (shape[-1], 1)
        for threads in args.threads
    ]
    show(console, f"one native plan, medians of {args.rounds} turns", rows)
    with written_whole(args.json) as path:
        path.write_text(json.dumps(rows, indent=1) + "\n")
    console.print(f"written to {args.json}")


if __name__ == "__main__":
    main()
