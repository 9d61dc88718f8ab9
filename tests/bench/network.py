"""DSN on its two backends beside the dense network with masks; run by `make bench`.

`masked` is the network as the paper's code has it: dense convolutions, dense gradients and Adam
state, every kernel multiplied by its mask after Adam's step. `dense` and `packed` are the backends
of DSN. The three start from the same weights and topology and take turns in this process; a ratio
says how many times faster packed is, the median over rounds. Nothing else should run meanwhile.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor, nn

from dsn_lab import kernels
from dsn_lab.files import written_whole
from dsn_lab.kernels.build import instruction_set
from dsn_lab.nn import DSN, SparseConv1d


class Shape(NamedTuple):
    """A dataset's shape, and the batch size that it is trained with."""

    channels: int
    time: int
    n_classes: int
    batch: int = 16


class Case(NamedTuple):
    """What is measured at once."""

    what: Literal["training", "inference"]
    shape: str
    sparsity: float
    batch: int
    threads: int


SHAPES = {
    "HAR": Shape(9, 128, 6),
    "EEG2": Shape(64, 256, 2),
    "GunPoint": Shape(1, 150, 2, batch=5),
    "FordA": Shape(1, 500, 2),
}
SPARSITIES = (0.5, 0.8, 0.9, 0.95)
THREADS = (1, 2)
WARM_UP = 2  # rounds that do not count
CHEAP_SECONDS, CHEAP_ROUNDS = 1.0, 51  # cheap cases go on to either of these
MATRIX = 1024  # side of the matrices whose product is the measure of this machine
Work = Callable[[], object]


