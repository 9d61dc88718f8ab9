"""Figures of tests between methods, drawn from the table of those tests and nothing else."""

from collections.abc import Sequence
from textwrap import fill

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsn_lab.analysis import stats
from dsn_lab.report.inputs import p_value, signed

# Inches: a character of a name, a row of names, a row of bars.
CHARACTER, ROW, BAR = 0.085, 0.24, 0.13
AXIS = 4.5  # inches of the axis of ranks
CLIQUE = "clique"  # gid of the bars


def ranks(scores: pd.DataFrame) -> pd.Series:
    """Mean rank of each method (a column) over the datasets that all have, the best first."""
    common = scores.dropna().round(stats.DIGITS)
    return common.rank(axis=1, ascending=False).mean().sort_values(kind="stable")


def critical_difference(scores: pd.DataFrame, compared: pd.DataFrame) -> Figure:
    """Mean ranks, 1 is best, and for each group of methods that do not differ a bar.

    A bar has a dot on each of its methods: one that lies between two of them need not belong.

    Args:
        scores: a dataset a row, a method a column; three methods at least.
        compared: the tests between them, of :func:`dsn_lab.analysis.stats.compare`.
    """
    placed = ranks(scores)
    groups = stats.cliques(compared, list(placed.index))
    half = (len(placed) + 1) // 2
    below = BAR * (len(groups) + 1)
    margin = CHARACTER * max(map(len, placed.index)) + 0.6
    height = 0.5 + below + ROW * half
    figure = Figure(figsize=(AXIS + 2 * margin, height))
    axes = figure.add_axes((margin / (AXIS + 2 * margin), 0, AXIS / (AXIS + 2 * margin), 1))
    axes.set(xlim=(1, len(placed)), ylim=(-height + 0.4, 0.4))
    axes.axis("off")
    _axis(axes, len(placed))
    for row, group in enumerate(groups, start=1):
        at = [placed[method] for method in group]
        (bar,) = axes.plot(at, [-BAR * row] * len(at), "-o", color="0.15", linewidth=2.2)
        bar.set(markersize=4.5, gid=CLIQUE, label="|".join(group), clip_on=False, zorder=3)
    for i, (method, rank) in enumerate(placed.items()):
        left = i < half
        depth = below + ROW * (i if left else len(placed) - 1 - i)
        _name(axes, str(method), float(rank), -depth, left)
    return figure


def _axis(axes: Axes, methods: int) -> None:
    axes.plot([1, methods], [0, 0], color="black", linewidth=1)
    for rank in range(1, methods + 1):
        axes.plot([rank, rank], [0, 0.08], color="black", linewidth=1, clip_on=False)
        axes.text(rank, 0.12, str(rank), ha="center", va="bottom", fontsize=9)


def _name(axes: Axes, method: str, rank: float, y: float, left: bool) -> None:
    first, last = axes.get_xlim()
    edge = first if left else last
    axes.plot([rank, rank, edge], [0, y, y], color="0.55", linewidth=0.8, clip_on=False, zorder=1)
    said = f"{method}  {rank:.2f} " if left else f" {rank:.2f}  {method}"
    axes.text(edge, y, said, ha="right" if left else "left", va="center", fontsize=9)


def comparison_matrix(
    scores: pd.DataFrame, compared: pd.DataFrame, columns: Sequence[str]
) -> Figure:
    """All methods (rows, highest mean first) against those in ``columns``, cell by cell.

    A cell holds the row's mean minus the column's in points, wins / ties / losses of the row, and
    the corrected p-value; bold if the two are different.

    Args:
        scores: a dataset a row, a method a column.
        compared: the tests between them, of :func:`dsn_lab.analysis.stats.compare`.
        columns: some of the methods.
    """
    means = 100 * scores.dropna().mean().sort_values(ascending=False, kind="stable")
    rows, columns = list(means.index), [m for m in means.index if m in columns]
    tests = {(test.first, test.second): test for test in compared.itertuples()}
    largest = max(float(compared["difference"].abs().max()), 0.01)
    figure = Figure(figsize=(1.55 * len(columns), 0.62 * len(rows)))
    axes = figure.add_axes((0, 0, 1, 1))
    shades = pd.DataFrame(0.0, index=rows, columns=columns)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            test = tests.get((row, column)) or tests.get((column, row))
            if test is None or row == column:
                axes.text(j, i, "–", ha="center", va="center", color="0.5")
                continue
            sign = 1 if test.first == row else -1
            shades.loc[row, column] = sign * test.difference
            better, worse = (test.wins, test.losses)[::sign]
            said = (
                f"{signed(100 * sign * test.difference)}\n{better} / {test.ties} / {worse}\n"
                + f"p {p_value(test.p_holm)}"
            )
            weight = "bold" if test.different else "normal"
            text = axes.text(j, i, said, ha="center", va="center", fontsize=8, weight=weight)
            text.set_gid(f"{row}|{column}")
    axes.imshow(shades, cmap="RdBu", vmin=-2 * largest, vmax=2 * largest, aspect="auto")
    for ticks, names in ((axes.set_xticks, columns), (axes.set_yticks, rows)):
        ticks(range(len(names)), [f"{fill(m, 24)}\n{means[m]:.2f}" for m in names], fontsize=9)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    return figure
