"""Inception (Ismail Fawaz et al., 2020), the network of which InceptionTime is an ensemble."""

from itertools import pairwise
from typing import Any, Literal

import torch
from pydantic import NonNegativeInt, PositiveInt, validate_call
from torch import Tensor, nn

from dsn_lab.prune.channels import INPUT, Axis, Channels, Prunable, branches, norm_axes
from dsn_lab.registry import networks

Variant = Literal["paper", "authors"]
KERNELS = {"authors": (40, 20, 10), "paper": (39, 19, 9)}
BRANCHES = 4
BOTTLENECK = 32
EVERY = 3  # a residual connection ends each third module


class Module(nn.Module):
    """Convolutions of three lengths behind a bottleneck, beside a pooled 1x1 convolution.

    Maps ``(batch, in_channels, time)`` to ``(batch, sum(widths), time)``, after BatchNorm. A branch
    of no filters is not there, nor is the bottleneck if nothing but the pooled branch is.
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...], variant: Variant) -> None:
        super().__init__()
        *long, pooled = widths
        reduced = BOTTLENECK if in_channels > 1 else 1
        self.bottleneck = (
            nn.Conv1d(in_channels, reduced, 1, bias=False)
            if in_channels > 1 and any(long)
            else nn.Identity()
        )
        self.convolutions = nn.ModuleDict(
            {
                str(branch): nn.Conv1d(reduced, width, taps, padding="same", bias=False)
                for branch, (width, taps) in enumerate(zip(long, KERNELS[variant], strict=True))
                if width
            }
        )
        self.pooled = (
            nn.Sequential(
                nn.MaxPool1d(3, stride=1, padding=1), nn.Conv1d(in_channels, pooled, 1, bias=False)
            )
            if pooled
            else None
        )
        self.norm = nn.BatchNorm1d(sum(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate the branches and normalise."""
        reduced = self.bottleneck(x)
        maps = [conv(reduced) for conv in self.convolutions.values()]
        if self.pooled is not None:
            maps.append(self.pooled(x))
        normed: Tensor = self.norm(torch.cat(maps, dim=1))
        return normed


