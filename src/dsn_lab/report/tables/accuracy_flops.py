"""Accuracy against cost."""

from dsn_lab.report import figures
from dsn_lab.report.inputs import Inputs
from dsn_lab.report.parts import Section, picture

FEW_DATASETS = 6


def section(inputs: Inputs) -> Section | str:
    """Accuracy against FLOPs: of each dataset if there are few, and the mean over all."""
    if not inputs.folds:
        return "No fold has been run by every method."
    common = inputs.scores.dropna()
    if common.empty:
        return "No dataset has every expected run of every method."
    runs = inputs.runs[inputs.runs["fold"].isin(inputs.folds)]
    by_cell = runs.groupby(["dataset", "method"])[["flops", "flops_dense", "params_active"]].mean()
    cells = inputs.summary.join(by_cell).reset_index()
    views: list[tuple[str, list[str]]] = []
    if len(common) <= FEW_DATASETS:
        views = [(dataset, [dataset]) for dataset in common.index]
    if len(common) > 1:
        views.append((f"mean over {len(common)} datasets", list(common.index)))
    items = []
    for title, datasets in views:
        chosen = cells[cells["dataset"].isin(datasets)]
        points = chosen.groupby("method").agg(
            accuracy=("mean", "mean"), std=("std", "mean"), flops=("flops", "mean"),
            params_active=("params_active", "mean"), datasets=("dataset", "nunique"),
        )  # fmt: skip
        points = points.reset_index(names="label")
        points[["accuracy", "std"]] *= 100
        points["flops"] /= 1e6
        one = len(datasets) == 1
        caption = (
            f"Test accuracy against FLOPs for one series, {title}; area of a marker by parameters"
            + (", bars: standard deviation over runs" if one else "")
            + f". {inputs.basis(inputs.summary, datasets)}."
        )
        alt = figures.said(points)
        name = f"accuracy_flops_{datasets[0] if one else 'mean'}"
        drawn = figures.accuracy_by_cost(points, line=one and points["std"].notna().all())
        items.append(picture(name, caption, alt, drawn, points))
    return Section("cost", "Accuracy against FLOPs", "", list(items))
