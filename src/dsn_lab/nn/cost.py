"""What a network costs: parameters and FLOPs, in two written definitions.

Ours: two FLOPs per multiply-add of convolutions, linear layers and LSTMs, for one series; the rest
(BatchNorm, ReLU, pooling) is not counted. Every call counts: a layer that runs three times costs
three times. ``active`` counts the weights that exist, ``dense`` the same layers with every kernel
full.

The paper's: the rule behind the FLOPs of DSN's Tables 1 to 3, which is nowhere written and was
found from what they print (:func:`paper_flops`). It is there to set like beside like.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dsn_lab.nn.parallel import ParallelConv1d
from dsn_lab.sparse.layer import SparseConv1d

COUNTED = (
    *(SparseConv1d, nn.Conv1d, ParallelConv1d, nn.Linear, nn.LSTM),
    *(nn.BatchNorm1d, nn.ReLU, nn.AdaptiveAvgPool1d),
)


@dataclass(frozen=True)
class Cost:
    """Parameters and FLOPs of a network for one series; the keys of a result."""

    params: int
    params_active: int
    flops: int
    flops_dense: int
    flops_paper: int


def measure(network: nn.Module, in_channels: int, time: int) -> Cost:
    """Count parameters, and FLOPs for one series ``(1, in_channels, time)``.

    What the layers are given and return is observed in a forward pass of a copy that has shapes
    only. A network's ``paper_counts``, if it has them, say how often the paper's tables see what is
    within its module of a name (the longest that fits; 1 for all others).
    """
    network = copy.deepcopy(network).to("meta").eval()
    flops = {"active": 0, "dense": 0, "paper": 0.0}
    names = {module: name for name, module in network.named_modules()}
    counts: Mapping[str, int] = getattr(network, "paper_counts", {})

    def observe(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        shown = output[0] if isinstance(output, tuple) else output
        assert isinstance(shown, Tensor)
        active, dense = multiply_adds(module, shown)
        flops["active"] += 2 * active
        flops["dense"] += 2 * dense
        flops["paper"] += _times(names[module], counts) * paper_flops(module, inputs[0], shown)

    for module in names:
        if isinstance(module, COUNTED):
            module.register_forward_hook(observe)
    network(torch.zeros(1, in_channels, time, device="meta"))
    held = sum(p.numel() for p in network.parameters() if p.requires_grad)
    sparse = [module for module in names if isinstance(module, SparseConv1d)]
    hidden = sum(_kernels(layer) - sum(layer.active) for layer in sparse)
    return Cost(
        params=held + hidden,
        params_active=held,
        flops=round(flops["active"]),
        flops_dense=round(flops["dense"]),
        flops_paper=round(flops["paper"]),
    )


def multiply_adds(module: nn.Module, output: Tensor) -> tuple[int, int]:
    """Those of one call of a layer, for one series: of its active weights, of all.

    Args:
        module: any; 0 of one that has no such weights itself.
        output: what it returned ``(1, channel, time)`` or, of an LSTM, ``(1, time, cells)``; of a
            linear layer any shape.
    """
    if isinstance(module, SparseConv1d):
        return sum(module.active) * output.shape[-1], _kernels(module) * output.shape[-1]
    count = 0
    if isinstance(module, nn.Conv1d):
        count = module.weight.numel() * output.shape[-1]
    elif isinstance(module, ParallelConv1d):
        count = sum(part.weight.numel() for part in module.parts) * output.shape[-1]
    elif isinstance(module, nn.Linear):
        count = module.in_features * output.numel()
    elif isinstance(module, nn.LSTM):
        cells = module.hidden_size
        count = 4 * cells * (module.input_size + cells) * output.shape[1]
    return count, count


def paper_flops(module: nn.Module, given: Tensor, output: Tensor) -> float:
    """FLOPs of one call of a layer as the paper's tables count them, for one series.

    An output of a convolution of k taps takes ``(2 inputs - 1) k``, and 1 for a bias, times the
    density of a sparse one; of a linear layer ``2 inputs - 1``; of BatchNorm 4; of ``nn.ReLU`` 1;
    pooling one for each value in and out. An LSTM's multiply-adds count once. All else is 0.
    """
    if isinstance(module, SparseConv1d):
        outputs, inputs, taps = module.shape
        density = sum(module.active) / _kernels(module)
        return (2 * inputs - 1) * taps * density * outputs * output.shape[-1]
    if isinstance(module, nn.Conv1d | ParallelConv1d):
        parts = module.parts if isinstance(module, ParallelConv1d) else [module]
        return sum(map(_of_convolution, parts)) * output.shape[-1]
    if isinstance(module, nn.Linear):
        return (2 * module.in_features - 1) * output.numel()
    if isinstance(module, nn.LSTM):
        cells, steps = module.hidden_size, output.shape[1]
        return (4 * ((module.input_size + cells) * cells + 3 * cells) + 4 * cells) * steps
    if isinstance(module, nn.AdaptiveAvgPool1d):
        return given.numel() + output.numel()
    each_value = {nn.BatchNorm1d: 4, nn.ReLU: 1}.get(type(module), 0)
    return each_value * output.numel()


def _of_convolution(conv: nn.Conv1d) -> int:
    bias = 0 if conv.bias is None else 1
    each = (2 * conv.in_channels // conv.groups - 1) * conv.kernel_size[0] + bias
    return each * conv.out_channels


def _kernels(layer: SparseConv1d) -> int:
    out_channels, in_channels, kernel_size = layer.shape
    return out_channels * in_channels * kernel_size


def _times(name: str, counts: Mapping[str, int]) -> int:
    within = [prefix for prefix in counts if name == prefix or name.startswith(f"{prefix}.")]
    return counts[max(within, key=len)] if within else 1
