"""Figures of structured pruning: what was idle, what it cost, what was redundant."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

from matplotlib.figure import Figure
from torch import Tensor

from dsn_lab.figures.run import BLUE, GREEN, ORANGE

PURPLE = "#CC79A7"  # Okabe and Ito's fourth
LEAST = 1e-8  # of a layer's largest activity; what is below is drawn there


def sorted_scores(
    scores: Sequence[Tensor], cuts: Sequence[float], score: str, *, logarithmic: bool
) -> Figure:
    """The score of each filter, sorted, a panel a layer; up to the line they are redundant.

    Args:
        scores: of each layer ``(filters,)``.
        cuts: of each layer.
        score: what a score is.
        logarithmic: draw its logarithm.
    """
    figure = Figure(figsize=(2.6 * len(scores), 2.8), layout="constrained")
    panels = figure.subplots(1, len(scores), squeeze=False)[0]
    for layer, (axes, of_layer, cut) in enumerate(zip(panels, scores, cuts, strict=True), start=1):
        ordered, line = of_layer.sort(descending=True).values, cut
        if logarithmic:
            least = LEAST * max(float(ordered[0]), 1e-30)
            ordered, line = ordered.clamp(min=least), max(cut, least)
            axes.set_yscale("log")
        axes.plot(ordered, ".", color=BLUE, markersize=4)
        axes.axhline(line, color=ORANGE, linestyle="--", linewidth=1)
        idle = int((of_layer <= cut).sum())
        axes.set(title=f"layer {layer}: {idle} of {len(of_layer)} idle", xlabel="filter")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("\n".join(wrap(score, 28)))
    return figure


def accuracy_against_flops(points: Mapping[str, tuple[int, float]]) -> Figure:
    """Test accuracy against FLOPs of one series, a point a stage."""
    figure = Figure(figsize=(4.5, 3.2), layout="constrained")
    axes = figure.subplots()
    for (name, (flops, accuracy)), colour, marker in zip(
        points.items(), (BLUE, ORANGE, GREEN, PURPLE), "osD^", strict=False
    ):
        axes.plot(flops / 1e6, accuracy, marker, color=colour, label=name)
    axes.set(xlabel="MFLOPs per series", ylabel="test accuracy")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def redundancy(before: Sequence[Tensor], after: Sequence[Tensor]) -> Figure:
    """Correlations between the feature maps of each layer's filters, before and after pruning."""
    figure = Figure(figsize=(2.4 * len(before) + 0.8, 5), layout="constrained")
    rows = figure.subplots(2, len(before), squeeze=False)
    for panels, matrices, when in zip(rows, (before, after), ("before", "after"), strict=True):
        for layer, (axes, matrix) in enumerate(zip(panels, matrices, strict=True), start=1):
            image = axes.imshow(
                matrix.numpy(), vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest"
            )
            axes.set(title=f"layer {layer}, {len(matrix)} filters", xticks=[], yticks=[])
        panels[0].set_ylabel(f"{when} pruning")
    figure.colorbar(image, ax=rows, label="correlation of feature maps")
    return figure
