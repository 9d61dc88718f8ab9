"""How a sparsity loss reaches the feature maps of a network."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dsn_lab.prune.channels import Prunable


class ReadOnly:
    """A forward hook that reads a module's output, and nothing else.

    So a network need not run the module, if it has other ways to what the module would return.
    """

    def __init__(self, read: Callable[[Tensor], None]) -> None:
        self.read = read

    def __call__(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        """What torch calls."""
        self.read(output)


class FeatureMaps:
    """The feature maps of a network's prunable filters in its latest forward pass.

    Args:
        network: describes its channels; is not changed but for hooks, until :meth:`remove`.
        beside: with the maps beside them, of filters that cannot go (LITE's frozen ones).
    """

    def __init__(self, network: Prunable, *, beside: bool = False) -> None:
        self.latest: list[Tensor] = [torch.empty(0)] * len(network.widths)
        self._handles = [
            self._watch(network.get_submodule(name), layer, None if beside else sum(widths))
            for layer, (name, widths) in enumerate(
                zip(network.channels().feature_maps, network.widths, strict=True)
            )
        ]

    def _watch(self, module: nn.Module, layer: int, width: int | None) -> RemovableHandle:
        def keep(output: Tensor) -> None:
            self.latest[layer] = output[:, :width]

        return module.register_forward_hook(ReadOnly(keep))

    def remove(self) -> None:
        """Take the hooks off the network."""
        for handle in self._handles:
            handle.remove()
