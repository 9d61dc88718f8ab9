"""The modules of a network as DSN makes it, and where their tensors are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dsn_lab import kernels
from dsn_lab.sparse.layer import SparseConv1d

POOLED_STEPS = 50  # as head.h has it
PER_LAYER = 7  # tensors: values, matrix; BatchNorm's weight, bias, mean, variance, batches seen
TRAINED = 4  # of these, the first ones

Block = tuple[nn.Conv1d | None, SparseConv1d, nn.BatchNorm1d]


@dataclass(frozen=True)
class Parts:
    """What a plan is made of, read once: the modules and where their tensors are.

    ``readers`` are the forward hooks of each block's ReLU, where feature maps are read; ``hooks``
    are all others.
    """

    modules: tuple[nn.Module, ...]
    blocks: tuple[Block, ...]
    classify: nn.Conv1d
    norms: tuple[nn.BatchNorm1d, ...]
    taps: tuple[Tensor, ...]
    sources: tuple[tuple[dict[str, Any], str], ...]
    readers: tuple[dict[int, Any], ...]
    hooks: tuple[dict[int, Any], ...]

    def tensors(self) -> list[Tensor | None]:
        """All parameters and statistics as they are now."""
        return [held[name] for held, name in self.sources]

    def trained(self, tensors: list[Tensor | None]) -> list[Tensor | None]:
        """Of those, the parameters, in the order of :meth:`Tensors.gradients`."""
        return [tensor for n, tensor in enumerate(tensors) if n % PER_LAYER < TRAINED]

    def settings(self) -> tuple[Any, ...]:
        """All else that a pass depends on."""
        return tuple((norm.eps, norm.momentum) for norm in self.norms)


def read_parts(features: nn.Sequential, classifier: nn.Sequential) -> Parts | None:
    """Read a network that is as DSN makes it; None if a module has been exchanged."""
    blocks: list[Block] = []
    readers: list[dict[int, Any]] = []
    rest = iter(features)
    for module in rest:
        mix = module if type(module) is nn.Conv1d else None
        conv, norm, relu = module if mix is None else next(rest, None), *_two(rest)
        if (
            type(conv) is not SparseConv1d
            or type(norm) is not nn.BatchNorm1d
            or type(relu) is not nn.ReLU
            or (blocks and mix is None)
        ):
            return None
        blocks.append((mix, conv, norm))
        readers.append(relu._forward_hooks)
    pool, classify, last = classifier if len(classifier) == 3 else (None, None, None)
    if (
        not blocks
        or type(pool) is not nn.AdaptiveAvgPool1d
        or pool.output_size != POOLED_STEPS
        or type(classify) is not nn.Conv1d
        or type(last) is not nn.BatchNorm1d
    ):
        return None
    norms = (*(norm for *_, norm in blocks), last)
    if not _as_made(blocks, classify, norms):
        return None
    modules = (*features, *classifier)
    hooks = tuple(
        getattr(module, f"_{when}_hooks")
        for module in modules
        for when in ("forward", "forward_pre", "backward", "backward_pre")
        if when != "forward" or type(module) is not nn.ReLU
    )
    sources = _tensors_of(blocks, classify, norms)
    return Parts(modules, tuple(blocks), classify, norms, *sources, tuple(readers), hooks)


def _as_made(blocks: list[Block], classify: nn.Conv1d, norms: Sequence[nn.BatchNorm1d]) -> bool:
    mixes = [classify, *(mix for mix, *_ in blocks if mix is not None)]
    convs = [conv for _, conv, _ in blocks]
    return (
        all(m.kernel_size == (1,) and m.bias is None and m.groups == 1 for m in mixes)
        and all(norm.affine and norm.track_running_stats for norm in norms)
        and len({(conv.padding, conv.shape[2]) for conv in convs}) == 1
        and all(kernels.fits(conv.shape) for conv in convs)
    )


def _two(modules: Iterator[nn.Module]) -> tuple[nn.Module | None, nn.Module | None]:
    return next(modules, None), next(modules, None)


def _tensors_of(
    blocks: list[Block], classify: nn.Conv1d, norms: Sequence[nn.BatchNorm1d]
) -> tuple[tuple[Tensor, ...], tuple[tuple[dict[str, Any], str], ...]]:
    """Taps of each output, and where parameters and statistics are."""
    sources: list[tuple[dict[str, Any], str]] = []
    nothing: dict[str, Any] = {"": None}
    convolutions = [*((conv, mix) for mix, conv, _ in blocks), (None, classify)]
    for (conv, mix), norm in zip(convolutions, norms, strict=True):
        sources += [
            (nothing, "") if conv is None else (conv._parameters, "values"),
            (nothing, "") if mix is None else (mix._parameters, "weight"),
            (norm._parameters, "weight"),
            (norm._parameters, "bias"),
            (norm._buffers, "running_mean"),
            (norm._buffers, "running_var"),
            (norm._buffers, "num_batches_tracked"),
        ]
    taps = tuple(
        torch.cat([torch.full((r.kernels // conv.shape[1],), r.taps).int() for r in conv.regions])
        for _, conv, _ in blocks
    )
    return taps, tuple(sources)
