"""Drop by magnitude (Algorithm 1; SET, RigL)."""

from torch import Tensor

from dsn_lab.registry import drops


@drops.register("magnitude")
def magnitude(values: Tensor, gradient: Tensor) -> Tensor:
    """``|value|``: the weights nearest to 0 go."""
    return values.abs()
