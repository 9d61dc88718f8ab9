"""What is in a folder of results: ``python -m dsn_lab.runs [FOLDER] [KEY=VALUE ...]``."""

import argparse
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from dsn_lab.analysis.aggregate import ranges
from dsn_lab.analysis.collect import Collection, collect
from dsn_lab.errors import UserError, refusing
from dsn_lab.records.identity import PREFIX

DESCRIPTION = """\
List what a folder of results holds, a line a dataset and method. Methods are called by the
settings that differ here. KEY=VALUE, as dataset=GunPoint or optimizer.lr=0.001, lists some only."""


def listing(collection: Collection, wanted: dict[str, str]) -> pd.DataFrame:
    """A row a dataset and method.

    Args:
        collection: the runs.
        wanted: values, as text, of settings or of what a record says.

    Returns:
        ``dataset``, ``method``, ``folds``, ``seeds``, ``epochs``, ``accuracy`` (mean), ``runs``,
        ``begun`` (without a result) and ``folder``.

    Raises:
        UserError: no run has such a setting.
    """
    runs = collection.runs
    for key, value in wanted.items():
        column = next((name for name in (key, PREFIX + key) if name in runs), None)
        if column is None:
            raise UserError(f"{key}={value}: no run says anything of {key}")
        runs = runs[runs[column].map(_text) == value]
    begun = collection.unfinished.groupby(["dataset", "method"]).size()
    rows = []
    for (dataset, method), some in runs.groupby(["dataset", "method"]):
        short = some["epochs"] != some["protocol_epochs"]
        rows.append(
            {
                "dataset": dataset,
                "method": method,
                "folds": ranges(some["fold"]),
                "seeds": ranges(some["seed"]),
                "epochs": ranges(some["epochs"]) + " (short)" * bool(short.any()),
                "accuracy": float(some["test_accuracy"].mean()),
                "runs": len(some),
                "begun": int(begun.get((dataset, method), 0)),
                "folder": str(Path(some["path"].iloc[0]).parent),
            }
        )
    return pd.DataFrame(rows)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def main(arguments: list[str] | None = None, prog: str = "python -m dsn_lab.runs") -> None:
    """Print the list; a user's mistake ends in one line and exit status 2."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION)
    parser.add_argument("given", nargs="*", metavar="FOLDER or KEY=VALUE", help="default: results")
    given = parser.parse_args(arguments).given
    folders = [text for text in given if "=" not in text] or ["results"]
    wanted = dict(text.split("=", maxsplit=1) for text in given if "=" in text)
    console = Console()
    with refusing():
        for folder in folders:
            collection = collect(Path(folder))
            found = listing(collection, wanted)
            table = Table(*found.columns, title=f"{folder}: {count(found)} finished runs")
            for row in found.itertuples(index=False):
                shown = [f"{each:.4f}" if isinstance(each, float) else str(each) for each in row]
                table.add_row(*shown)
            console.print(table)
            for problem in collection.problems:
                console.print(problem, soft_wrap=True, highlight=False)


def count(found: pd.DataFrame) -> int:
    """How many runs a listing is of."""
    return int(found["runs"].sum()) if len(found) else 0


if __name__ == "__main__":
    main()
