"""Parts of DSN on ``(channel, time, batch)``, the native kernel's layout, where a 1x1 convolution
is one matrix product and BatchNorm sees one row a channel."""

import torch
from torch import Tensor, nn

from dsn_lab.kernels import Normalisation
from dsn_lab.sparse.layer import SparseConv1d


def mix_rows(conv: nn.Conv1d, rows: Tensor) -> Tensor:
    """A 1x1 convolution."""
    mixed = conv.weight.squeeze(-1) @ rows.reshape(len(rows), -1)
    return mixed.view(-1, *rows.shape[1:])


def block_rows(
    rows: Tensor, mix: nn.Conv1d | None, conv: nn.Module, norm: nn.Module, relu: nn.Module
) -> Tensor:
    """One block of the network: 1x1 convolution (if any), sparse convolution, BatchNorm and ReLU.

    All in one go, unless the convolution is dense (for an observer of its dense gradient, if
    nothing else) or ReLU has hooks, which see and replace ``(batch, channel, time)`` as without the
    kernel.
    """
    assert isinstance(conv, SparseConv1d)
    assert isinstance(norm, nn.BatchNorm1d)
    packed = conv.is_packed(rows) and conv.observer is None
    if packed and not relu._forward_hooks:
        return _fused(rows, mix, conv, norm)
    if mix is not None:
        rows = mix_rows(mix, rows)
    rows = conv.forward_rows(rows) if packed else conv(rows.permute(2, 0, 1)).permute(1, 2, 0)
    channels, time, batch = rows.shape
    rows = norm(rows.reshape(1, channels, -1)).view(channels, time, batch)
    seen_by_hooks: Tensor = relu(rows.permute(2, 0, 1))
    return seen_by_hooks.permute(1, 2, 0)


def _fused(rows: Tensor, mix: nn.Conv1d | None, conv: SparseConv1d, norm: nn.BatchNorm1d) -> Tensor:
    mean, variance, seen = norm.running_mean, norm.running_var, norm.num_batches_tracked
    assert mean is not None
    assert variance is not None
    assert seen is not None
    parts = norm.weight, norm.bias
    mixing = None if mix is None else mix.weight.squeeze(-1)
    if not norm.training:
        fixed = Normalisation(*parts, mean, variance, norm.eps, fixed=True)
        return conv.forward_rows(rows, mixing, fixed)
    count = rows[0].numel()
    if count == 1:
        raise ValueError("BatchNorm needs more than one value a channel in training")
    found = torch.empty_like(mean), torch.empty_like(variance)
    rows = conv.forward_rows(rows, mixing, Normalisation(*parts, *found, norm.eps, fixed=False))
    seen.add_(1)
    weight = 1 / float(seen) if norm.momentum is None else norm.momentum
    mean.lerp_(found[0], weight)
    variance.lerp_(found[1] * (count / (count - 1)), weight)
    return rows
