"""A ledger: a folder that keeps the records of many runs, and their probabilities, in few files.

``runs.csv.gz`` has a row a run and a column for each key of a record. Texts are written as they
are, everything else as JSON; an empty cell is a key that the record does not have.
``probabilities/<dataset>.npz`` holds ``labels fold<F>`` and, for each run, its probabilities
``<method>/fold<F>-seed<S>`` (of a run with stages with the stage's name behind it) in 16 bits.
Rows are known by the folder that their settings name, are added, and never changed.
"""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_lab.errors import UserError
from dsn_lab.records import identity
from dsn_lab.records.cell import Folder
from dsn_lab.records.results import Record
from dsn_lab.storage import written_whole

LEDGER = "runs.csv.gz"
FIRST = ("path", "dataset", "model", "dst", "dsp", "fold", "seed", "epochs", "protocol_epochs",
         "test_accuracy")  # fmt: skip

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Ledger:
    """The ledger in a folder, which need not be there yet."""

    folder: Path

    def records(self) -> dict[str, Record]:
        """All records by their path, in the order of the file; none if there is no ledger.

        Raises:
            UserError: the file is damaged.
        """
        path = self.folder / LEDGER
        try:
            with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
                table = csv.DictReader(file, strict=True)
                rows, columns = list(table), table.fieldnames or []
        except FileNotFoundError:
            return {}
        except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path} is damaged ({error})") from error
        if not {"path", "dataset"} <= set(columns):
            raise UserError(f"{path} is no ledger: it lacks the columns path and dataset")
        records = ({k: _read(text) for k, text in row.items() if text} for row in rows)
        return {str(record.pop("path")): record for record in records}

    def probabilities(self, path: str) -> dict[str, NDArray[Any]] | None:
        """``labels`` and probabilities of a run as it stores them itself, or None."""
        dataset, run = path.split("/", maxsplit=1)
        stored = self._stored(dataset, (run, _labels(run)))
        labels = stored.pop(_labels(run), None)
        if not stored or labels is None:
            return None
        own = {name.partition(" ")[2] or "probabilities": each for name, each in stored.items()}
        return {"labels": labels, **own}

    def add(self, runs: Iterable[tuple[Record, Arrays | None]]) -> list[str]:
        """Add runs whose settings are not there yet.

        Args:
            runs: records, each with what it has stored as predictions.

        Returns:
            The paths of those that are new.
        """
        records, new = self.records(), []
        arrays: dict[str, dict[str, NDArray[Any]]] = {}
        for record, stored in runs:
            path = path_of(record)
            if path in records:
                continue
            records[path] = record
            new.append(path)
            if stored is not None:
                dataset, run = path.split("/", maxsplit=1)
                arrays.setdefault(dataset, {}).update(_compact(run, stored))
        self.folder.mkdir(parents=True, exist_ok=True)
        # First what the rows speak of.
        for dataset, added in arrays.items():
            target = self.folder / "probabilities" / f"{dataset}.npz"
            target.parent.mkdir(exist_ok=True)
            with written_whole(target) as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **{**self._stored(dataset), **added})
        if new:
            with written_whole(self.folder / LEDGER) as temporary:
                temporary.write_bytes(_packed(records))
        return new

    def _stored(self, dataset: str, of: tuple[str, ...] | None = None) -> dict[str, NDArray[Any]]:
        """The arrays of a dataset; only those of a run and its labels, if ``of`` names them."""
        try:
            with np.load(self.folder / "probabilities" / f"{dataset}.npz") as file:
                return {
                    name: file[name]
                    for name in file.files
                    if of is None or name in of or name.partition(" ")[0] == of[0]
                }
        except FileNotFoundError:
            return {}


def path_of(record: Mapping[str, Any]) -> str:
    """The folder of a run below its results, by its settings."""
    choices = {group: str(record[group]) for group in ("model", "dst", "dsp")}
    return identity.folder(identity.nested(identity.recorded(record)), choices)


def predictions(root: Path, path: str) -> dict[str, NDArray[Any]] | None:
    """What a run has stored of the test series: in its folder, or in a ledger in ``root``."""
    return Folder(root / path).predicted() or Ledger(root).probabilities(path)


def _labels(run: str) -> str:
    """The name of the labels that a run was tested on."""
    return f"labels {run.rpartition('/')[2].partition('-')[0]}"


def _compact(run: str, stored: Arrays) -> dict[str, NDArray[Any]]:
    named = [name for name in stored if name != "labels"]
    result = {_labels(run): stored["labels"].astype(np.int16)}
    for name in named:
        key = run if name == "probabilities" else f"{run} {name}"
        result[key] = stored[name].astype(np.float16)
    return result


def _packed(records: Mapping[str, Record]) -> bytes:
    rows = [{"path": path, **record} for path, record in records.items()]
    columns = {key for row in rows for key in row}
    text = io.StringIO()
    writer = csv.DictWriter(text, [*FIRST, *sorted(columns - {*FIRST})], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _written(value) for key, value in row.items()})
    return gzip.compress(text.getvalue().encode(), mtime=0)


def _written(value: Any) -> str:
    if isinstance(value, str) and _read(value) is value and value:
        return value
    return json.dumps(value)


def _read(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refused)
    except ValueError:
        return text


def _refused(constant: str) -> None:
    raise ValueError(constant)
