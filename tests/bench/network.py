"""DSN's backends beside the dense network with masks, on a quiet machine; run by `make bench`.

`masked` is the network as the paper's code has it: dense convolutions, gradients and Adam state,
kernels multiplied by their masks after Adam's step. The networks start from the same weights and
take turns in this process; a ratio, median over rounds, says how many times faster packed is.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from dsn_lab import kernels
from dsn_lab.nn import DSN, SparseConv1d
from dsn_lab.run.optimization import quick_step
from dsn_lab.storage import written_whole

Shape = tuple[int, int, int, int]  # channels, time, classes, batch size of training
SHAPES = {
    "HAR": (9, 128, 6, 16),
    "EEG2": (64, 256, 2, 16),
    "GunPoint": (1, 150, 2, 5),
    "FordA": (1, 500, 2, 16),
}
SPARSITIES = (0.5, 0.8, 0.9, 0.95)
WARM_UP = 2  # rounds that do not count
CHEAP_SECONDS, CHEAP_ROUNDS = 1.0, 51  # cheap cases go on to either of these
MATRIX = 1024  # side of the matrices whose product is the measure of this machine
Work = Callable[[], object]
Case = tuple[str, str, float, int, int]  # what, shape, sparsity, batch, threads


class Network(NamedTuple):
    """A network with its optimizer, and dense weights with their masks if it has any."""

    model: DSN
    optimizer: torch.optim.Optimizer
    masks: list[tuple[nn.Parameter, Tensor]]

    def train(self, x: Tensor, y: Tensor) -> None:
        """One training step, as a run takes it."""
        begun = None if self.masks else self.model.step(x)
        if begun is None:
            self.optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(self.model(x), y))
        else:
            logits, backward = begun
            torch.autograd.backward(F.cross_entropy(logits.requires_grad_(), y))
            assert logits.grad is not None
            backward(logits.grad)
        quick_step(self.optimizer)()
        with torch.no_grad():
            for weight, mask in self.masks:
                weight.mul_(mask)


def sparse_layers(model: DSN) -> list[SparseConv1d]:
    """The sparse layers, in order."""
    return [layer for layer in model.features if isinstance(layer, SparseConv1d)]


def masked(dense: DSN) -> Network:
    """The same network with torch's convolutions and masks."""
    model = deepcopy(dense)
    masks: list[tuple[nn.Parameter, Tensor]] = []
    for index, layer in enumerate(model.features):
        if isinstance(layer, SparseConv1d):
            outputs, inputs, taps = layer.shape
            conv = nn.Conv1d(inputs, outputs, taps, bias=False)
            conv.weight = nn.Parameter(layer.weight.detach())
            masks.append((conv.weight, layer.mask.float()))
            model.features[index] = nn.Sequential(nn.ReplicationPad1d((0, taps - 1)), conv)
    return Network(model, torch.optim.Adam(model.parameters(), lr=3e-4), masks)


def networks(shape: Shape, sparsity: float) -> dict[str, Network]:
    """The three networks, in the order of their turns."""
    torch.manual_seed(0)
    build = partial(DSN, shape[0], shape[2], sparsity=sparsity, start="random")
    dense, packed = build(backend="dense"), build(backend="packed")
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
    x = torch.randn(4, *shape[:2])
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
            taken[name].append(1e3 * (time.perf_counter() - started))
        done += 1
    return {name: times[WARM_UP:] for name, times in taken.items()}


def ratio(times: list[float], others: list[float]) -> float:
    """Median over the rounds."""
    return median(a / b for a, b in zip(times, others, strict=True))


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """One row: milliseconds of each network, and how many times faster packed is."""
    what, name, sparsity, batch, threads = case
    torch.set_num_threads(threads)
    shape, training = SHAPES[name], what == "training"
    turns = networks(shape, sparsity)
    check_same(turns, shape)
    x, y = torch.randn(batch, *shape[:2]), torch.randint(shape[2], (batch,))
    works: dict[str, Work] = {}
    for turn, network in turns.items():
        infer = torch.inference_mode()(partial(network.model.train(training), x))
        works[turn] = partial(network.train, x, y) if training else infer
    times = interleaved(works, rounds)
    return {
        **dict(zip(("what", "shape", "sparsity", "batch", "threads"), case, strict=True)),
        **{f"{turn}_ms": median(taken) for turn, taken in times.items()},
        "ratio_masked": ratio(times["masked"], times["packed"]),
        "ratio_dense": ratio(times["dense"], times["packed"]),
        "rounds": len(times["packed"]),
    }


