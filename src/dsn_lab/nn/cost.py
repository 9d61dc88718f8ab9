"""What a network costs: parameters and FLOPs, in one written definition.

FLOPs are two per multiply-add of the convolutions and linear layers, for one series; the rest of
a network (BatchNorm, ReLU, pooling) is not counted, as in the paper's tables. ``active`` counts
the weights that exist, ``dense`` the same layers with every kernel full.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dsn_lab.sparse.layer import SparseConv1d


@dataclass(frozen=True)
class Cost:
    """Parameters and FLOPs of a network for one series; the keys of a result."""

    params: int
    params_active: int
    flops: int
    flops_dense: int


def measure(network: nn.Module, in_channels: int, time: int) -> Cost:
    """Count parameters, and FLOPs for one series ``(1, in_channels, time)``.

    The layers' output lengths are observed in a forward pass of a copy that has shapes only.
    """
    network = copy.deepcopy(network).to("meta").eval()
    steps: dict[nn.Module, int] = {}

    def observe(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        steps[module] = output.shape[-1] if isinstance(module, nn.Conv1d | SparseConv1d) else 1

    counted = [m for m in network.modules() if _weights(m) != (0, 0)]
    for module in counted:
        module.register_forward_hook(observe)
    network(torch.zeros(1, in_channels, time, device="meta"))
    held = sum(p.numel() for p in network.parameters() if p.requires_grad)
    hidden = sum(dense - active for active, dense in map(_weights, counted))
    return Cost(
        params=held + hidden,
        params_active=held,
        flops=sum(2 * _weights(module)[0] * steps[module] for module in counted),
        flops_dense=sum(2 * _weights(module)[1] * steps[module] for module in counted),
    )


def _weights(module: nn.Module) -> tuple[int, int]:
    """Active and dense weights that each output step multiplies by."""
    if isinstance(module, SparseConv1d):
        out_channels, in_channels, kernel_size = module.shape
        return sum(module.active), out_channels * in_channels * kernel_size
    if isinstance(module, nn.Conv1d | nn.Linear):
        return module.weight.numel(), module.weight.numel()
    return 0, 0
