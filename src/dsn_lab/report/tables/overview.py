"""Which methods there are, how accurate each is on each dataset, and what is missing."""

import json
from pathlib import Path

import pandas as pd

from dsn_lab.analysis import aggregate
from dsn_lab.report.inputs import Inputs, count, percent
from dsn_lab.report.parts import NONE, Section, Table


def section(inputs: Inputs) -> Section:
    """The methods, and the accuracy of each on each dataset."""
    return Section(
        "overview",
        "Methods and accuracy",
        "A method is all that decides a result but dataset, fold and seed. Runs of different "
        "settings are never averaged; a mean over fewer runs than the method has elsewhere is "
        "marked and takes no part in any comparison.",
        [_methods(inputs), _accuracy(inputs), _measures(inputs), *_ensembles(inputs.ensembles)],
    )


def _methods(inputs: Inputs) -> Table:
    rows = []
    for method, runs in inputs.runs.groupby("method"):
        short = runs["epochs"] != runs["protocol_epochs"]
        rows.append(
            {
                "method": method,
                "datasets": runs["dataset"].nunique(),
                "runs": len(runs),
                "folds": aggregate.ranges(runs["fold"].unique()),
                "seeds": aggregate.ranges(runs["seed"].unique()),
                "epochs": aggregate.ranges(runs["epochs"].unique()),
                "protocol": aggregate.ranges(runs["protocol_epochs"].unique()),
                "shortened runs": int(short.sum()),
                "differing settings": _differing(inputs, str(method)),
            }
        )
    data = pd.DataFrame(rows)
    display = data.astype(str)
    marks = {(i, 7): "warn" for i, row in enumerate(rows) if row["shortened runs"]}
    shortened = sum(row["shortened runs"] for row in rows)
    caption = (
        f"{count(len(rows), 'method')}. "
        + f"{count(shortened, 'run')} shortened: other epochs than the protocol's. "
        * bool(shortened)
        + "The last column has the settings in which methods of one model differ."
    )
    return Table("methods", caption, display, data, ("differing settings",), marks)


def _differing(inputs: Inputs, method: str) -> str:
    """The method's values of settings in which methods of its model differ."""
    model = dict(zip(inputs.runs["method"], inputs.runs["model"], strict=True))
    every = inputs.collection.settings
    settings = {name: each for name, each in every.items() if model.get(name) == model[method]}
    own = settings[method]
    said = []
    for key in sorted({key for each in settings.values() for key in each}):
        values = {json.dumps(each[key]) for each in settings.values() if key in each}
        if len(values) > 1 and key in own and not key.endswith(".name"):
            said.append(f"{key.removeprefix('config.')}={own[key]}")
    return ", ".join(said) or "–"


def _accuracy(inputs: Inputs) -> Table:
    every = sorted(set(inputs.runs["fold"]))
    folds = inputs.folds or every
    summary = aggregate.summarise(inputs.collection, folds)
    wide = summary["mean"].unstack("method").reindex(columns=inputs.methods)
    whole = aggregate.complete(summary)
    leaks = _leaks(inputs.runs)
    named = [f"{dataset} †" if dataset in leaks else dataset for dataset in wide.index]
    display = pd.DataFrame({"dataset": named}, dtype=str)
    marks, links = {}, {}
    common = inputs.scores.dropna()
    ranks = common.rank(axis=1, ascending=False)
    folders = _folders(inputs)
    for j, method in enumerate(inputs.methods, start=1):
        cells = []
        for i, dataset in enumerate(wide.index):
            if (dataset, method) not in summary.index:
                cells.append("missing")
                marks[i, j] = "gap"
                continue
            row = summary.loc[(dataset, method)]
            links[i, j] = folders.get((dataset, method), "")
            cells.append(percent(row["mean"], row["std"], row["n"], row["expected"]))
            if row["n"] < row["expected"]:
                marks[i, j] = "warn"
            elif len(inputs.methods) > 1 and row["mean"] == whole.loc[dataset].max():
                marks[i, j] = "best"
        display[method] = cells
    if len(inputs.methods) > 1 and len(common) > 1:
        foot = [[f"mean over {len(common)}", *(f"{100 * x:.2f}" for x in common.mean())],
                ["mean rank", *(f"{x:.2f}" for x in ranks.mean())]]  # fmt: skip
        display = pd.concat([display, pd.DataFrame(foot, columns=display.columns)])
    caption = (
        "Test accuracy in %: mean ± standard deviation (number of runs; fewer than the method has "
        f"elsewhere as n/expected). {inputs.basis(summary)}. Best complete mean in bold."
        + " The last rows are over the datasets for which every method has every expected run."
        * (len(display) > len(named))
        + " Folds that not every method has are left out here." * (folds != every)
        + f" † Test series that are value for value in the training set, too: {_said(leaks)}."
        * bool(leaks)
    )
    return Table("accuracy", caption, display, summary.reset_index(), marks=marks, links=links)


