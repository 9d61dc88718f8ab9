"""Effective neighbour receptive fields of sparse kernels (Eq. 2)."""

import torch
from torch import Tensor


def enrf_sizes(mask: Tensor) -> Tensor:
    """Eq. 2: last active tap - first active tap + 1 of each kernel, 0 where none is active.

    Args:
        mask: where weights are active, bool, ``(out_channels, in_channels, kernel_size)``.

    Returns:
        Integers ``(out_channels, in_channels)`` in ``[0, kernel_size]``.
    """
    taps = torch.arange(mask.shape[-1], device=mask.device)
    last = torch.where(mask, taps, -1).amax(dim=-1)
    first = torch.where(mask, taps, mask.shape[-1]).amin(dim=-1)
    return torch.where(mask.any(dim=-1), last - first + 1, 0)
