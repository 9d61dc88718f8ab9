"""The paper's tables as printed, with our numbers and the difference beside them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd

from dsn_lab.analysis import aggregate
from dsn_lab.report.inputs import SPLIT, Inputs, percent, signed
from dsn_lab.report.parts import NONE, Section, Table
from dsn_lab.storage import packaged_yaml

# What a printed cell holds: the column of a run, the printed unit, and its name. FLOPs are counted
# by the paper's rule, to set like beside like; runs from before it was found have none.
COST = (("params_active", 1e3, "params (K)"), ("flops_paper", 1e6, "FLOPs (M)"))
OUR_FLOPS = "FLOPs (M), 2 a multiply-add"
COUNTED = (
    "FLOPs are counted by the paper's rule as far as it is known: it misses the printed "
    "InceptionTime by 0.75 % and DSN at 90 % on EEG2 by 1.6 %; the last column has 2 for each "
    "multiply-add."
)
OURS = "our method (not as in the paper)"


def load() -> dict[str, Any]:
    """The printed tables."""
    loaded: dict[str, Any] = packaged_yaml("dsn_lab.report", "paper.yaml")
    return loaded


def section(inputs: Inputs, table: Mapping[str, Any], paper: Mapping[str, Any]) -> Section | str:
    """One of Tables 2 to 4, or what it takes to have it."""
    rows = [row for printed in table["rows"] for row in _rows(inputs, printed, paper)]
    data = pd.DataFrame(rows)
    if data["ours"].isna().all():
        names = ", ".join(table["rows"][0]["printed"])
        return f"No run of {names} on the archive's split with the table's settings."
    ours = inputs.on_split.reset_index()
    ours = ours[ours["method"].isin(set(data["method"])) & ours["dataset"].isin(data["dataset"])]
    caption = (
        f"{table['title']} ({table['source']}): printed and ours. Ours: mean ± standard deviation "
        f"over seeds (number of runs). {inputs.basis(ours)}. Printed: 5 seeds, 1000 epochs."
        + f" {COUNTED}"
        * (OUR_FLOPS in data)
    )
    display, marks = _display(data)
    return Section(
        table["name"],
        table["title"],
        "",
        [Table(table["name"], caption, display, data, ("dataset", OURS), marks)],
    )


def matching(inputs: Inputs, where: Mapping[str, Any]) -> pd.DataFrame:
    """Runs on the archive's split that have these values."""
    runs = inputs.runs[inputs.runs["fold"] == SPLIT]
    for key, value in where.items():
        runs = runs[runs[key] == value] if key in runs.columns else runs[:0]
    return runs


def deviations(runs: pd.DataFrame, paper: Mapping[str, Any]) -> str:
    """What of a method's runs is not as in the paper, in a few words."""
    dsn = paper if (runs["model"] == "dsn").all() else {}
    said = [
        f"{key.rpartition('.')[2]} {runs[key].iloc[0]:g} (paper {value})"
        for key, value in dsn.items()
        if key in runs.columns and runs[key].iloc[0] != value
    ]
    epochs = runs["epochs"].unique()
    if set(epochs) != set(runs["protocol_epochs"]):
        said.append(f"{aggregate.ranges(epochs)} epochs")
    return ", ".join(said)


def _rows(
    inputs: Inputs, printed: Mapping[str, Any], paper: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """A row for each dataset and method of ours that fits; one without ours if none does."""
    fitting = matching(inputs, printed["where"]) if "where" in printed else inputs.runs[:0]
    for dataset, cell in printed["printed"].items():
        base = {"row": printed["name"], "dataset": dataset, "accuracy printed": cell[0]}
        runs = fitting[fitting["dataset"] == dataset]
        for method in sorted(set(runs["method"])) or [None]:
            yield base | _ours(inputs, runs[runs["method"] == method], dataset, cell, paper)


def _ours(
    inputs: Inputs, runs: pd.DataFrame, dataset: str, cell: list[float], paper: Mapping[str, Any]
) -> dict[str, Any]:
    row: dict[str, Any] = {"method": None, "ours": None}
    if len(runs):
        method = runs["method"].iloc[0]
        found = inputs.on_split.loc[(dataset, method)]
        row = {"method": method, "ours": 100 * found["mean"], "std": 100 * found["std"]}
        row |= {key: found[key] for key in ("n", "expected", "seeds", "epochs")}
        row |= {"difference": row["ours"] - cell[0], "deviations": deviations(runs, paper)}
    for (column, unit, name), value in zip(COST, cell[1:], strict=False):
        row[f"{name} printed"] = value
        if len(runs):
            row[name] = runs[column].mean() / unit
            row[f"{name} difference"] = row[name] - value
            row[OUR_FLOPS] = runs["flops"].mean() / 1e6
    return row


def _display(data: pd.DataFrame) -> tuple[pd.DataFrame, dict[tuple[int, int], str]]:
    """The rows as text; what was not run, and what is not printed, is a dash."""
    rows = data.to_dict("records")
    shown = pd.DataFrame({"in the paper": data["row"], "dataset": data["dataset"]})
    shown["accuracy % printed"] = [f"{row['accuracy printed']:.2f}" for row in rows]
    shown["accuracy % ours"] = [
        NONE
        if pd.isna(row["ours"])
        else percent(row["ours"] / 100, row["std"] / 100, int(row["n"]), int(row["expected"]))
        for row in rows
    ]
    shown["accuracy diff."] = [_number(row["difference"], signed) for row in rows]
    for _, _, name in COST:
        if f"{name} printed" in data.columns:
            for suffix, key, form in (
                ("printed", f"{name} printed", "{:.2f}".format),
                ("ours", name, "{:.2f}".format),
                ("diff.", f"{name} difference", signed),
            ):
                shown[f"{name} {suffix}"] = [_number(row[key], form) for row in rows]
    if OUR_FLOPS in data:
        shown[OUR_FLOPS] = [_number(value, "{:.2f}".format) for value in data[OUR_FLOPS]]
    shown[OURS] = [
        NONE
        if pd.isna(row["ours"])
        else row["method"] + (f" ({row['deviations']})" if row["deviations"] else "")
        for row in rows
    ]
    # An incomplete cell has fewer runs than expected; NaN compares as false.
    marks = {(i, 3): "warn" for i, row in enumerate(rows) if row["n"] < row["expected"]}
    return shown, marks


def _number(value: float, form: Callable[[float], str]) -> str:
    return NONE if pd.isna(value) else form(value)
