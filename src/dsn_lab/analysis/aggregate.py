"""Means over seeds that never hide a missing run, and the tables they are stored in."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dsn_lab.analysis.collect import Collection
from dsn_lab.storage import written_whole

RUN = ["fold", "seed"]


def expected(collection: Collection) -> dict[str, set[tuple[int, int]]]:
    """The folds and seeds that each method has finished on half of its datasets or more.

    Further seeds of a few datasets are not asked of all others. One that has only begun does not
    count: a sweep under way may be compared on what it has.
    """
    return {
        method: {
            (int(fold), int(seed))
            for (fold, seed), there in rows.groupby(RUN)["dataset"].nunique().items()
            if 2 * there >= rows["dataset"].nunique()
        }
        for method, rows in collection.runs.groupby("method")
    }


def shared_folds(collection: Collection) -> list[int]:
    """The folds that every method with a result has run: those that may be compared."""
    folds = [set(rows["fold"]) for _, rows in collection.runs.groupby("method")]
    return sorted(map(int, set.intersection(*folds)))


def summarise(collection: Collection, folds: Sequence[int]) -> pd.DataFrame:
    """Mean test accuracy over the runs of each dataset and method.

    Args:
        collection: the runs.
        folds: only runs of these are counted.

    Returns:
        Indexed by ``(dataset, method)``: ``mean`` and ``std`` (of a sample; NaN for one run) over
        the runs that are there, their number ``n``, the number ``expected`` (the method's folds
        and seeds on any dataset), ``folds``, ``seeds``, ``epochs`` and ``protocol_epochs``.
    """
    runs = collection.runs
    runs = runs[runs["fold"].isin(folds)]
    grouped = runs.groupby(["dataset", "method"])
    table = grouped["test_accuracy"].agg(mean="mean", std="std", n="size")
    wanted = {
        method: sum(fold in folds for fold, _ in pairs)
        for method, pairs in expected(collection).items()
    }
    table["expected"] = table.index.get_level_values("method").map(wanted)
    further = _further(runs, expected(collection))
    table["expected"] += further.reindex(table.index, fill_value=0)
    for column in ("fold", "seed", "epochs", "protocol_epochs"):
        name = column + "s" if column in RUN else column
        table[name] = grouped[column].agg(lambda values: ranges(values.unique()))
    return table


def _further(runs: pd.DataFrame, wanted: dict[str, set[tuple[int, int]]]) -> pd.Series:
    """How many runs of each dataset and method are there that are not asked of the others."""
    rows = zip(runs["method"], runs["fold"], runs["seed"], strict=True)
    beyond = [(int(fold), int(seed)) not in wanted[method] for method, fold, seed in rows]
    return runs[beyond].groupby(["dataset", "method"]).size()


def complete(summary: pd.DataFrame) -> pd.DataFrame:
    """Mean by dataset (row) and method (column); NaN where not every expected run is there."""
    whole = summary[summary["n"] == summary["expected"]]
    wide = whole["mean"].unstack("method")
    index, columns = (sorted(set(summary.index.get_level_values(i))) for i in (0, 1))
    return wide.reindex(index=index, columns=columns)


def missing(collection: Collection) -> pd.DataFrame:
    """The grid of all datasets and methods, by each method's folds and seeds, but what is finished.

    Returns:
        A row a missing run: ``method``, ``dataset``, ``fold``, ``seed``, and whether it has
        ``begun``.
    """
    keys = ["method", "dataset", *RUN]
    begun = pd.MultiIndex.from_frame(collection.unfinished[keys])
    done = pd.MultiIndex.from_frame(collection.runs[keys])
    wanted = expected(collection)
    grid = pd.MultiIndex.from_tuples(
        [
            (method, dataset, fold, seed)
            for method in sorted(set(done.get_level_values("method")))
            for dataset in sorted(set(done.get_level_values("dataset")))
            for fold, seed in sorted(wanted[method])
        ],
        names=keys,
    )
    lacking = grid.union(begun).difference(done)
    return lacking.to_frame(index=False).assign(begun=lacking.isin(begun))


def ranges(numbers: Sequence[int]) -> str:
    """Whole numbers in few characters: ``0-4, 7``."""
    parts: list[list[int]] = []
    for number in sorted({int(number) for number in numbers}):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else f"{p[0]}" for p in parts)


def write_csvs(runs: pd.DataFrame, folder: Path) -> None:
    """Write tsml-eval's tables: a file a method and measure, a dataset a row.

    ``fold<F>/<method>_<measure>.csv`` has a column a seed (fold 0 is the archive's split), and
    where there are several folds ``seed<S>/...`` a column a fold. A missing run is an empty cell.
    """
    views = [("fold", "seed")] + ([("seed", "fold")] if runs["fold"].nunique() > 1 else [])
    for fixed, column in views:
        for (value, method), rows in runs.groupby([fixed, "method"]):
            target = folder / f"{fixed}{value}"
            target.mkdir(parents=True, exist_ok=True)
            for measure in [column for column in runs.columns if column.startswith("test_")]:
                table = rows.pivot(index="dataset", columns=column, values=measure)
                name = f"{file_name(method)}{_short(rows)}_{measure.removeprefix('test_')}.csv"
                with written_whole(target / name) as temporary:
                    table.to_csv(temporary, index_label=f"{column}s:")


def _short(rows: pd.DataFrame) -> str:
    """How many epochs shortened runs had, unless that is part of their method's name."""
    short = rows[rows["epochs"] != rows["protocol_epochs"]]
    said = rows["method"].str.contains("-epochs").any()
    return "" if short.empty or said else f"_{ranges(short['epochs'])}-epochs".replace(", ", ",")


def file_name(label: str) -> str:
    """A label as part of a file's name."""
    return "".join(c if c.isalnum() or c in "-.=" else "_" for c in label)
