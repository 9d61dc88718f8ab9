"""Figures of structured pruning: what was idle, what it cost, what was redundant."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from dsn_lab.figures.run import BLUE, GREEN, ORANGE

LEAST = 1e-8  # of a layer's largest activity; what is below is drawn there


def sorted_activity(scores: Sequence[Tensor], cuts: Sequence[float]) -> Figure:
    """The largest activity of each filter, sorted, a panel a layer; below the line they go."""
    figure = Figure(figsize=(2.6 * len(scores), 2.8), layout="constrained")
    panels = figure.subplots(1, len(scores), squeeze=False)[0]
    for layer, (axes, activities, cut) in enumerate(
        zip(panels, scores, cuts, strict=True), start=1
    ):
        ordered = activities.sort(descending=True).values
        least = LEAST * max(float(ordered[0]), 1e-30)
        axes.semilogy(ordered.clamp(min=least), ".", color=BLUE, markersize=4)
        axes.axhline(max(cut, least), color=ORANGE, linestyle="--", linewidth=1)
        idle = int((activities <= cut).sum())
        axes.set(title=f"layer {layer}: {idle} of {len(activities)} idle", xlabel="filter")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("largest activity over the training set")
    return figure


def accuracy_against_flops(points: Mapping[str, tuple[int, float]]) -> Figure:
    """Test accuracy against FLOPs of one series, a point a stage."""
    figure = Figure(figsize=(4.5, 3.2), layout="constrained")
    axes = figure.subplots()
    for (name, (flops, accuracy)), colour, marker in zip(
        points.items(), (BLUE, ORANGE, GREEN), "osD", strict=True
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
