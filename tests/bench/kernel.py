"""Time the native kernel beside the dense convolution and a matrix product, interleaved.

Usage: ``python tests/bench/kernel.py [repeats] [threads]``. Each line is one shape and sparsity:
milliseconds of each pass of the kernel (median of CPU time per thread), how many times faster it
is than the dense convolution's, and its multiply-adds as a share of the matrix product's rate.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from dsn_lab import kernels
from dsn_lab.nn import SparseConv1d

# name, time, batch, sparsity
CASES = [
    ("HAR", 128, 16, 0.8),
    ("HAR", 128, 16, 0.5),
    ("HAR", 128, 16, 0.9),
    ("HAR", 128, 16, 0.95),
    ("HAR", 128, 1, 0.8),
    ("EEG2", 256, 16, 0.8),
    ("GunPoint", 150, 5, 0.8),
    ("GunPoint", 150, 1, 0.8),
    ("FordA", 500, 16, 0.8),
    ("FordA", 500, 1, 0.8),
    ("short", 24, 2, 0.8),
]
Work = Callable[[], object]


def interleaved(works: dict[str, Work], repeats: int) -> dict[str, float]:
    """Median milliseconds of each, one call of each after another."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    taken: dict[str, list[float]] = {name: [] for name in works}
    for repeat in range(repeats + 2):
        for name, work in works.items():
            start = clock()
            work()
            if repeat >= 2:
                taken[name].append(clock() - start)
    return {name: 1e3 * statistics.median(times) for name, times in taken.items()}


def measure(name: str, steps: int, batch: int, sparsity: float, repeats: int) -> str:
    """Time one shape."""
    torch.manual_seed(0)
    layer = SparseConv1d(47, 141, 39, groups=3, sparsity=sparsity, start="random")
    # As after many updates: no longer ascending.
    positions = torch.cat(
        [
            part[torch.randperm(len(part))]
            for part in torch.split(layer.positions, list(layer.active))
        ]
    )
    values, padding, shape = layer.values.detach(), layer.padding, layer.shape
    packed = kernels.pack(positions, shape)
    x, g = torch.randn(47, steps, batch), torch.randn(141, steps, batch)
    frame = kernels.input_frame(packed, steps, batch, padding).copy_(x)
    framed = kernels.gradient_frame(packed, steps, batch, padding).copy_(g)
    y, dx = torch.empty_like(g), torch.empty_like(x)
    padded = F.pad(x.permute(2, 0, 1), (0, 38), mode="replicate").contiguous().requires_grad_()
    kernel = layer.weight.detach().requires_grad_()
    out, grad = F.conv1d(padded, kernel), g.permute(2, 0, 1).contiguous()
    a, b = torch.randn(512, 1024), torch.randn(1024, 512)
    works: dict[str, Work] = {
        "forward": lambda: kernels.forward(frame, values, packed, padding, out=y),
        "dx": lambda: kernels.input_gradient(framed, values, packed, padding, out=dx),
        "dw": lambda: kernels.weight_gradient(frame, framed, packed, padding),
        "matmul": lambda: torch.mm(a, b),
        "pack": lambda: kernels.pack(positions, shape),
        "copies": lambda: (frame.copy_(x), framed.copy_(g)),
        "dense": lambda: F.conv1d(padded.detach(), kernel.detach()),
        "dense_backward": lambda: torch.autograd.grad(
            out, (padded, kernel), grad, retain_graph=True
        ),
    }
    ms = interleaved(works, repeats)
    work = packed.active * steps * batch / 1e6
    peak = 512 * 512 * 1024 / 1e6 / ms["matmul"]
    parts = [f"{part} {ms[part]:6.3f} ({work / ms[part] / peak:4.0%})" for part in works][:3]
    return (
        f"{name:8} S={sparsity:4} {steps}x{batch:<2}  {'  '.join(parts)}  "
        f"forward x{ms['dense'] / ms['forward']:.1f}  "
        f"backward x{ms['dense_backward'] / (ms['dx'] + ms['dw']):.1f}  "
        f"dense {ms['dense']:.1f}+{ms['dense_backward']:.1f}  copies {ms['copies']:.2f}  "
        f"pack {ms['pack']:.2f}  matmul {2 * peak:.0f} GFLOP/s"
    )


def main() -> None:
    """Print a line per shape."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    for case in CASES:
        print(measure(*case, repeats), flush=True)


if __name__ == "__main__":
    main()
