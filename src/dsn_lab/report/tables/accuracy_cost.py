"""Accuracy against cost: FLOPs as counted; time, bytes and memory as measured."""

from dataclasses import dataclass

import pandas as pd

from dsn_lab.report import figures
from dsn_lab.report.inputs import Inputs
from dsn_lab.report.parts import NONE, Picture, Section, Table, picture

FEW_DATASETS = 6
FLOPS, MEASURED = "Accuracy against FLOPs", "Accuracy against measured cost"


@dataclass(frozen=True)
class Cost:
    """A kind of cost.

    Attributes:
        column: of a run.
        unit: by which it is divided.
        name: of files and columns.
        symbol: of the unit.
        label: what it is, and its unit.
    """

    column: str
    unit: float
    name: str
    symbol: str
    label: str


COUNTED = Cost("flops", 1e6, "flops", "M", figures.FLOPS)
LATENCY = "milliseconds a series, one thread, "
MEASURES = (
    Cost("inference_ms", 1, "latency", "ms", LATENCY + "alone"),
    Cost("inference_ms_64", 1, "latency_64", "ms", LATENCY + "64 at once"),
    Cost("model_bytes", 1e3, "bytes", "kB", "kilobytes on disk"),
)
FURTHER = (
    Cost("inference_bytes", 1e6, "memory", "MB", "megabytes of memory for 64 series"),
    Cost("inference_mj_64", 1, "energy", "mJ", "millijoules a series, 64 at once"),
    Cost("fit_seconds", 1, "fit", "s", "seconds of training"),
)


def section(inputs: Inputs) -> Section | str:
    """Accuracy against FLOPs: of each dataset if there are few, and the mean over all."""
    items = _pictures(inputs, COUNTED)
    return items if isinstance(items, str) else Section("cost", FLOPS, "", list(items))


def measured(inputs: Inputs) -> Section | str:
    """Accuracy against time and bytes, with the Pareto front; and all that was measured."""
    if inputs.runs["inference_ms"].isna().all():
        return "No run has measured what classifying costs."
    items: list[Table | Picture] = [_table(inputs)]
    for cost in MEASURES:
        found = _pictures(inputs, cost)
        items += [] if isinstance(found, str) else found
    text = (
        "What a run has measured at its end, on the machine and at the time of the run: compare "
        "runs of one machine. Bytes are those of the network's file, or of the pickled classifier."
    )
    return Section("measured", MEASURED, text, items)


def _pictures(inputs: Inputs, cost: Cost) -> list[Picture] | str:
    """A picture for each dataset if there are few, and one of the mean over those all have."""
    if not inputs.folds:
        return "No fold has been run by every method."
    runs = inputs.runs[inputs.runs["fold"].isin(inputs.folds) & inputs.runs[cost.column].notna()]
    having = sorted(set(runs["method"]))
    common = inputs.scores[having].dropna()
    if common.empty or not having:
        return "No dataset has every expected run of every method."
    by_cell = runs.groupby(["dataset", "method"])[[cost.column, "params_active"]].mean()
    cells = inputs.summary.join(by_cell, how="inner").reset_index()
    views: list[tuple[str, list[str]]] = []
    if len(common) <= FEW_DATASETS:
        views = [(dataset, [dataset]) for dataset in common.index]
    if len(common) > 1:
        views.append((f"mean over {len(common)} datasets", list(common.index)))
    return [_picture(inputs, cells, cost, title, datasets) for title, datasets in views]


def _picture(
    inputs: Inputs, cells: pd.DataFrame, cost: Cost, title: str, datasets: list[str]
) -> Picture:
    chosen = cells[cells["dataset"].isin(datasets)]
    points = chosen.groupby("method").agg(
        accuracy=("mean", "mean"), std=("std", "mean"), cost=(cost.column, "mean"),
        params_active=("params_active", "mean"), datasets=("dataset", "nunique"),
    )  # fmt: skip
    points = points.rename(columns={"cost": cost.name}).reset_index(names="label")
    points[["accuracy", "std"]] *= 100
    points[cost.name] /= cost.unit
    one, front = len(datasets) == 1, cost is not COUNTED
    caption = (
        f"Test accuracy against {cost.label}, {title}; area of a marker by parameters"
        + (", bars: standard deviation over runs" if one else "")
        + (", line: what no other method beats in both" if front else "")
        + f". {inputs.basis(inputs.summary, datasets)}."
    )
    alt = figures.said(points, cost.name, cost.symbol)
    name = f"accuracy_{cost.name}_{datasets[0] if one else 'mean'}"
    line = one and bool(points["std"].notna().all())
    drawn = figures.accuracy_by_cost(points, line, cost.name, cost.label, front)
    return picture(name, caption, alt, drawn, points)


def _table(inputs: Inputs) -> Table:
    """Means over datasets of every measured cost."""
    costs = [cost for cost in (*MEASURES, *FURTHER) if cost.column in inputs.runs]
    costs = [cost for cost in costs if inputs.runs[cost.column].notna().any()]
    by_cell = inputs.runs.groupby(["method", "dataset"])[[cost.column for cost in costs]].mean()
    means = by_cell.groupby("method").mean()
    data = pd.DataFrame({cost.label: means[cost.column] / cost.unit for cost in costs})
    data.insert(0, "datasets", by_cell.groupby("method").size())
    data = data.reset_index()
    display = data.astype({"datasets": str})
    for cost in costs:
        display[cost.label] = [NONE if pd.isna(x) else f"{x:.3g}" for x in data[cost.label]]
    caption = (
        "Measured cost, means over runs and each method's own datasets; series of different "
        "lengths cost differently."
    )
    return Table("measured_cost", caption, display, data)
