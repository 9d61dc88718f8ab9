"""The dynamic sparse network (Xiao et al., NeurIPS 2022, Fig. 3)."""

from pydantic import PositiveInt, validate_call
from torch import Tensor, nn

from dsn_lab.nn.sparse_conv import Padding, SparseConv1d, Sparsity, Start

POOLED_STEPS = 50


class DSN(nn.Module):
    """``depth`` sparse convolutions with 1x1 convolutions between them, then a pooled classifier.

    Maps ``(batch, channel, time)`` to logits ``(batch, n_classes)``. Each sparse convolution has
    ``3 * width`` output channels in ``groups`` kernel groups and is followed by BatchNorm and
    ReLU. The dense twin is ``groups=1, sparsity=0``.

    Args:
        in_channels: channels of the series.
        n_classes: number of classes.
        width: c in the paper's ``c -> 3c``.
        depth: number of sparse convolutions.
        kernel_size: taps of the largest exploration region.
        groups: kernel groups N; must divide ``3 * width``.
        sparsity: share of each exploration region that is not active, in [0, 1).
        padding: ``replicate`` or ``zeros``, see :class:`SparseConv1d`.
        start: first topology, ``tap_first`` or ``random``.

    Raises:
        ValueError: an argument is out of range, or ``groups`` does not divide ``3 * width``.
    """

    @validate_call
    def __init__(
        self,
        in_channels: PositiveInt,
        n_classes: PositiveInt,
        width: PositiveInt = 47,
        depth: PositiveInt = 4,
        kernel_size: PositiveInt = 39,
        groups: PositiveInt = 3,
        sparsity: Sparsity = 0.8,
        padding: Padding = "replicate",
        start: Start = "tap_first",
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for _ in range(depth):
            if channels > 1:
                layers.append(nn.Conv1d(channels, width, 1, bias=False))
                channels = width
            layers += [
                SparseConv1d(
                    channels,
                    3 * width,
                    kernel_size,
                    groups=groups,
                    sparsity=sparsity,
                    padding=padding,
                    start=start,
                ),
                nn.BatchNorm1d(3 * width),
                nn.ReLU(),
            ]
            channels = 3 * width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool1d(POOLED_STEPS),
            nn.Conv1d(channels, n_classes, 1, bias=False),
            nn.BatchNorm1d(n_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Classify a batch of series ``(batch, channel, time)``; returns logits."""
        logits: Tensor = self.classifier(self.features(x)).mean(dim=-1)
        return logits