def kernel_rate(sparsity: float, threads: int, rounds: int) -> dict[str, float]:
    """Rate of each pass at HAR's layer, as a fraction of a matrix product's."""
    torch.set_num_threads(threads)
    steps, batch = 128, 16
    layer = SparseConv1d(47, 141, 39, groups=3, sparsity=sparsity, start="random")
    values, padding = layer.values.detach(), layer.padding
    packed = kernels.pack(layer.positions, layer.shape)
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
    rates = {name: share * ratio(product_ms, taken) for name, taken in times.items()}
    rates["matmul_gflops"] = 2 * MATRIX**3 / 1e6 / median(product_ms)
    return {"sparsity": sparsity, "threads": threads, **rates}


def held_bytes(network: Network, weights: Iterable[Tensor]) -> int:
    """Memory of weights, their gradients and Adam's state."""
    held = ((w, w.grad, *network.optimizer.state[w].values()) for w in weights)
    return sum(tensor.nbytes for tensors in held for tensor in tensors if tensor is not None)


def memory() -> dict[str, float]:
    """Bytes that the sparse layers of HAR's network hold after a training step at S = 0.8."""
    turns = networks(SHAPES["HAR"], 0.8)
    for network in turns.values():
        network.train(torch.randn(2, *SHAPES["HAR"][:2]), torch.tensor([0, 1]))
    layers, masks = sparse_layers(turns["packed"].model), turns["masked"].masks
    indices = sum(
        layer.positions.nbytes + kernels.pack(layer.positions, layer.shape).nbytes
        for layer in layers
    )
    packed = indices + held_bytes(turns["packed"], (layer.values for layer in layers))
    dense = held_bytes(turns["masked"], (weight for weight, _ in masks))
    total = dense + sum(mask.nbytes for _, mask in masks)
    sizes = {"packed": packed, "of_these_indices": indices, "masked": total}
    return {**sizes, "ratio": total / packed, "ratio_without_mask": dense / packed}


def show(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a table."""
    keys = [key for key in rows[0] if key != "rounds"]
    headers = ("S" if key == "sparsity" else key.replace("_", "\n") for key in keys)
    table = Table(*headers, title=title, box=None, padding=(0, 1, 0, 0))
    for row in rows:
        cells = (row[key] for key in keys)
        table.add_row(*(f"{cell:.2f}" if isinstance(cell, float) else f"{cell}" for cell in cells))
    console.print(table, "")


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=9, help="at least, of each case")
    parser.add_argument("--json", type=Path, default="bench.json", help="file to write")
    several = partial(parser.add_argument, nargs="+", help="only these")
    several("--shape", choices=SHAPES, default=tuple(SHAPES))
    several("--sparsity", type=float, choices=SPARSITIES, default=SPARSITIES)
    several("--threads", type=int, default=(1, 2))
    return parser.parse_args()


def main() -> None:
    """Measure all cases, print tables and write the JSON file."""
    args, console = arguments(), Console()
    cases = [
        (what, shape, sparsity, batch, threads)
        for what, shape, sparsity in product(("training", "inference"), args.shape, args.sparsity)
        for batch, threads in product((SHAPES[shape][-1], 1), args.threads)
    ]
    # Without a thread of the bar's own, which would run during measurements.
    turns = track(cases, "", console=console, auto_refresh=False, disable=not console.is_terminal)
    rows = [measure(case, args.rounds) for case in turns]
    rates = [kernel_rate(*case, args.rounds) for case in product(args.sparsity, args.threads)]
    held = memory()
    show(console, f"networks, medians of {args.rounds} rounds or more", rows)
    show(console, "kernel at HAR's layer, as a fraction of torch.mm's rate", rates)
    show(console, "bytes of HAR's sparse layers with gradients and Adam, S = 0.8", [held])
    machine = {
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": os.cpu_count(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    result = {"machine": machine, "rows": rows, "kernel": rates, "memory": held}
    with written_whole(args.json) as path:
        path.write_text(json.dumps(result, indent=1) + "\n")
    console.print(f"written to {args.json}")


if __name__ == "__main__":
    main()