@networks.register("inception", small={"widths": ((2, 2, 2, 2),) * 3})
class Inception(Prunable):
    """Inception modules with a residual connection around every three of them.

    Maps ``(batch, channel, time)`` to logits ``(batch, n_classes)``. With the default widths and
    one channel it has 420192 parameters and the classifier's.

    Args:
        in_channels: channels of the series.
        n_classes: number of classes.
        widths: filters of the four branches (kernels of 40, 20, 10 taps; pooled) of each module;
            0 for a branch that is not there.
        variant: ``authors``, InceptionTime's; or ``paper``, whose parameters DSN's Table 1 prints:
            kernels of 39, 19, 9 taps, and no convolution in a shortcut between equal widths.
        projected: of each shortcut, whether it has a convolution; by default as ``variant`` says
            (a pruned network keeps what it had).

    Raises:
        ValueError: an argument is out of range, a module has not 4 branches or less than 2 filters.
    """

    least_of_branch = 0
    least_of_layer = 2  # one channel would need no bottleneck

    @validate_call
    def __init__(
        self,
        in_channels: PositiveInt,
        n_classes: PositiveInt,
        widths: tuple[tuple[NonNegativeInt, ...], ...] = ((32, 32, 32, 32),) * 6,
        variant: Variant = "authors",
        projected: tuple[bool, ...] | None = None,
    ) -> None:
        if not widths or any(len(module) != BRANCHES for module in widths):
            raise ValueError(f"widths={widths}: must be modules of {BRANCHES} branches")
        if any(sum(module) < self.least_of_layer for module in widths):
            raise ValueError(f"widths={widths}: a module must have {self.least_of_layer} filters")
        projected = projected or _projected(in_channels, widths, variant)
        super().__init__(
            in_channels=in_channels,
            n_classes=n_classes,
            widths=widths,
            variant=variant,
            projected=projected,
        )
        outputs = [in_channels, *(sum(module) for module in widths)]
        self.blocks = nn.ModuleList(
            Module(channels, module, variant)
            for channels, module in zip(outputs[:-1], widths, strict=True)
        )
        # Their outputs are the feature maps.
        self.rectifiers = nn.ModuleList(nn.ReLU() for _ in widths)
        self.shortcuts = nn.ModuleList(
            nn.Sequential(
                *([_pointwise(outputs[last + 1 - EVERY], outputs[last + 1])] if convolved else []),
                nn.BatchNorm1d(outputs[last + 1]),
            )
            for last, convolved in zip(_residual_ends(widths), projected, strict=True)
        )
        # The mean by other words, and to the last bit another one.
        self.pool = nn.AdaptiveAvgPool1d(1) if variant == "paper" else None
        self.classifier = nn.Linear(outputs[-1], n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Classify a batch of series ``(batch, channel, time)``; returns logits."""
        shortcuts = iter(self.shortcuts)
        residual = x
        for index, (block, relu) in enumerate(zip(self.blocks, self.rectifiers, strict=True)):
            x = block(x)
            if index in _residual_ends(self.widths):
                x = residual = relu(x.relu() + next(shortcuts)(residual))
            else:
                x = relu(x)
        pooled = x.mean(dim=-1) if self.pool is None else self.pool(x).squeeze(-1)
        logits: Tensor = self.classifier(pooled)
        return logits

    @property
    def shape(self) -> dict[str, Any]:
        """The widths; where they do not follow from the variant, shortcuts with a convolution."""
        names = ("widths",) if self.arguments["variant"] == "authors" else ("widths", "projected")
        return {name: self.arguments[name] for name in names}

    @property
    def paper_counts(self) -> dict[str, int]:
        """The paper's tables see the first shortcut twice, and every ReLU."""
        ends = _residual_ends(self.widths)
        return {"shortcuts.0": 2} | {f"rectifiers.{last}": 2 for last in ends}

    def channels(self) -> Channels:
        """Each module feeds the next; the end of a residual connection shares its channels."""
        maps: list[Axis | None] = [None]
        maps += [branches(layer, module) for layer, module in enumerate(self.widths)]
        axes: dict[str, tuple[Axis | None, ...]] = {}
        for layer, module in enumerate(self.widths):
            prefix, consumed, made = f"blocks.{layer}", maps[layer], maps[layer + 1]
            assert made is not None
            *long, pooled = range(len(module))
            for branch in long:
                if module[branch]:
                    axes[f"{prefix}.convolutions.{branch}.weight"] = (((layer, branch),),)
            if module[pooled]:
                axes[f"{prefix}.pooled.1.weight"] = (((layer, pooled),), consumed)
            axes |= norm_axes(f"{prefix}.norm", made)
            if layer > 0 and any(module[:pooled]):
                axes[f"{prefix}.bottleneck.weight"] = (None, consumed)
        tied = []
        for index, last in enumerate(_residual_ends(self.widths)):
            made = maps[last + 1]
            assert made is not None
            if self.arguments["projected"][index]:
                axes[f"shortcuts.{index}.0.weight"] = (made, maps[last + 1 - EVERY])
                axes |= norm_axes(f"shortcuts.{index}.1", made)
            else:
                axes |= norm_axes(f"shortcuts.{index}.0", made)
                tied.append((last - EVERY if index else INPUT, last))
        axes["classifier.weight"] = (None, maps[-1])
        feature_maps = tuple(f"rectifiers.{layer}" for layer in range(len(self.widths)))
        return Channels(feature_maps, axes, tied=tuple(tied))


def _residual_ends(widths: tuple[tuple[int, ...], ...]) -> range:
    return range(EVERY - 1, len(widths), EVERY)


def _projected(
    in_channels: int, widths: tuple[tuple[int, ...], ...], variant: Variant
) -> tuple[bool, ...]:
    ends = [widths[last] for last in _residual_ends(widths)]
    unequal = [before != after for before, after in pairwise(ends)]
    first = [in_channels != sum(end) for end in ends[:1]]
    return tuple(variant == "authors" or differs for differs in first + unequal)


def _pointwise(in_channels: int, out_channels: int) -> nn.Conv1d:
    return nn.Conv1d(in_channels, out_channels, 1, bias=False)
