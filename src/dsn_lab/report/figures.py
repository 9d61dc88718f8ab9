"""The report's figures, drawn from tables."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter

# Okabe and Ito's colours, distinct for colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"
FLOPS = "FLOPs for one series (millions)"
FRONT = "front"  # gid of the line


def scatters(scores: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> Figure:
    """Accuracy of the first of each pair (up) against the second, a dot a dataset."""
    columns = 2 if len(pairs) == 4 else min(3, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    figure = Figure(figsize=(3.4 * columns, 3.4 * rows), layout="constrained")
    all_axes = figure.subplots(rows, columns, squeeze=False).flatten()
    shown = scores[list({method: None for pair in pairs for method in pair})]
    low = max(0.0, 0.98 * float(shown.min().min()) - 0.02)
    for axes, (up, across) in zip(all_axes, pairs, strict=False):
        axes.plot([low, 1], [low, 1], color="0.6", linewidth=1, zorder=1)
        axes.scatter(scores[across], scores[up], s=18, alpha=0.7, color=COLOURS[0], zorder=2)
        axes.set(xlabel=across, ylabel=up, xlim=(low, 1.01), ylim=(low, 1.01), aspect="equal")
        axes.xaxis.set_major_formatter(PercentFormatter(1, None, symbol=""))
        axes.yaxis.set_major_formatter(PercentFormatter(1, None, symbol=""))
        axes.grid(alpha=0.25)
    for axes in all_axes[len(pairs) :]:
        axes.remove()
    return figure


def accuracy_by_cost(
    points: pd.DataFrame, line: bool, cost: str = "flops", label: str = FLOPS, front: bool = False
) -> Figure:
    """Mean accuracy against mean cost, a marker a method, its area by parameters.

    Args:
        points: ``label``, the cost, ``accuracy`` and ``std`` (in %), ``params_active``: NaN for
            what is no network, which has a small marker.
        line: whether to draw deviations.
        cost: which column.
        label: what it is, and its unit.
        front: whether to draw the Pareto front.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    sizes = (points["params_active"] / points["params_active"].max()).fillna(0).pow(0.5).tolist()
    if front:
        best = pareto(points, cost)
        (drawn,) = axes.plot(best[cost], best["accuracy"], "--", color="0.5", linewidth=1, zorder=0)
        drawn.set(label="Pareto front", gid=FRONT)
    for i, point in enumerate(points.itertuples()):
        axes.errorbar(
            getattr(point, cost),
            point.accuracy,
            yerr=point.std if line else None,
            color=COLOURS[i % len(COLOURS)],
            marker=MARKERS[i // len(COLOURS) % len(MARKERS)],
            markersize=6 + 14 * sizes[i],
            alpha=0.8,
            capsize=3,
            linestyle="none",
            label=point.label,
        )
    axes.set(xlabel=label, ylabel="test accuracy (%)", xscale="log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.25, which="both")
    axes.margins(x=0.15, y=0.15)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, markerscale=0.5)
    return figure


def pareto(points: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Of these points those that no other beats in accuracy and cost, the cheapest first."""
    ordered = points.sort_values([cost, "accuracy"], ascending=[True, False])
    return ordered[ordered["accuracy"] > ordered["accuracy"].cummax().shift(fill_value=-np.inf)]


def said(points: pd.DataFrame, cost: str = "flops", unit: str = "M") -> str:
    """The same in words."""
    return "; ".join(
        f"{p.label}: {p.accuracy:.2f} % at {getattr(p, cost):.3g} {unit}"
        for p in points.itertuples()
    )


def sensitivity(data: pd.DataFrame, stages: Sequence[str]) -> Figure:
    """Share removed (left) and accuracy of each stage (right) against ``penalty``."""
    figure = Figure(figsize=(8.5, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(data["penalty"], data["removed"], "-o", color=COLOURS[0])
    left.set(ylabel="share of parameters removed", ylim=(0, 1))
    for i, stage in enumerate(stages):
        right.plot(data["penalty"], data[stage], marker=MARKERS[i], color=COLOURS[i], label=stage)
    right.set(ylabel="test accuracy")
    right.legend(frameon=False)
    for axes in (left, right):
        axes.set(xlabel="lambda", xscale="log")
        axes.yaxis.set_major_formatter(PercentFormatter(1, None))
        axes.grid(alpha=0.25)
    return figure


def compression(shares: pd.Series) -> Figure:
    """Histogram of the share of parameters removed, with mean and median."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.hist(shares, bins=np.linspace(0, 1, 21).tolist(), color=COLOURS[0], alpha=0.7)
    for name, value, colour in (
        ("mean", shares.mean(), COLOURS[1]),
        ("median", shares.median(), COLOURS[2]),
    ):
        axes.axvline(value, color=colour, linewidth=2, label=f"{name} {100 * value:.1f} %")
    axes.set(xlabel="share of parameters removed", ylabel="datasets", xlim=(0, 1))
    axes.xaxis.set_major_formatter(PercentFormatter(1, None))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


def field_sizes(layers: Sequence[Mapping[str, np.ndarray]]) -> Figure:
    """Shares of kernels by effective neighbour receptive field size, a panel a layer.

    Args:
        layers: of each layer and variant, how many kernels have each size 0, 1, ...
    """
    columns = min(4, len(layers))
    rows = math.ceil(len(layers) / columns)
    figure = Figure(figsize=(2.7 * columns, 2.5 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for number, (axes, variants) in enumerate(zip(grid.flatten(), layers, strict=False), start=1):
        for i, (label, counts) in enumerate(variants.items()):
            share = counts / counts.sum()
            axes.stairs(
                share,
                np.arange(len(counts) + 1) - 0.5,
                color=COLOURS[i],
                fill=i == 0,
                alpha=0.55 if i == 0 else 1,
                linewidth=1.5,
                label=label if number == 1 else None,
            )
        axes.set(title=f"sparse layer {number}", xlabel="eNRF size (taps)")
        axes.yaxis.set_major_formatter(PercentFormatter(1, None))
        axes.grid(alpha=0.25)
    for axes in grid.flatten()[len(layers) :]:
        axes.remove()
    grid[0, 0].set_ylabel("share of kernels")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure
