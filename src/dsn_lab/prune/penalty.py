"""The instance-wise sparsity loss, and how it reaches the feature maps of a network."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dsn_lab.prune.channels import Prunable

Reduction = Literal["sum", "mean"]


def instance_l21(feature_map: Tensor, reduction: Reduction) -> Tensor:
    """L2 over time, L1 over channels: ``sum_c ||F[b, c, :]||_2``, summed or averaged over ``b``.

    Args:
        feature_map: ``(batch, channel, time)``.
        reduction: ``sum`` over the batch, as the authors do, or ``mean``.
    """
    norms: Tensor = torch.linalg.vector_norm(feature_map, dim=-1).sum(dim=-1)
    return norms.sum() if reduction == "sum" else norms.mean()


class FeatureMaps:
    """The feature maps of a network's prunable filters in its latest forward pass.

    Args:
        network: describes its channels; is not changed but for hooks, until :meth:`remove`.
    """

    def __init__(self, network: Prunable) -> None:
        self.latest: list[Tensor] = [torch.empty(0)] * len(network.widths)
        self._handles = [
            self._watch(network.get_submodule(name), layer, sum(widths))
            for layer, (name, widths) in enumerate(
                zip(network.channels().feature_maps, network.widths, strict=True)
            )
        ]

    def _watch(self, module: nn.Module, layer: int, width: int) -> RemovableHandle:
        def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            self.latest[layer] = output[:, :width]

        return module.register_forward_hook(keep)

    def remove(self) -> None:
        """Take the hooks off the network."""
        for handle in self._handles:
            handle.remove()
