"""What is in a folder of results: ``python -m dsn_lab.runs [FOLDER] [KEY=VALUE ...]``."""

import argparse
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import track
from rich.table import Table

from dsn_lab.analysis.aggregate import ranges
from dsn_lab.analysis.collect import Collection, collect
from dsn_lab.errors import refusing
from dsn_lab.records import results
from dsn_lab.records.cell import Folder
from dsn_lab.records.where import conditions

DESCRIPTION = """\
List what a folder of results holds, a line a dataset and method. Methods are called by the
settings that differ here. KEY=VALUE, as dataset=GunPoint or seed=0,1, lists some only."""


def listing(collection: Collection) -> pd.DataFrame:
    """A row a dataset and method.

    Returns:
        ``dataset``, ``method``, ``folds``, ``seeds``, ``epochs``, ``accuracy`` (mean), ``runs``,
        ``begun`` (without a result) and ``folder``.
    """
    runs = collection.runs
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


def main(arguments: list[str] | None = None, prog: str = "python -m dsn_lab.runs") -> None:
    """Print the list; a user's mistake ends in one line and exit status 2."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION)
    parser.add_argument("given", nargs="*", metavar="FOLDER or KEY=VALUE", help="default: results")
    parser.add_argument(
        "--backfill",
        action="store_true",
        help="log them to W&B, as logger=wandb would have (offline, unless WANDB_MODE=online)",
    )
    parser.add_argument("--project", default="dsn_lab", help="of W&B (dsn_lab)")
    parser.add_argument("--entity", help="W&B user or team")
    parsed = parser.parse_args(arguments)
    given = parsed.given
    folders = [text for text in given if "=" not in text] or ["results"]
    console = Console()
    with refusing():
        where = conditions(text for text in given if "=" in text)
        for folder in folders:
            collection = collect(Path(folder), where)
            found = listing(collection)
            title = f"{folder}: {len(collection.runs)} finished runs"
            table = Table(*found.columns, title=title)
            for row in found.itertuples(index=False):
                shown = [f"{each:.4f}" if isinstance(each, float) else str(each) for each in row]
                table.add_row(*shown)
            console.print(table)
            for problem in collection.problems:
                console.print(problem, soft_wrap=True, highlight=False)
            if parsed.backfill:
                _backfill(collection, parsed.project, parsed.entity)


def _backfill(collection: Collection, project: str, entity: str | None) -> None:
    # W&B and torch take seconds to import; the list needs neither.
    from dsn_lab.run.loggers.weights_and_biases import backfill

    for path in track(collection.runs["path"], "logging", console=Console(stderr=True)):
        folder = Folder(collection.root / path)
        if (record := results.read(folder)) is not None:
            print(backfill(folder, record, project, entity))


if __name__ == "__main__":
    main()
