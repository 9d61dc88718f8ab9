"""Figures of one run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from dsn_lab.nn import SparseConv1d
from dsn_lab.sparse.receptive_fields import enrf_sizes
from dsn_lab.storage import written_whole

# Okabe and Ito's colours, distinct for colour-blind readers.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
SHOWN_KERNELS = 60


def draw(network: nn.Module, rows: Sequence[dict[str, float]], folder: Path) -> None:
    """Draw a run's figures into ``folder``: learning curve, eNRF sizes, active weights.

    Args:
        network: the trained network; sparse layers that it has are drawn.
        rows: the history, a row an epoch.
        folder: made if it is not there.
    """
    layers = [m for m in network.modules() if isinstance(m, SparseConv1d)]
    figures = {"learning_curve": learning_curve(rows)}
    if layers:
        figures["receptive_fields"] = receptive_fields([layer.mask for layer in layers])
        figures["active_weights"] = active_weights(layers[0])
    save(figures, folder)


def save(figures: Mapping[str, Figure], folder: Path) -> None:
    """Write each figure as PNG under its name."""
    folder.mkdir(exist_ok=True)
    for name, figure in figures.items():
        with written_whole(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, format="png", dpi=150)


def learning_curve(rows: Sequence[dict[str, float]]) -> Figure:
    """Training loss and accuracy by epoch."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    epochs = [row["epoch"] for row in rows]
    for axes, name, colour in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), (BLUE, ORANGE), strict=True
    ):
        axes.plot(epochs, [row[f"train_{name}"] for row in rows], color=colour, linewidth=1)
        axes.set(xlabel="epoch", ylabel=f"training {name}")
        axes.grid(alpha=0.3)
    figure.axes[0].set_yscale("log")
    return figure


def receptive_fields(masks: Sequence[Tensor]) -> Figure:
    """Fig. 6: how often each effective neighbour receptive field size occurs, a panel a layer.

    Args:
        masks: of each layer, ``(out_channels, in_channels, kernel_size)``.
    """
    figure = Figure(figsize=(2.6 * len(masks), 2.8), layout="constrained")
    all_axes = figure.subplots(1, len(masks), squeeze=False)[0]
    for layer, (axes, mask) in enumerate(zip(all_axes, masks, strict=True), start=1):
        sizes = enrf_sizes(mask).flatten().cpu()
        counts = torch.bincount(sizes, minlength=mask.shape[-1] + 1)
        axes.bar(np.arange(len(counts)), counts.numpy(), width=1.0, color=BLUE)
        axes.set(title=f"sparse layer {layer}", xlabel="eNRF size (taps)")
    all_axes[0].set_ylabel("kernels")
    return figure


def active_weights(layer: SparseConv1d) -> Figure:
    """Fig. 8: the first kernels of each group of a layer, each kernel's magnitudes up to its 1.

    White is inactive; the dashed line ends the group's exploration region.
    """
    groups = len(layer.taps)
    figure = Figure(figsize=(2.8 * groups + 0.8, 4.2), layout="constrained")
    all_axes = figure.subplots(1, groups, squeeze=False)[0]
    counts = [region.kernels for region in layer.regions]
    taps = layer.shape[-1]
    kernels = torch.split(layer.weight.detach().cpu().abs().view(-1, taps), counts)
    masks = torch.split(layer.mask.cpu().view(-1, taps), counts)
    for group, axes in enumerate(all_axes):
        shown = kernels[group][:SHOWN_KERNELS]
        shown = shown / shown.amax(dim=1, keepdim=True).clamp_min(1e-12)
        values = shown.masked_fill(~masks[group][:SHOWN_KERNELS], float("nan")).numpy()
        image = axes.imshow(
            values, aspect="auto", cmap="viridis", vmin=0, vmax=1, interpolation="nearest"
        )
        axes.axvline(layer.taps[group] - 0.5, color=ORANGE, linestyle="--", linewidth=1)
        axes.set(title=f"group {group + 1}", xlabel="tap")
    all_axes[0].set_ylabel("kernel")
    figure.colorbar(image, ax=all_axes, label="|weight| / kernel's largest")
    return figure
