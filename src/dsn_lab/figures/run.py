"""Figures of one run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from torch import Tensor, nn

from dsn_lab.nn import SparseConv1d
from dsn_lab.sparse.receptive_fields import enrf_sizes
from dsn_lab.storage import written_whole

# Okabe and Ito's colours, distinct for colour-blind readers.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
# Columns of a history that are 1 in a later stage, and what begins with it.
STAGES = {"finetuning": "pruned", "scratch": "from scratch"}
SHOWN_KERNELS = 60
DPI = 150
# Inches around panels. Fixed, because to find them by the texts' sizes takes longer than to draw.
LEFT, RIGHT, BOTTOM, TOP, BETWEEN = 0.65, 0.1, 0.5, 0.35, 0.55


def draw(network: nn.Module, rows: Sequence[dict[str, float]], best: int, folder: Path) -> None:
    """Draw a run's figures into ``folder``: learning curve, eNRF sizes, active weights.

    Args:
        network: the trained network; sparse layers that it has are drawn.
        rows: the history, a row an epoch.
        best: the epoch whose weights are tested.
        folder: made if it is not there.
    """
    layers = [m for m in network.modules() if isinstance(m, SparseConv1d)]
    figures = {"learning_curve": learning_curve(rows, best)}
    if layers:
        figures["receptive_fields"] = receptive_fields([layer.mask for layer in layers])
        figures["active_weights"] = active_weights(layers[0])
    save(figures, folder)


def save(figures: Mapping[str, Figure], folder: Path) -> None:
    """Write each figure as PNG under its name."""
    folder.mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.dpi = DPI
        with written_whole(folder / f"{name}.png") as temporary, temporary.open("wb") as file:
            # Figure.savefig would draw it twice.
            FigureCanvasAgg(figure).print_png(file)  # type: ignore[no-untyped-call]


def _panels(count: int, width: float, height: float, right: float = RIGHT) -> list[Axes]:
    """Panels side by side, each as many inches wide and high, with room for their labels."""
    whole = LEFT + count * width + (count - 1) * BETWEEN + right, BOTTOM + height + TOP
    figure = Figure(figsize=whole)
    return [
        figure.add_axes(
            (
                (LEFT + panel * (width + BETWEEN)) / whole[0],
                BOTTOM / whole[1],
                width / whole[0],
                height / whole[1],
            )
        )
        for panel in range(count)
    ]


def _figure(panels: Sequence[Axes]) -> Figure:
    figure = panels[0].figure
    assert isinstance(figure, Figure)
    return figure


def learning_curve(rows: Sequence[dict[str, float]], best: int) -> Figure:
    """Training loss and accuracy by epoch, where later stages begin, and which epoch is tested.

    Where a penalty is part of the loss, the loss without it is drawn beside.
    """
    panels = _panels(2, 2.8, 2.35)
    epochs = [row["epoch"] for row in rows]
    for axes, name, colour in zip(panels, ("loss", "accuracy"), (BLUE, ORANGE), strict=True):
        values = [row[f"train_{name}"] for row in rows]
        axes.plot(epochs, values, color=colour, linewidth=1)
        axes.plot(best, values[best], "o", color="black", markersize=4, label="epoch tested")
        for stage, label in STAGES.items():
            begins = [row["epoch"] for row in rows if row.get(stage)][:1]
            for epoch in begins:
                axes.axvline(epoch, color=GREY, linestyle="--", linewidth=1)
                place = (epoch, 0.02)
                axes.annotate(label, place, xycoords=("data", "axes fraction"), rotation=90,
                              ha="right", fontsize="small", color=GREY)  # fmt: skip
        axes.set(xlabel="epoch", title=f"training {name}")
        axes.grid(alpha=0.3)
    penalties = [sum(v for k, v in row.items() if k.startswith("penalty/")) for row in rows]
    if any(penalties):
        alone = [row["train_loss"] - more for row, more in zip(rows, penalties, strict=True)]
        label = "without the penalty"
        panels[0].plot(epochs, alone, color=GREEN, linewidth=1, label=label)
    panels[0].legend(fontsize="small", frameon=False, loc="upper right")
    panels[0].set_yscale("log")
    # Plain numbers: powers would go through a typesetter.
    panels[0].yaxis.set_major_formatter(LogFormatter())
    panels[0].yaxis.set_minor_formatter(LogFormatter())
    return _figure(panels)


def receptive_fields(masks: Sequence[Tensor]) -> Figure:
    """Fig. 6: how often each effective neighbour receptive field size occurs, a panel a layer.

    Args:
        masks: of each layer, ``(out_channels, in_channels, kernel_size)``.
    """
    panels = _panels(len(masks), 2.1, 2.05)
    for layer, (axes, mask) in enumerate(zip(panels, masks, strict=True), start=1):
        sizes = enrf_sizes(mask).flatten().cpu()
        counts = torch.bincount(sizes, minlength=mask.shape[-1] + 1)
        edges = torch.arange(len(counts) + 1) - 0.5
        axes.stairs(counts.numpy(), edges.numpy(), fill=True, color=BLUE)
        axes.set(title=f"sparse layer {layer}", xlabel="taps, first to last active")
    panels[0].set_ylabel("kernels of this size")
    return _figure(panels)


def active_weights(layer: SparseConv1d) -> Figure:
    """Fig. 8: the first kernels of each group of a layer, each kernel's magnitudes up to its 1.

    White is inactive; the dashed line ends the group's exploration region.
    """
    panels = _panels(len(layer.taps), 2.2, 3.4, right=1.1)
    counts = [region.kernels for region in layer.regions]
    taps = layer.shape[-1]
    kernels = torch.split(layer.weight.detach().cpu().abs().view(-1, taps), counts)
    masks = torch.split(layer.mask.cpu().view(-1, taps), counts)
    for group, axes in enumerate(panels):
        shown = kernels[group][:SHOWN_KERNELS]
        shown = shown / shown.amax(dim=1, keepdim=True).clamp_min(1e-12)
        values = shown.masked_fill(~masks[group][:SHOWN_KERNELS], float("nan")).numpy()
        image = axes.imshow(
            values, aspect="auto", cmap="viridis", vmin=0, vmax=1, interpolation="nearest"
        )
        axes.axvline(layer.taps[group] - 0.5, color=ORANGE, linestyle="--", linewidth=1)
        axes.set(title=f"group {group + 1}", xlabel="tap (dashed: end of region)")
    panels[0].set_ylabel("kernel (white: inactive)")
    figure = _figure(panels)
    last = panels[-1].get_position()
    beside = figure.add_axes((last.x1 + 0.3 / figure.get_figwidth(), last.y0, 0.02, last.height))
    figure.colorbar(image, cax=beside, label="|weight| / kernel's largest")
    return figure