class Network(NamedTuple):
    """A network with its optimizer, and dense weights with their masks if it has any."""

    model: DSN
    optimizer: torch.optim.Optimizer
    masks: list[tuple[nn.Parameter, Tensor]]

    def train(self, x: Tensor, y: Tensor) -> None:
        """One training step."""
        self.optimizer.zero_grad()
        torch.autograd.backward(F.cross_entropy(self.model(x), y))
        self.optimizer.step()
        with torch.no_grad():
            for weight, mask in self.masks:
                weight.mul_(mask)

    @torch.inference_mode()
    def infer(self, x: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.model(x)
        return logits


def sparse_layers(model: DSN) -> list[SparseConv1d]:
    return [layer for layer in model.features if isinstance(layer, SparseConv1d)]


def masked(dense: DSN) -> Network:
    """The same network with torch's convolutions and masks."""
    model, masks = deepcopy(dense), []
    for index, layer in enumerate(model.features):
        if isinstance(layer, SparseConv1d):
            outputs, inputs, taps = layer.shape
            replicate = layer.padding == "replicate"
            padding = 0 if replicate else (taps - 1) // 2
            conv = nn.Conv1d(inputs, outputs, taps, padding=padding, bias=False)
            conv.weight.data.copy_(layer.weight.detach())
            masks.append((conv.weight, layer.mask.float()))
            pad = [nn.ReplicationPad1d((0, taps - 1))] if replicate else []
            model.features[index] = nn.Sequential(*pad, conv)
    return Network(model, torch.optim.Adam(model.parameters(), lr=3e-4), masks)


def networks(shape: Shape, sparsity: float, padding: str) -> dict[str, Network]:
    """The three networks, in the order of their turns."""
    torch.manual_seed(0)
    build = partial(DSN, shape.channels, shape.n_classes, sparsity=sparsity, start="random")
    dense, packed = (build(padding=padding, backend=backend) for backend in ("dense", "packed"))
    packed.load_state_dict(dense.state_dict())
    for layer in sparse_layers(packed):
        assert (layer.positions.diff() > 0).all(), "positions do not ascend"
    adam = partial(torch.optim.Adam, lr=3e-4, fused=True)
    return {
        "masked": masked(dense),
        "dense": Network(dense, adam(dense.parameters()), []),
        "packed": Network(packed, adam(packed.parameters()), []),
    }


def check_same(turns: dict[str, Network], shape: Shape) -> None:
    """The networks give the same logits, to 1e-4, in training and in evaluation."""
    x = torch.randn(4, shape.channels, shape.time)
    for training in (True, False):
        logits = [network.model.train(training)(x).detach() for network in turns.values()]
        for other in logits[:-1]:
            error = (logits[-1] - other).abs().max() / other.abs().max()
            assert error < 1e-4, f"logits differ by {error:.1e} of the largest"


def interleaved(works: dict[str, Work], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each call, one call of each after another."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    done, end = -WARM_UP, 0.0
    while done < rounds or (done < CHEAP_ROUNDS and time.perf_counter() < end):
        if done == 0:
            end = time.perf_counter() + CHEAP_SECONDS
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if done >= 0:
                taken[name].append(1e3 * (time.perf_counter() - started))
        done += 1
    return taken


def ratio(times: list[float], others: list[float]) -> float:
    """Median over the rounds of one time in another's."""
    return median(a / b for a, b in zip(times, others, strict=True))


def measure(case: Case, padding: str, rounds: int) -> dict[str, Any]:
    """One row."""
    torch.set_num_threads(case.threads)
    shape = SHAPES[case.shape]
    turns = networks(shape, case.sparsity, padding)
    check_same(turns, shape)
    x = torch.randn(case.batch, shape.channels, shape.time)
    y = torch.randint(shape.n_classes, (case.batch,))
    for network in turns.values():
        network.model.train(case.what == "training")
    train = {name: partial(network.train, x, y) for name, network in turns.items()}
    infer = {name: partial(network.infer, x) for name, network in turns.items()}
    works: dict[str, Work] = {**(train if case.what == "training" else infer)}
    times = interleaved(works, rounds)
    return {
        **case._asdict(),
        **{f"{name}_ms": median(taken) for name, taken in times.items()},
        "ratio_masked": ratio(times["masked"], times["packed"]),
        "ratio_dense": ratio(times["dense"], times["packed"]),
        "rounds": len(times["packed"]),
    }


def kernel_rate(sparsity: float, threads: int, padding: Any, rounds: int) -> dict[str, float]:
    """Rate of each pass at HAR's layer, as a fraction of a matrix product's."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    steps, batch = SHAPES["HAR"].time, SHAPES["HAR"].batch
    layer = SparseConv1d(47, 141, 39, groups=3, sparsity=sparsity, padding=padding, start="random")
    values, packed = layer.values.detach(), kernels.pack(layer.positions, layer.shape)
    frame = kernels.input_frame(packed, steps, batch, padding).normal_()
    framed = kernels.gradient_frame(packed, steps, batch, padding).normal_()
    y, dx = torch.empty(141, steps, batch), torch.empty(47, steps, batch)
    a, b, c = torch.randn(3, MATRIX, MATRIX)
    works: dict[str, Work] = {
        "forward": lambda: kernels.forward(frame, values, packed, padding, out=y),
        "input_gradient": lambda: kernels.input_gradient(framed, values, packed, padding, out=dx),
        "weight_gradient": lambda: kernels.weight_gradient(frame, framed, packed, padding),
        "matmul": lambda: torch.mm(a, b, out=c),
    }
    times = interleaved(works, rounds)
    product_ms, share = times.pop("matmul"), packed.active * steps * batch / MATRIX**3
    fractions = {name: share * ratio(product_ms, taken) for name, taken in times.items()}
    gflops = 2 * MATRIX**3 / 1e6 / median(product_ms)
    return {"sparsity": sparsity, "threads": threads, **fractions, "matmul_gflops": gflops}


def trained_bytes(network: Network, weights: Iterable[nn.Parameter]) -> int:
    """Memory of weights, their gradients and Adam's two moments."""
    held: list[Tensor] = []
    for weight in weights:
        assert weight.grad is not None
        state = network.optimizer.state[weight]
        held += [weight, weight.grad, state["exp_avg"], state["exp_avg_sq"]]
    return sum(tensor.nbytes for tensor in held)


def memory(padding: str) -> dict[str, float]:
    """Bytes that the sparse layers of HAR's network hold after a training step at S = 0.8."""
    shape = SHAPES["HAR"]
    turns = networks(shape, 0.8, padding)
    x, y = torch.randn(2, shape.channels, shape.time), torch.zeros(2, dtype=torch.long)
    for network in turns.values():
        network.train(x, y)
    layers = sparse_layers(turns["packed"].model)
    indices = sum(
        layer.positions.nbytes + kernels.pack(layer.positions, layer.shape).nbytes
        for layer in layers
    )
    packed = indices + trained_bytes(turns["packed"], (layer.values for layer in layers))
    dense = trained_bytes(turns["masked"], (weight for weight, _ in turns["masked"].masks))
    total = dense + sum(mask.nbytes for _, mask in turns["masked"].masks)
    sizes = {"packed": packed, "of_these_indices": indices, "masked": total}
    return {**sizes, "ratio": total / packed, "ratio_without_mask": dense / packed}


def machine() -> dict[str, Any]:
    return {
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "kernel_build": instruction_set(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def show(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a table."""
    table = Table(*(key.replace("_", " ") for key in rows[0]), title=title)
    for row in rows:
        cells = (f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row.values())
        table.add_row(*cells)
    console.print(table)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=9, help="at least, of each case")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="file to write")
    parser.add_argument("--padding", choices=("replicate", "zeros"), default="replicate")
    for option, choices, kind in (
        ("--what", ("training", "inference"), str),
        ("--shape", tuple(SHAPES), str),
        ("--sparsity", SPARSITIES, float),
        ("--threads", THREADS, int),
    ):
        parser.add_argument(option, nargs="+", type=kind, choices=choices, default=choices)
    return parser.parse_args()


def main() -> None:
    """Measure all cases, print tables and write the JSON file."""
    args, facts = arguments(), machine()
    if not kernels.available():
        sys.exit(f"error: no native kernel to measure: {kernels.why_unavailable()}")
    cases = [
        Case(what, shape, sparsity, batch, threads)
        for what, shape, sparsity in product(args.what, args.shape, args.sparsity)
        for batch, threads in product((SHAPES[shape].batch, 1), args.threads)
    ]
    console = Console()
    rows = []
    # Refreshed by hand: no thread of the bar's runs during a measurement.
    with Progress(
        console=console, auto_refresh=False, transient=True, disable=not console.is_terminal
    ) as bar:
        for case in cases:
            task = bar.task_ids[0] if rows else bar.add_task("measuring", total=len(cases))
            rows.append(measure(case, args.padding, args.rounds))
            bar.update(task, advance=1, refresh=True)
    rates = [
        kernel_rate(sparsity, threads, args.padding, args.rounds)
        for sparsity, threads in product(args.sparsity, args.threads)
    ]
    held = memory(args.padding)
    show(console, "networks", rows)
    show(console, "kernel at HAR's layer, fraction of the matrix product's rate", rates)
    show(console, "bytes of HAR's sparse layers, S = 0.8", [held])
    result = {"machine": facts, "rows": rows, "kernel": rates, "memory": held}
    with written_whole(args.json) as path:
        path.write_text(json.dumps(result, indent=1) + "\n")
    console.print(f"written to {args.json}")


if __name__ == "__main__":
    main()