def _folders(inputs: Inputs) -> dict[tuple[str, str], str]:
    """Where the runs of a dataset and method are, of those that have folders."""
    root = inputs.collection.root
    runs = inputs.runs.drop_duplicates(["dataset", "method"])
    places = {(run.dataset, run.method): Path(run.path).parent for run in runs.itertuples()}
    return {key: str(place) for key, place in places.items() if (root / place).is_dir()}


def _ensembles(inputs: Inputs) -> list[Table]:
    """What a method's seeds give together, where there are several."""
    if not inputs.methods:
        return []
    by_cell = inputs.runs.groupby(["method", "dataset"]).agg(
        accuracy=("test_accuracy", "mean"), params=("params_active", "mean"),
        flops=("flops", "mean"), least=("members", "min"), most=("members", "max"),
    )  # fmt: skip
    grouped = by_cell.groupby("method")
    data = grouped[["accuracy", "params", "flops"]].mean()
    data.insert(0, "members", [aggregate.ranges([*m["least"], *m["most"]]) for _, m in grouped])
    data.insert(1, "datasets", grouped.size())
    data = data.reset_index()
    display = data.astype(str)
    for column, unit, form in (
        ("accuracy", 0.01, "{:.2f}"), ("params", 1e3, "{:.2f}"), ("flops", 1e6, "{:.2f}")
    ):  # fmt: skip
        display[column] = [NONE if pd.isna(x) else form.format(x / unit) for x in data[column]]
    titles = {"accuracy": "accuracy %", "params": "params (K)", "flops": "FLOPs (M)"}
    caption = (
        "Ensembles of a method's runs that differ in the seed: the class of largest mean "
        "probability, from stored predictions. Means over each one's own datasets; parameters and "
        "FLOPs are those of all members. In tests they meet ensembles only."
    )
    return [Table("ensembles", caption, display.rename(columns=titles), data)]


def _measures(inputs: Inputs) -> Table:
    """Means of everything that the test measures, over each method's own datasets."""
    columns = [column for column in inputs.runs if column.startswith("test_")]
    columns = [column for column in columns if inputs.runs[column].notna().any()]
    columns = [column for column in columns if column != "test_seconds"]
    by_cell = inputs.runs.groupby(["method", "dataset"])[columns].mean()
    means = by_cell.groupby("method").mean()
    means.columns = [column.removeprefix("test_").replace("_", " ") for column in columns]
    means.insert(0, "datasets", by_cell.groupby("method").size())
    data = means.reset_index()
    display = data.astype({"datasets": str})
    for column in data.columns[2:]:
        display[column] = [NONE if pd.isna(value) else f"{value:.4f}" for value in data[column]]
    caption = (
        "What the test measures, means over runs and each method's own datasets. Accuracy running "
        "and recalibrated: with BatchNorm's statistics of training and of the training set; the "
        "setting recalibrate says beforehand which of them is the accuracy. AUROC: one class "
        "against the rest, mean over classes; ECE: expected calibration error, 15 bins; NLL: "
        "negative log likelihood."
    )
    return Table("measures", caption, display, data)


def _leaks(runs: pd.DataFrame) -> dict[str, str]:
    """How many test series of a dataset are training series, too; old runs do not say."""
    if "n_test_in_train" not in runs:
        return {}
    shared = runs[runs["n_test_in_train"] > 0].groupby("dataset")["n_test_in_train"]
    return {str(dataset): aggregate.ranges(counts.unique()) for dataset, counts in shared}


def _said(leaks: dict[str, str]) -> str:
    return "; ".join(f"{dataset} {counts}" for dataset, counts in leaks.items())


def gaps(inputs: Inputs) -> Section | None:
    """What is missing of the grid of datasets, methods, folds and seeds, and what is damaged."""
    lacking = aggregate.missing(inputs.collection)
    problems = inputs.collection.problems
    items = []
    if len(lacking):
        rows = [
            {
                "method": method,
                "dataset": dataset,
                "runs missing": len(cells),
                "fold: seeds": "; ".join(
                    f"{fold}: {aggregate.ranges(of_fold['seed'])}"
                    for fold, of_fold in cells.groupby("fold")
                ),
                "begun": int(cells["begun"].sum()),
            }
            for (method, dataset), cells in lacking.groupby(["method", "dataset"])
        ]
        caption = (
            f"{count(len(lacking), 'run')} of the grid of all methods, datasets, folds and seeds "
            f"without a result; {lacking['begun'].sum()} of them begun."
        )
        items.append(
            Table("missing", caption, pd.DataFrame(rows).astype(str), lacking, ("dataset",))
        )
    if problems:
        listed = pd.DataFrame({"not used": problems})
        items.append(Table("problems", count(len(problems), "file") + " not used.", listed, listed))
    if not items:
        return None
    return Section("missing", "Missing and damaged", "", list(items))
