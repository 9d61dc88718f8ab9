"""Inception (Ismail Fawaz et al., 2020), the network of which InceptionTime is an ensemble."""

from typing import Any

import torch
from pydantic import NonNegativeInt, PositiveInt, validate_call
from torch import Tensor, nn

from dsn_lab.prune.channels import Axis, Channels, Prunable, branches, norm_axes
from dsn_lab.registry import networks

KERNELS = (40, 20, 10)
BOTTLENECK = 32
EVERY = 3  # a residual connection ends each third module


class Module(nn.Module):
    """Convolutions of three lengths behind a bottleneck, beside a pooled 1x1 convolution.

    Maps ``(batch, in_channels, time)`` to ``(batch, sum(widths), time)``, after BatchNorm. A branch
    of no filters is not there, nor is the bottleneck if nothing but the pooled branch is.
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...]) -> None:
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
                for branch, (width, taps) in enumerate(zip(long, KERNELS, strict=True))
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
    ) -> None:
        if not widths or any(len(module) != len(KERNELS) + 1 for module in widths):
            raise ValueError(f"widths={widths}: must be modules of {len(KERNELS) + 1} branches")
        if any(sum(module) < self.least_of_layer for module in widths):
            raise ValueError(f"widths={widths}: a module must have {self.least_of_layer} filters")
        super().__init__(in_channels=in_channels, n_classes=n_classes, widths=widths)
        outputs = [in_channels, *(sum(module) for module in widths)]
        self.blocks = nn.ModuleList(
            Module(channels, module) for channels, module in zip(outputs[:-1], widths, strict=True)
        )
        # Their outputs are the feature maps.
        self.rectifiers = nn.ModuleList(nn.ReLU() for _ in widths)
        self.shortcuts = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(outputs[last + 1 - EVERY], outputs[last + 1], 1, bias=False),
                nn.BatchNorm1d(outputs[last + 1]),
            )
            for last in self._residual_ends()
        )
        self.classifier = nn.Linear(outputs[-1], n_classes)

    def _residual_ends(self) -> range:
        return range(EVERY - 1, len(self.widths), EVERY)

    def forward(self, x: Tensor) -> Tensor:
        """Classify a batch of series ``(batch, channel, time)``; returns logits."""
        shortcuts = iter(self.shortcuts)
        residual = x
        for index, (block, relu) in enumerate(zip(self.blocks, self.rectifiers, strict=True)):
            x = block(x)
            if index in self._residual_ends():
                x = residual = relu(x.relu() + next(shortcuts)(residual))
            else:
                x = relu(x)
        logits: Tensor = self.classifier(x.mean(dim=-1))
        return logits

    @property
    def shape(self) -> dict[str, Any]:
        """The widths."""
        return {"widths": self.arguments["widths"]}

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
        for index, last in enumerate(self._residual_ends()):
            made = maps[last + 1]
            assert made is not None
            axes[f"shortcuts.{index}.0.weight"] = (made, maps[last + 1 - EVERY])
            axes |= norm_axes(f"shortcuts.{index}.1", made)
        axes["classifier.weight"] = (None, maps[-1])
        feature_maps = tuple(f"rectifiers.{layer}" for layer in range(len(self.widths)))
        return Channels(feature_maps, axes)
