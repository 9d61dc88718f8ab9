"""The results of a folder: a row a run, and what is damaged, unfinished or there twice."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dsn_lab.analysis import methods
from dsn_lab.errors import UserError
from dsn_lab.records import identity, results
from dsn_lab.records.cell import RESULT, Folder
from dsn_lab.records.checked import require_record
from dsn_lab.records.ledger import Ledger
from dsn_lab.records.where import chosen
from dsn_lab.storage import written_whole

CELL_FOLDER = re.compile(r"fold(\d+)-seed(\d+)")
COST = (
    *("params", "params_active", "flops", "flops_dense", "flops_paper"),
    *("inference_ms", "inference_ms_64", "inference_bytes", "inference_mj_64", "model_bytes"),
)


@dataclass(frozen=True)
class Collection:
    """What a results folder holds.

    Attributes:
        root: the folder.
        runs: a row a finished run: its record, its ``method`` (a label that no other settings
            share) and its ``path``.
        unfinished: a row a cell that began and has no result: ``dataset``, ``method``, ``fold``,
            ``seed``, ``path``.
        settings: of each method, what its runs have in common and other methods may not.
        problems: a line for each file that is not used, with the reason.
    """

    root: Path
    runs: pd.DataFrame
    unfinished: pd.DataFrame
    settings: dict[str, dict[str, Any]]
    problems: list[str]


def collect(root: Path, where: Mapping[str, str] | None = None) -> Collection:
    """Read every ``result.json`` below ``root``; a damaged one does not hinder the others.

    If ``root`` holds a ledger (:mod:`dsn_lab.records.ledger`), its rows come first.

    Args:
        root: the folder.
        where: values that runs must have (:mod:`dsn_lab.records.where`); methods are named by what
            then differs.

    Raises:
        UserError: there is no such folder, or no result in it that can be read and is wanted.
    """
    if not root.is_dir():
        raise UserError(f"{root}: there is no such folder; give the results_dir of the runs")
    records = [_today(record) | {"path": path} for path, record in Ledger(root).records().items()]
    problems: list[str] = []
    for found in results.below(root):
        path = found.result
        try:
            record = results.read(found) or {}
            require_record(record, path)
            records.append(_today(record) | {"path": str(path.parent.relative_to(root))})
        except (UserError, OSError) as error:
            problems.append(str(error).split(";", maxsplit=1)[0])
    if not records:
        reason = f"; {len(problems)} damaged, first: {problems[0]}" if problems else ""
        raise UserError(f"{root}: no {RESULT} below it{reason}")
    if where:
        records = [each for each, kept in zip(records, chosen(records, where), strict=True) if kept]
    if not records:
        asked = " ".join(f"{key}={value}" for key, value in (where or {}).items())
        raise UserError(f"{root}: no run has {asked}")
    problems += _set_apart(records)
    labels, settings = methods.labels(records)
    runs = pd.DataFrame(
        [record | {"method": label} for record, label in zip(records, labels, strict=True)]
    )
    for key in COST:
        # A classifier that is no network has none, and old records lack some.
        runs[key] = pd.to_numeric(runs[key]) if key in runs else np.nan
    keys = ["method", "dataset", "fold", "seed"]
    for again in runs[runs.duplicated(keys)].itertuples():
        problems.append(f"{root / again.path} repeats a run that is there already; not counted")
    runs = runs.drop_duplicates(keys).sort_values(keys, ignore_index=True)
    begun = _unfinished(root, runs)
    if where:
        begun = begun[begun["method"].isin(runs["method"])]
    return Collection(root, runs, begun, settings, problems)


def _set_apart(records: list[results.Record]) -> list[str]:
    """Give other data of a dataset's name a name of their own; most runs keep it."""
    digests: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        digests[record["dataset"]][_data_of(record)] += 1
    said = []
    for dataset, counts in digests.items():
        (usual, _), *others = counts.most_common()
        for digest, number in others:
            if digest and usual:
                apart = f"{dataset} [{digest[:8]}]"
                runs = f"{number} run{'s' * (number > 1)}"
                said.append(f"{runs} on other data of the name {dataset}: here {apart}")
                for record in records:
                    if record["dataset"] == dataset and _data_of(record) == digest:
                        record["dataset"] = apart
    return said


def _data_of(record: results.Record) -> str:
    return " ".join(str(record.get(key, "")) for key in results.DATA).strip()


def _today(record: results.Record) -> results.Record:
    """A record with its settings in today's form."""
    measured = {key: v for key, v in record.items() if not key.startswith(identity.PREFIX)}
    settings = identity.recorded(record)
    return measured | {f"{identity.PREFIX}{key}": value for key, value in settings.items()}


def _unfinished(root: Path, runs: pd.DataFrame) -> pd.DataFrame:
    """Cells that have a checkpoint or metrics, and no result."""
    siblings = {str(Path(run.path).parent): run.method for run in runs.itertuples()}
    rows = [
        {
            "dataset": folder.parent.parent.name,
            # Without a finished run of these settings, the folder's name is all there is.
            "method": siblings.get(str(folder.parent.relative_to(root)), folder.parent.name),
            "fold": fold,
            "seed": seed,
            "path": str(folder.relative_to(root)),
        }
        for folder, fold, seed in _cells(root)
        if (Folder(folder).checkpoint.exists() or Folder(folder).metrics.exists())
        and not Folder(folder).result.exists()
    ]
    return pd.DataFrame(rows, columns=["dataset", "method", "fold", "seed", "path"])


def _cells(root: Path) -> Iterator[tuple[Path, int, int]]:
    for folder in sorted(root.rglob("fold*-seed*")):
        if match := CELL_FOLDER.fullmatch(folder.name):
            yield folder, int(match[1]), int(match[2])


def write_parquet(runs: pd.DataFrame, path: Path) -> None:
    """Store the runs; a column whose values are of several types is stored as JSON."""
    stored = runs.copy()
    for name in [name for name in stored.columns if stored[name].dtype.kind == "O"]:
        if stored[name].dropna().map(type).nunique() > 1 or stored[name].map(_is_nested).any():
            stored[name] = stored[name].map(json.dumps)
    with written_whole(path) as temporary:
        stored.to_parquet(temporary, index=False)


def _is_nested(value: object) -> bool:
    return isinstance(value, list | dict)
