"""The report's figures, drawn from tables."""

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from dsn_lab.analysis import stats

# Okabe and Ito's colours, distinct for colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"


def critical_difference(scores: pd.DataFrame) -> Figure:
    """Mean ranks with bars that join methods that do not differ.

    Args:
        scores: a dataset a row, a method a column; three methods at least, nothing missing.
    """
    import matplotlib.pyplot as plt
    from aeon.visualisation import plot_critical_difference

    longest = max(map(len, scores.columns))
    # aeon's tests are one-sided and its correction is not step-down: its level is chosen so that
    # they reject what two-sided tests with Holm's procedure do.
    level = stats.clique_level(stats.compare(scores)["p"])
    textspace = 0.5 + 0.13 * longest
    with _headless(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*same performance")
        figure: Figure
        figure, _ = plot_critical_difference(
            scores.round(stats.DIGITS).to_numpy(),
            list(scores.columns),
            correction=None,
            alpha=level,
            width=4 + 2 * textspace,
            textspace=textspace,
        )
        plt.close(figure)
    return figure


def comparison_matrix(scores: pd.DataFrame, columns: Sequence[str]) -> Figure:
    """The multi-comparison matrix of all methods (rows) against those in ``columns``."""
    import matplotlib.pyplot as plt
    from aeon.visualisation import create_multi_comparison_matrix

    longest = max(map(len, scores.columns))
    size = (
        0.09 * longest + max(1.3, 0.095 * longest) * len(columns) + 1.5,
        0.55 * len(scores.columns) + 1.2,
    )

    with _headless(), warnings.catch_warnings():
        # Two methods with equal scores throughout have no p-value.
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        figure: Figure = create_multi_comparison_matrix(
            scores.round(stats.DIGITS),
            save_path="",
            statistic_name="Accuracy",
            pvalue_test_params={"zero_method": "wilcox", "alternative": "two-sided"},
            pvalue_threshold=stats.ALPHA,
            col_comparates=list(columns),
            fig_size=size,
            font_size=9,
        )
        plt.close(figure)
    return figure


def scatters(scores: pd.DataFrame, best: str, others: Sequence[str]) -> Figure:
    """Accuracy of one method (up) against each of the others, a dot a dataset."""
    columns = 2 if len(others) == 4 else min(3, len(others))
    rows = math.ceil(len(others) / columns)
    figure = Figure(figsize=(3.4 * columns, 3.4 * rows), layout="constrained")
    all_axes = figure.subplots(rows, columns, squeeze=False).flatten()
    low = max(0.0, 0.98 * float(scores[[best, *others]].min().min()) - 0.02)
    for axes, other in zip(all_axes, others, strict=False):
        axes.plot([low, 1], [low, 1], color="0.6", linewidth=1, zorder=1)
        axes.scatter(scores[other], scores[best], s=18, alpha=0.7, color=COLOURS[0], zorder=2)
        axes.set(xlabel=other, ylabel=best, xlim=(low, 1.01), ylim=(low, 1.01), aspect="equal")
        axes.xaxis.set_major_formatter(PercentFormatter(1, 0, symbol=""))
        axes.yaxis.set_major_formatter(PercentFormatter(1, 0, symbol=""))
        axes.grid(alpha=0.25)
    for axes in all_axes[len(others) :]:
        axes.remove()
    return figure


def accuracy_by_cost(points: pd.DataFrame, line: bool) -> Figure:
    """Mean accuracy against mean FLOPs, a marker a method.

    Args:
        points: ``label``, ``flops`` (millions), ``accuracy`` and ``std`` (in %).
        line: whether to draw deviations.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for i, point in enumerate(points.itertuples()):
        axes.errorbar(
            point.flops,
            point.accuracy,
            yerr=point.std if line else None,
            color=COLOURS[i % len(COLOURS)],
            marker=MARKERS[i // len(COLOURS) % len(MARKERS)],
            markersize=8,
            capsize=3,
            linestyle="none",
            label=point.label,
        )
    axes.set(xlabel="FLOPs for one series (millions)", ylabel="test accuracy (%)", xscale="log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.25, which="both")
    axes.margins(x=0.15, y=0.15)
    figure.legend(loc="outside right upper", frameon=False)
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
        axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
        axes.grid(alpha=0.25)
    for axes in grid.flatten()[len(layers) :]:
        axes.remove()
    grid[0, 0].set_ylabel("share of kernels")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure


def _headless() -> Any:
    """Draw without a window, and without notes about fonts."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    mpl.use("Agg")
    return mpl.rc_context({"figure.max_open_warning": 0})
