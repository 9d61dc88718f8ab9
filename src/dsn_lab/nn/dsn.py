"""The dynamic sparse network (Xiao et al., NeurIPS 2022, Fig. 3)."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveInt, validate_call
from torch import Tensor, nn

from dsn_lab.nn.parts import POOLED_STEPS
from dsn_lab.nn.rows import block_rows, mix_rows
from dsn_lab.nn.whole import Whole
from dsn_lab.prune.channels import Axis, Channels, Prunable, Widths, branches, norm_axes
from dsn_lab.registry import distributions, networks
from dsn_lab.sparse.layer import Backend, Padding, SparseConv1d, Sparsity, Start
from dsn_lab.sparse.regions import group_widths, region_taps


@networks.register("dsn", small={"width": 4, "kernel_size": 9, "depth": 3})
class DSN(Prunable):
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
        distribution: of the active weights over layers and groups, a module's of
            ``sparse/distribution``: ``uniform`` density, as in the paper, or ``erk``.
        widths: output channels of each group of each sparse convolution, instead of those that
            ``width`` and ``depth`` give (a pruned network's).
        active: active weights of each group of each sparse convolution, likewise.
        backend: ``auto``, ``dense`` or ``packed``, see :class:`SparseConv1d`.

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
        backend: Backend = "auto",
        distribution: str = "uniform",
        widths: tuple[tuple[PositiveInt, ...], ...] | None = None,
        active: tuple[tuple[NonNegativeInt, ...], ...] | None = None,
    ) -> None:
        widths = widths or (group_widths(3 * width, groups),) * depth
        super().__init__(
            in_channels=in_channels,
            n_classes=n_classes,
            width=width,
            depth=depth,
            kernel_size=kernel_size,
            groups=groups,
            sparsity=sparsity,
            padding=padding,
            start=start,
            backend=backend,
            distribution=distribution,
            widths=widths,
        )
        if len(widths) != depth or (active and len(active) != depth):
            raise ValueError(f"widths={widths}, active={active}: must have {depth} layers")
        if active is None:
            active = _distributed(distribution, widths, kernel_size, sparsity, in_channels, width)
        layers: list[nn.Module] = []
        channels = in_channels
        for layer, outputs in enumerate(widths):
            if channels > 1:
                layers.append(nn.Conv1d(channels, width, 1, bias=False))
                channels = width
            layers += [
                SparseConv1d(
                    channels,
                    outputs,
                    kernel_size,
                    groups=groups,
                    sparsity=sparsity,
                    active=active[layer],
                    padding=padding,
                    start=start,
                    backend=backend,
                ),
                nn.BatchNorm1d(sum(outputs)),
                nn.ReLU(inplace=True),
            ]
            channels = sum(outputs)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool1d(POOLED_STEPS),
            nn.Conv1d(channels, n_classes, 1, bias=False),
            nn.BatchNorm1d(n_classes),
        )
        self._whole = Whole()

    @property
    def shape(self) -> dict[str, Any]:
        """Widths and active weights of the groups."""
        active = tuple(layer.active for layer in self._sparse_layers())
        return {"widths": self.arguments["widths"], "active": active}

    @property
    def paper_counts(self) -> dict[str, int]:
        """The paper's tables see the classifier's convolution and BatchNorm twice."""
        return {"classifier.1": 2, "classifier.2": 2}

    def _sparse_layers(self) -> Iterator[SparseConv1d]:
        return (module for module in self.features if isinstance(module, SparseConv1d))

    def channels(self) -> Channels:
        """Each sparse convolution feeds the next 1x1 convolution, the last one the classifier."""
        axes: dict[str, tuple[Axis | None, ...]] = {}
        sparse: dict[str, tuple[Axis | None, Axis | None]] = {}
        feature_maps = []
        made: Axis | None = None
        for name, module in self.features.named_children():
            prefix = f"features.{name}"
            if isinstance(module, SparseConv1d):
                made = branches(len(sparse), module.active)
                sparse[prefix] = (made, None)
            elif isinstance(module, nn.Conv1d):
                axes[f"{prefix}.weight"] = (None, made)
            elif isinstance(module, nn.ReLU):
                feature_maps.append(prefix)
            elif made is not None:
                axes |= norm_axes(prefix, made)
        axes["classifier.1.weight"] = (None, made)
        return Channels(tuple(feature_maps), axes, sparse)

    def forward(self, x: Tensor) -> Tensor:
        """Classify a batch of series ``(batch, channel, time)``; returns logits."""
        planned = self._whole.forward(self.features, self.classifier, x)
        if planned is not None:
            return planned
        if any(layer.is_packed(x) for layer in self._sparse_layers()):
            return self._forward_rows(x)
        logits: Tensor = self.classifier(self.features(x)).mean(dim=-1)
        return logits

    def step(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], None]] | None:
        """A step of training without a graph, see :meth:`Whole.step`; None where it takes one."""
        return self._whole.step(self.features, self.classifier, x)

    def _forward_rows(self, x: Tensor) -> Tensor:
        """The same on ``(channel, time, batch)``, the native kernel's layout, from entry to exit.

        There a 1x1 convolution is one matrix product and BatchNorm sees one row a channel.
        """
        batch = len(x)
        rows = x.permute(1, 2, 0)
        modules = iter(self.features)
        for module in modules:
            mix = module if isinstance(module, nn.Conv1d) else None
            conv = module if mix is None else next(modules)
            rows = block_rows(rows, mix, conv, next(modules), next(modules))
        _, classify, normalise = self.classifier
        assert isinstance(classify, nn.Conv1d)
        # Mixing channels and averaging over time commute; classes are fewer than channels.
        pooled = F.adaptive_avg_pool2d(mix_rows(classify, rows), (POOLED_STEPS, batch))
        logits: Tensor = normalise(pooled.reshape(1, -1, POOLED_STEPS * batch))
        return logits.view(-1, POOLED_STEPS, batch).mean(dim=1).t()


def _distributed(
    distribution: str,
    widths: Widths,
    kernel_size: int,
    sparsity: float,
    in_channels: int,
    width: int,
) -> Widths:
    """Active weights of each group of each sparse convolution."""
    shapes, channels = [], in_channels
    for outputs in widths:
        inputs = width if channels > 1 else 1
        taps = region_taps(kernel_size, len(outputs))
        shapes += [(each, inputs, reach) for each, reach in zip(outputs, taps, strict=True)]
        channels = sum(outputs)
    counts = iter(distributions[distribution](shapes, sparsity))
    return tuple(tuple(islice(counts, len(outputs))) for outputs in widths)
