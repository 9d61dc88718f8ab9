"""Drop by saliency (Molchanov et al., "Pruning convolutional neural networks", ICLR 2017)."""

from torch import Tensor

from dsn_lab.registry import drops


@drops.register("saliency")
def saliency(values: Tensor, gradient: Tensor) -> Tensor:
    """``|value * gradient|``: to first order, what the loss changes by without the weight."""
    return (values * gradient).abs()
