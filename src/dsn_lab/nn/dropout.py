"""Dropout whose masks a resumed training repeats."""

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Set a share of the values to 0 in training and scale the others up.

    The mask is a function of the first weights' random state and of how often the module has been
    called, which its state holds: so a training that is resumed goes on with the same masks.

    Args:
        share: probability of each value to be 0, in [0, 1).
    """

    seed: Tensor
    calls: Tensor

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.register_buffer("seed", torch.randint(2**31, ()))
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        """Drop values of ``x``, of any shape."""
        if not self.training or self.share == 0:
            return x
        generator = torch.Generator(x.device)
        generator.manual_seed((int(self.seed) << 32) + int(self.calls))
        self.calls += 1
        stays = torch.rand(x.shape, generator=generator, device=x.device) >= self.share
        return x * stays / (1 - self.share)
