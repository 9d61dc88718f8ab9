"""Table 1: wins of DSN and of published networks on UCR-85, with what they cost."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from aeon.datasets.tsc_datasets import univariate2015

from dsn_lab.analysis import aggregate
from dsn_lab.report.inputs import Inputs, signed
from dsn_lab.report.parts import NONE, Section, Table
from dsn_lab.report.tables.paper import COST, COUNTED, OUR_FLOPS, deviations, matching


def section(inputs: Inputs, table: Mapping[str, Any], paper: Mapping[str, Any]) -> Section | str:
    """Table 1, or what it takes to have it."""
    runs = matching(inputs, table["where"])
    runs = runs[runs["dataset"].isin(univariate2015)]
    if runs.empty:
        return "No run of DSN at S = 0.8 with groups on a UCR-85 dataset's own split."
    scores = aggregate.complete(inputs.on_split)
    rivals = _rivals(inputs, scores, table)
    if not rivals:
        return "Needs runs of the baselines, or reference_dir=PATH with published results of them."
    rows = [
        row
        for method in sorted(set(runs["method"]))
        for baseline, name, theirs in rivals
        if (row := _row(method, scores[method], baseline, name, theirs))
    ]
    if not rows:
        return "None of the baselines has results on these datasets."
    data = pd.DataFrame(rows)
    said = {m: deviations(runs[runs["method"] == m], paper) for m in set(runs["method"])}
    differing = "; ".join(f"{m}: {text}" for m, text in sorted(said.items()) if text)
    summary = inputs.on_split.reset_index()
    summary = summary[summary["method"].isin(data["method"])]
    compared = summary["dataset"].isin(univariate2015)
    caption = (
        f"{table['title']} ({table['source']}), printed and ours. Accuracies are compared as the "
        "paper does, in percent with two decimals; printed wins are over 85 datasets, ours over "
        f"the datasets that both have. {inputs.basis(summary[compared])}."
        + f" Not as in the paper: {differing}."
        * bool(differing)
    )
    items = [
        Table("table1", caption, _display(data), data, ("baseline: whose results",)),
        _cost(inputs, runs, table),
    ]
    return Section("table1", table["title"], "", list(items))


Rival = tuple[Mapping[str, Any], str, pd.Series]


def _rivals(inputs: Inputs, scores: pd.DataFrame, table: Mapping[str, Any]) -> list[Rival]:
    """Of each baseline the methods that were run here, and what is published of it."""
    found: list[Rival] = []
    for baseline in table["baselines"]:
        here = sorted(set(matching(inputs, baseline["where"])["method"]))
        found += [(baseline, f"{name}, run here", scores[name]) for name in here]
        name = baseline["published"]
        if inputs.published is not None and name in inputs.published.scores:
            said = f"{name}, {inputs.published.runs[name]}"
            found.append((baseline, said, inputs.published.scores[name]))
    return found


def _row(
    method: str, scores: pd.Series, baseline: Mapping[str, Any], name: str, theirs: pd.Series
) -> dict[str, Any] | None:
    """A method's wins against one baseline; None without a dataset that both have."""
    both = pd.DataFrame({"ours": scores, "theirs": theirs}).dropna()
    both = (100 * both[both.index.isin(univariate2015)]).round(2)
    if both.empty:
        return None
    return {
        "method": method,
        "baseline": baseline["name"],
        "published": name,
        "datasets": len(both),
        "DSN wins": int((both["ours"] > both["theirs"]).sum()),
        "baseline wins": int((both["ours"] < both["theirs"]).sum()),
        "ties": int((both["ours"] == both["theirs"]).sum()),
        "DSN wins printed": baseline["dsn_wins"],
        "baseline wins printed": baseline["baseline_wins"],
        "ties printed": baseline["ties"],
    }


def _display(data: pd.DataFrame) -> pd.DataFrame:
    """Shares of wins differ in the last column, for the numbers of datasets need not be equal."""
    printed = data["DSN wins printed"] / 85
    ours = data["DSN wins"] / data["datasets"]
    return pd.DataFrame(
        {
            "our method": data["method"],
            "baseline: whose results": data["baseline"] + ": " + data["published"],
            "wins : losses (ties) printed, of 85": _balance(data, " printed"),
            "ours": _balance(data, ""),
            "datasets": data["datasets"].astype(str),
            "share of wins, difference (points)": [signed(x, 1) for x in 100 * (ours - printed)],
        }
    )


def _balance(data: pd.DataFrame, whose: str) -> list[str]:
    columns = [f"{what}{whose}" for what in ("DSN wins", "baseline wins", "ties")]
    return [f"{w} : {lost} ({t})" for w, lost, t in data[columns].itertuples(index=False)]


def _cost(inputs: Inputs, runs: pd.DataFrame, table: Mapping[str, Any]) -> Table:
    """Mean cost over datasets; comparable with print only if the datasets are the same 85."""
    rows: list[dict[str, Any]] = [
        {
            "network": b["name"],
            "datasets": 85,
            "source": "printed",
            COST[0][2]: b["params"],
            COST[1][2]: b["flops"],
        }
        for b in [*table["baselines"], {"name": "DSN", **table["ours"]}]
    ]
    every = [runs, *(matching(inputs, each["where"]) for each in table["baselines"])]
    here = pd.concat(every)
    for method, of_method in here[here["dataset"].isin(univariate2015)].groupby("method"):
        by_dataset = of_method.groupby("dataset")[[column for column, _, _ in COST]].mean()
        row: dict[str, Any] = {"network": method, "datasets": len(by_dataset), "source": "ours"}
        row |= {name: by_dataset[column].mean() / unit for column, unit, name in COST}
        rows.append(row | {OUR_FLOPS: of_method.groupby("dataset")["flops"].mean().mean() / 1e6})
    data = pd.DataFrame(rows)
    display = data.astype({"datasets": str})
    for column in data.columns[3:]:
        display[column] = [NONE if pd.isna(x) else f"{x:.2f}" for x in data[column]]
    caption = (
        "Mean cost over datasets: active parameters and FLOPs for a series; printed and ours are "
        f"comparable only over the same 85 datasets. {COUNTED}"
    )
    return Table("table1_cost", caption, display, data)
