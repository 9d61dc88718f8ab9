"""What a GPU makes of a training step: python tests/bench/gpu.py; without one it says so and ends.

Beside the dense path as it is, one candidate: each kernel group convolved with its own taps (13, 26
and 39), 1.5 times fewer FLOPs in three calls. Times are medians, the GPU waited for.
"""

import time
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

from dsn_lab.nn import DSN
from dsn_lab.sparse.layer import SparseConv1d

TURNS, STEPS = 7, 20
# name, channels, time, classes, batch size
SHAPES = [
    ("ItalyPowerDemand", 1, 24, 2, 6),
    ("GunPoint", 1, 150, 2, 5),
    ("HAR", 9, 128, 6, 16),
    ("FordA", 1, 500, 2, 16),
    ("HAR, batch 256", 9, 128, 6, 256),
]


def by_group(layer: SparseConv1d, x: Tensor) -> Tensor:
    """The dense convolution of a layer padded on the right, each group with its own taps only."""
    widths = [region.kernels // layer.shape[1] for region in layer.regions]
    kernels = torch.split(layer.weight, widths)
    pieces = [
        F.conv1d(F.pad(x, (0, taps - 1), mode="replicate"), kernel[..., :taps])
        for kernel, taps in zip(kernels, layer.taps, strict=True)
    ]
    return torch.cat(pieces, dim=1)


def seconds(step: Callable[[], object], wait: Callable[[], None]) -> float:
    """Median seconds of a call."""
    for _ in range(3):
        step()
    measured = []
    for _ in range(TURNS):
        wait()
        started = time.perf_counter()
        for _ in range(STEPS):
            step()
        wait()
        measured.append((time.perf_counter() - started) / STEPS)
    return median(measured)


def main() -> None:
    """Print milliseconds a training step, and a layer forward and backward both ways."""
    console = Console()
    if not torch.cuda.is_available():
        console.print("no GPU here: nothing to measure")
        return
    device, wait = torch.device("cuda"), torch.cuda.synchronize
    table = Table("shape", "batch", "step", "series/s", "a layer, whole kernels", "by group")
    for name, channels, steps, n_classes, batch in SHAPES:
        network = DSN(channels, n_classes).to(device)
        optimizer = torch.optim.Adam(network.parameters(), lr=3e-4, fused=True)
        x = torch.randn(batch, channels, steps, device=device)
        y = torch.arange(batch, device=device) % n_classes
        layer = [m for m in network.modules() if isinstance(m, SparseConv1d)][-1]
        inner = torch.randn(batch, layer.shape[1], steps, device=device, requires_grad=True)

        def train(network: DSN = network, x: Tensor = x, y: Tensor = y) -> None:
            optimizer.zero_grad()  # noqa: B023
            torch.autograd.backward(F.cross_entropy(network(x), y))
            optimizer.step()  # noqa: B023

        step = seconds(train, wait)
        ways: list[Callable[[], Tensor]] = [
            lambda layer=layer, inner=inner: layer(inner),  # type: ignore[misc]
            lambda layer=layer, inner=inner: by_group(layer, inner),  # type: ignore[misc]
        ]
        whole, groups = (
            seconds(lambda way=way: torch.autograd.backward(way().sum()), wait)  # type: ignore[misc]
            for way in ways
        )
        times = [f"{each * 1e3:.2f} ms" for each in (step, whole, groups)]
        table.add_row(name, str(batch), times[0], f"{batch / step:,.0f}", *times[1:])
    console.print(table)
    console.print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {TURNS} turns")


if __name__ == "__main__":
    main()
