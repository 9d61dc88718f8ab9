"""Which of the methods is chosen: by development sets only, and what it then is on UCR-85."""

from collections.abc import Sequence

import pandas as pd

from dsn_lab.analysis import aggregate
from dsn_lab.data.names import UCR, UCR_OF_2018
from dsn_lab.report.inputs import Inputs, count
from dsn_lab.report.parts import Section, Table

TITLE = "What the development sets choose"
# Fewer say too little to choose by.
SETS, SEEDS = 12, 3


def section(inputs: Inputs) -> Section | str:
    """Methods of one model by their mean over development sets; beside, UCR-85.

    Nothing is called chosen unless every candidate has at least 12 of the sets that came with the
    archive in 2018, the same ones, with at least three seeds of the full protocol each.
    """
    tables = [
        _of_model(inputs, str(model), methods)
        for model, methods in inputs.runs.groupby("model")["method"].unique().items()
        if len(methods) > 1
    ]
    found = [table for table in tables if isinstance(table, Table)]
    if not found:
        reasons = [table for table in tables if isinstance(table, str)]
        return " ".join(reasons) or "No model has two methods to choose from."
    text = (
        "Candidates of a model by their mean test accuracy over the datasets that came with the "
        "archive of 2018, which are there to choose by; UCR-85 only reports on what is chosen. "
        "docs/protocol.md says why."
    )
    return Section("choice", TITLE, text, list(found))


def _of_model(inputs: Inputs, model: str, methods: Sequence[str]) -> Table | str:
    summary = inputs.on_split.query("method in @methods")
    whole = summary[(summary["n"] >= SEEDS) & (summary["epochs"] == summary["protocol_epochs"])]
    scores = aggregate.complete(whole).reindex(columns=sorted(methods)).dropna()
    chosen_by = scores[scores.index.isin(UCR_OF_2018)]
    if len(chosen_by) < SETS:
        return (
            f"{model}: its {len(methods)} methods have {count(len(chosen_by), 'development set')} "
            f"in common with {SEEDS} seeds or more of the full protocol; choosing takes {SETS}."
        )
    reported = scores[scores.index.isin(set(UCR) - set(UCR_OF_2018))]
    data = pd.DataFrame({"development": chosen_by.mean(), "report": reported.mean()})
    data = data.sort_values("development", ascending=False).rename_axis("method").reset_index()
    display = data.assign(
        development=[f"{100 * x:.2f}" for x in data["development"]],
        report=["–" if pd.isna(x) else f"{100 * x:.2f}" for x in data["report"]],
        chosen=["chosen", *[""] * (len(data) - 1)],
    )
    heads = {
        "development": f"{len(chosen_by)} development sets %",
        "report": f"{len(reported)} of UCR-85 %",
    }
    caption = (
        f"{model}: {data['method'][0]} is chosen, by {len(chosen_by)} development sets. "
        f"{inputs.basis(whole, scores.index)}."
    )
    return Table(f"choice_{model}", caption, display.rename(columns=heads), data, ("chosen",))
