"""A mean over the steps of an epoch."""

from torch import Tensor


class Mean:
    """A sum and a count that grow by a step's; nothing is read from the device before the end.

    As torchmetrics' ``MeanMetric``, without its bookkeeping, which takes a tenth of a small
    network's step.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.total: Tensor | float = 0.0
        self.count = 0

    def update(self, total: Tensor | float, count: int) -> None:
        """Add a step's sum of ``count`` values."""
        self.total = self.total + total
        self.count += count

    def compute(self) -> float:
        """The mean."""
        return float(self.total / self.count)
