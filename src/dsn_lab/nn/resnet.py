"""ResNet for time series (Wang, Yan, Oates, 2017)."""

from itertools import pairwise
from typing import Any, Literal

from pydantic import PositiveInt, validate_call
from torch import Tensor, nn

from dsn_lab.nn.keras import as_keras
from dsn_lab.prune.channels import INPUT, Axis, Channels, Prunable, Widths, norm_axes
from dsn_lab.registry import networks

Variant = Literal["paper", "authors"]
TAPS: dict[str, tuple[int, int, int]] = {"paper": (7, 5, 3), "authors": (8, 5, 3)}
BLOCKS = 3
DEPTH = 3  # convolutions of a block


class Block(nn.Module):
    """Three convolutions, each with BatchNorm, beside a shortcut; ReLU after the sum.

    Maps ``(batch, in_channels, time)`` to ``(batch, widths[-1], time)``. The shortcut is BatchNorm,
    after a convolution of one tap if it is ``projected``.
    """

    def __init__(
        self, in_channels: int, widths: tuple[int, ...], variant: Variant, *, projected: bool
    ) -> None:
        super().__init__()
        bias = variant == "authors"
        inputs = (in_channels, *widths[:-1])
        self.convolutions = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(before, width, taps, padding="same", bias=bias), nn.BatchNorm1d(width)
            )
            for before, width, taps in zip(inputs, widths, TAPS[variant], strict=True)
        )
        self.shortcut = nn.Sequential(nn.BatchNorm1d(widths[-1]))
        if projected:
            self.shortcut.insert(0, nn.Conv1d(in_channels, widths[-1], 1, bias=bias))
        # Their outputs are the feature maps.
        self.rectifiers = nn.ModuleList(nn.ReLU() for _ in widths)

    def forward(self, x: Tensor) -> Tensor:
        """Add the shortcut to the convolutions, rectify."""
        shortcut, (*within, end) = self.shortcut(x), self.rectifiers
        for conv, relu in zip(self.convolutions[:-1], within, strict=True):
            x = relu(conv(x))
        rectified: Tensor = end(self.convolutions[-1](x) + shortcut)
        return rectified


@networks.register("resnet", small={"widths": ((4,),) * (BLOCKS * DEPTH)})
class ResNet(Prunable):
    """Three blocks of three convolutions, each with a shortcut around it.

    Maps ``(batch, channel, time)`` to logits ``(batch, n_classes)``.

    Args:
        in_channels: channels of the series.
        n_classes: number of classes.
        variant: ``paper``, whose parameters DSN's Table 1 prints: kernels of 7, 5, 3 taps without
            biases; or ``authors``: 8, 5, 3 with biases, and Keras's first weights and BatchNorm.
        widths: filters of each of the nine convolutions.
        projected: of each block, whether its shortcut has a convolution; by default where the
            number of channels changes (a pruned network keeps what it had).

    Raises:
        ValueError: an argument is out of range, ``widths`` or ``projected`` do not fit together.
    """

    @validate_call
    def __init__(
        self,
        in_channels: PositiveInt,
        n_classes: PositiveInt,
        variant: Variant = "paper",
        widths: tuple[tuple[PositiveInt], ...] = ((64,),) * 3 + ((128,),) * 6,
        projected: tuple[bool, ...] | None = None,
    ) -> None:
        if len(widths) != BLOCKS * DEPTH:
            raise ValueError(f"widths={widths}: must be {BLOCKS * DEPTH} layers of one branch")
        ends = [in_channels, *(width for (width,) in widths[DEPTH - 1 :: DEPTH])]
        if projected is None:
            projected = tuple(a != b for a, b in pairwise(ends))
        for block, (convolved, before, after) in enumerate(
            zip(projected, ends[:-1], ends[1:], strict=True)
        ):
            if not convolved and before != after:
                raise ValueError(f"projected={projected}: block {block + 1} changes its channels")
        super().__init__(
            in_channels=in_channels,
            n_classes=n_classes,
            variant=variant,
            widths=widths,
            projected=projected,
        )
        self.blocks = nn.ModuleList(
            Block(
                ends[block],
                tuple(width for (width,) in widths[block * DEPTH : (block + 1) * DEPTH]),
                variant,
                projected=projected[block],
            )
            for block in range(BLOCKS)
        )
        self.pool = nn.AdaptiveAvgPool1d(1)
        self.classifier = nn.Linear(ends[-1], n_classes)
        if variant == "authors":
            as_keras(self)

    def forward(self, x: Tensor) -> Tensor:
        """Classify a batch of series ``(batch, channel, time)``; returns logits."""
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.classifier(self.pool(x).squeeze(-1))
        return logits

    @property
    def widths(self) -> Widths:
        """Filters of each convolution."""
        widths: Widths = self.arguments["widths"]
        return widths

    @property
    def shape(self) -> dict[str, Any]:
        """The widths, and where shortcuts have convolutions."""
        return {name: self.arguments[name] for name in ("widths", "projected")}

    @property
    def paper_counts(self) -> dict[str, int]:
        """The paper's tables see convolutions and BatchNorm twice, but of block 3's shortcut once.

        Of ReLU they see only what ends a block.
        """
        counts = {f"blocks.{BLOCKS - 1}.shortcut": 1}
        for block in range(BLOCKS):
            counts[f"blocks.{block}"] = 2
            counts[f"blocks.{block}.rectifiers"] = 0
            counts[f"blocks.{block}.rectifiers.{DEPTH - 1}"] = 1
        return counts

    def channels(self) -> Channels:
        """Each convolution feeds the next; a shortcut without one ties a block's end and start."""
        axes: dict[str, tuple[Axis | None, ...]] = {}
        maps, tied = [], []
        for layer in range(len(self.widths)):
            block, depth = divmod(layer, DEPTH)
            made: Axis = ((layer, 0),)
            prefix = f"blocks.{block}.convolutions.{depth}"
            before: Axis | None = ((layer - 1, 0),) if layer else None
            axes |= self._convolution(f"{prefix}.0", made, before) | norm_axes(f"{prefix}.1", made)
            maps.append(f"blocks.{block}.rectifiers.{depth}")
            if depth < DEPTH - 1:
                continue
            start = layer - DEPTH
            shortcut = f"blocks.{block}.shortcut"
            if self.arguments["projected"][block]:
                seen: Axis | None = ((start, 0),) if block else None
                axes |= self._convolution(f"{shortcut}.0", made, seen)
                axes |= norm_axes(f"{shortcut}.1", made)
            else:
                axes |= norm_axes(f"{shortcut}.0", made)
                tied.append((start if block else INPUT, layer))
        axes["classifier.weight"] = (None, ((len(self.widths) - 1, 0),))
        return Channels(tuple(maps), axes, tied=tuple(tied))

    def _convolution(
        self, prefix: str, made: Axis, consumed: Axis | None
    ) -> dict[str, tuple[Axis | None, ...]]:
        axes: dict[str, tuple[Axis | None, ...]] = {f"{prefix}.weight": (made, consumed)}
        if self.arguments["variant"] == "authors":
            axes[f"{prefix}.bias"] = (made,)
        return axes
