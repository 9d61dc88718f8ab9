"""Ensembles of single runs, from the probabilities that they have stored: nothing is retrained.

``python -m dsn_lab.ensemble FOLDER ...`` takes the folders of methods, which hold
``fold<F>-seed<S>``. Of LITE the ensemble is LITETime, of Inception InceptionTime.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations, compress
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from dsn_lab.errors import UserError, refusing
from dsn_lab.records import identity, results
from dsn_lab.records.cell import RESULT, Folder
from dsn_lab.records.checked import require_record
from dsn_lab.records.where import chosen, conditions
from dsn_lab.storage import exists

Floats = NDArray[np.floating[Any]]
SAID = ("dataset", "model", "dsp", "fold", "epochs")
COLUMNS = ("stage", "fold", "epochs", "members", "subsets", "accuracy")


def accuracy(probabilities: Floats, labels: NDArray[np.integer[Any]]) -> float:
    """Accuracy of an ensemble, which predicts the class of largest mean probability.

    Args:
        probabilities: ``(members, n, n_classes)``.
        labels: ``(n,)``.
    """
    return float((probabilities.mean(axis=0).argmax(axis=1) == labels).mean())


def accuracies(probabilities: Floats, labels: NDArray[np.integer[Any]]) -> list[float]:
    """Accuracy of ensembles of 1, 2, ... members, each the mean over all subsets of that size.

    Args:
        probabilities: ``(members, n, n_classes)``.
        labels: ``(n,)``.
    """
    n_members = len(probabilities)
    return [
        float(
            np.mean(
                [
                    accuracy(probabilities[list(chosen)], labels)
                    for chosen in combinations(range(n_members), size)
                ]
            )
        )
        for size in range(1, n_members + 1)
    ]


def rows(method: Path, where: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """A row for each stage, fold and number of members in a method's folder.

    Args:
        method: the folder.
        where: values that members must have (:mod:`dsn_lab.records.where`).

    Raises:
        UserError: there is no finished run, or runs of one fold differ in settings or labels.
    """
    found: list[tuple[results.Record, Folder]] = []
    for folder in results.below(method):
        record = results.read(folder) if folder.folder.parent == method else None
        if record is not None:
            require_record(record, folder.result)
            found.append((record, folder))
    folds: dict[int, list[tuple[results.Record, Folder]]] = defaultdict(list)
    wanted = chosen([record for record, _ in found], where or {})
    for record, folder in compress(found, wanted):
        folds[record["fold"]].append((record, folder))
    if not folds:
        raise UserError(f"{method}: holds no finished run (fold<F>-seed<S>/{RESULT})")
    for fold, runs in sorted(folds.items()):
        first = runs[0][0]
        settings = identity.recorded(first)
        for record, folder in runs[1:]:
            seedless = identity.recorded(record) | {"seed": settings["seed"]}
            results.require_same(seedless, settings, folder.folder)
            results.require_same_data(first, record, folder.folder)
        stored = [_predictions(folder) for _, folder in runs]
        labels = [each.pop("labels") for each in stored]
        if any(not np.array_equal(each, labels[0]) for each in labels):
            raise UserError(f"{method}: runs of fold {fold} were tested on different labels")
        if any(each.keys() != stored[0].keys() for each in stored):
            raise UserError(f"{method}: runs of fold {fold} have other stages than each other")
        for stage in stored[0]:
            members = np.stack([each[stage] for each in stored])
            for size, correct in enumerate(accuracies(members, labels[0]), start=1):
                yield {
                    **{key: first.get(key, "none") for key in SAID},
                    "stage": stage,
                    "members": size,
                    "subsets": comb(len(members), size),
                    "accuracy": correct,
                }


def _predictions(folder: Folder) -> dict[str, NDArray[Any]]:
    """Labels ``(n,)`` and each stage's probabilities ``(n, n_classes)``.

    Raises:
        UserError: the file is damaged, or holds no such arrays.
    """
    path = folder.predictions
    if not exists(path):
        raise UserError(f"{path} is missing; run its cell anew with force=true")
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file}
        labels = found["labels"]
        shapes = {each.shape for name, each in found.items() if name != "labels"}
        sound = labels.ndim == 1 and len(labels) > 0 and labels.dtype.kind in "iu"
        sound &= len(shapes) == 1 and all(np.isfinite(each).all() for each in found.values())
        sound &= all(len(shape) == 2 and shape[0] == len(labels) for shape in shapes)
    except Exception as error:  # whatever a damaged file makes numpy stumble over
        raise UserError(f"{path} is damaged; run its cell anew with force=true") from error
    if not sound:
        raise UserError(f"{path} holds no labels with their probabilities")
    return found


def main(arguments: list[str] | None = None, prog: str = "python -m dsn_lab.ensemble") -> None:
    """Print a table for each folder on the command line."""
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument(
        "given",
        nargs="+",
        metavar="FOLDER or KEY=VALUE",
        help="results/<dataset>/<method>-<digest>; seed=0,1,2 takes these members only",
    )
    given = parser.parse_args(arguments).given
    console = Console()
    for method in (text for text in given if "=" not in text):
        with refusing():
            where = conditions(text for text in given if "=" in text)
            found = list(rows(Path(method), where))
        first = found[0]
        table = Table(*COLUMNS, title=f"{first['dataset']}, {first['model']}, dsp={first['dsp']}")
        for row in found:
            shown = row | {"accuracy": f"{row['accuracy']:.4f}"}
            table.add_row(*(str(shown[column]) for column in COLUMNS))
        console.print(table)


if __name__ == "__main__":
    main()
