"""OS-CNN, the omni-scale network (Tang et al., ICLR 2022)."""

from collections.abc import Sequence

from pydantic import PositiveInt, validate_call
from torch import Tensor, nn

from dsn_lab.nn.parallel import ParallelConv1d
from dsn_lab.registry import networks

LONGEST = 89  # taps, however long the series are
BUDGET = 1024  # weights of the first layer, for each channel
SECOND = 224  # times as many has the second layer


def kernel_lengths(length: int, longest: int = LONGEST) -> list[int]:
    """1 and the primes up to a quarter of the series' length, and to ``longest``.

    Raises:
        ValueError: a series is shorter than four steps.
    """
    if length < 4:
        raise ValueError(f"series of {length} steps: OS-CNN needs 4 steps at least")
    most = min(length // 4, longest)
    return [1] + [n for n in range(2, most + 1) if all(n % m for m in range(2, int(n**0.5) + 1))]


@networks.register("oscnn", small={"longest": 5, "budget": 24})
class OSCNN(nn.Module):
    """Three layers of convolutions of all prime lengths, so that every receptive field occurs.

    Maps ``(batch, channel, time)`` to logits ``(batch, n_classes)``. How many filters a length has
    follows from the series: parameters are about as many for each dataset. The authors' code masks
    kernels of the longest length; here weights that are always 0 do not exist.

    Args:
        in_channels: channels of the series.
        n_classes: number of classes.
        length: steps of the series.
        longest: taps of the longest kernel at most.
        budget: weights of the first layer, for each channel; the second has 224 times as many.

    Raises:
        ValueError: an argument is out of range, or the series are too short.
    """

    @validate_call
    def __init__(
        self,
        in_channels: PositiveInt,
        n_classes: PositiveInt,
        length: PositiveInt,
        longest: PositiveInt = LONGEST,
        budget: PositiveInt = BUDGET,
    ) -> None:
        super().__init__()
        taps = kernel_lengths(length, longest)
        width = max(1, budget // sum(taps))
        inner = max(1, SECOND * budget // (len(taps) * width * sum(taps)))
        outer = len(taps) * width
        self.layers = nn.ModuleList(
            (
                _layer(in_channels, width, taps),
                _layer(len(taps) * width, inner, taps),
                _layer(len(taps) * inner, outer, (1, 2)),
            )
        )
        self.pool = nn.AdaptiveAvgPool1d(1)
        self.classifier = nn.Linear(2 * outer, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Classify a batch of series ``(batch, channel, time)``; returns logits."""
        for layer in self.layers:
            x = layer(x).relu()
        logits: Tensor = self.classifier(self.pool(x).squeeze(-1))
        return logits


def _layer(in_channels: int, width: int, taps: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(
        ParallelConv1d(in_channels, width, taps), nn.BatchNorm1d(width * len(taps))
    )
