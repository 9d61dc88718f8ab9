"""Published accuracies by dataset, from a folder of the user's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dsn_lab.errors import UserError
from dsn_lab.storage import packaged_yaml, written_whole

TSML = "_accuracy.csv"


@dataclass(frozen=True)
class Published:
    """Accuracies in [0, 1] on the archive's split.

    Attributes:
        scores: a dataset a row, a method a column, NaN where nothing is published.
        runs: of each method, what a number is the mean of.
        known: the methods of ``published.yaml``, those that figures show.
        units: of those that are networks, ``network`` or ``ensemble``.
        pruning: the DSP authors' own results by model, a dataset a row: accuracies of ensembles
            ``base``, ``fine-tuned`` and ``scratch``, parameters ``params_base`` and
            ``params_pruned``.
    """

    scores: pd.DataFrame
    runs: dict[str, str]
    known: list[str]
    units: dict[str, str]
    pruning: dict[str, pd.DataFrame]

    def of_unit(self, unit: str | None) -> list[str]:
        """Methods that may be compared with networks or with ensembles; None: all."""
        return [name for name in self.scores if unit in (None, self.units.get(name, unit))]


def load(folder: Path) -> Published:
    """Read the files that ``published.yaml`` lists, and those in tsml-eval's form.

    Raises:
        UserError: there is no such folder, nothing in it is known, or a file is damaged.
    """
    if not folder.is_dir():
        raise UserError(f"reference_dir={folder}: there is no such folder")
    known_files = packaged_yaml("dsn_lab.analysis", "published.yaml")
    listed = known_files["methods"]
    columns: dict[str, pd.Series] = {}
    runs: dict[str, str] = {}
    for method in listed:
        there = [file for file in method["files"] if (folder / file["path"]).exists()]
        for file in there:
            _add(columns, method["name"], _listed(folder, file))
            runs[method["name"]] = method["runs"]
    known = list(columns)
    for path in sorted(folder.rglob(f"*{TSML}")):
        name = path.name.removesuffix(TSML)
        if name in known:
            continue
        _add(columns, name, _tsml(path))
        runs[name] = "one run (tsml-eval)"
    if not columns:
        names = ", ".join(file["path"] for method in listed for file in method["files"])
        raise UserError(
            f"reference_dir={folder}: no published results in it; known are {names} and "
            f"<Method>{TSML} in tsml-eval's form"
        )
    units = known_files["tsml_units"] | {m["name"]: m["unit"] for m in listed if "unit" in m}
    pruning = _pruning(folder, known_files["pruning"])
    return Published(pd.DataFrame(columns), runs, known, units, pruning)


def excerpt(folder: Path, out: Path) -> list[Path]:
    """Write what :func:`load` takes from the listed files, and nothing else of them.

    Returns:
        The files below ``out``, which can be loaded like ``folder``.
    """
    known = packaged_yaml("dsn_lab.analysis", "published.yaml")
    columns: dict[str, set[str]] = {}
    chosen: dict[str, dict[str, set[str]]] = {}
    for file in (file for method in known["methods"] for file in method["files"]):
        where = file.get("where", {})
        columns.setdefault(file["path"], set()).update({file["dataset"], file["value"], *where})
        for column, value in where.items():
            chosen.setdefault(file["path"], {}).setdefault(column, set()).add(value)
    for file in (file for files in known["pruning"].values() for file in files):
        columns.setdefault(file["path"], set()).update({"dataset", *file["columns"]})
    written = []
    for name in sorted(path for path in columns if (folder / path).exists()):
        table = pd.read_csv(folder / name, dtype=str, keep_default_na=False)
        for column, values in chosen.get(name, {}).items():
            table = table[table[column].isin(values)]
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        kept = [column for column in table.columns if column in columns[name]]
        with written_whole(target) as temporary:
            table[kept].to_csv(temporary, index=False, lineterminator="\n")
        written.append(target)
    return written


def _add(columns: dict[str, pd.Series], name: str, series: pd.Series) -> None:
    """Each archive may have a file of its own; the first to name a dataset is used."""
    columns[name] = columns[name].combine_first(series) if name in columns else series


def _listed(folder: Path, file: dict[str, Any]) -> pd.Series:
    path = folder / file["path"]
    try:
        table = pd.read_csv(path)
        for column, value in file.get("where", {}).items():
            table = table[table[column] == value]
        names = table[file["dataset"]].replace(file.get("rename", {}))
        means = table[file["value"]].groupby(names).mean() / file["of"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not in the form that published.yaml tells ({error})") from error
    return _shares(means, path)


def _pruning(folder: Path, listed: dict[str, Any]) -> dict[str, pd.DataFrame]:
    found: dict[str, pd.DataFrame] = {}
    for model, files in listed.items():
        for file in files:
            path = folder / file["path"]
            if path.exists():
                try:
                    table = pd.read_csv(path, index_col="dataset")[list(file["columns"])]
                except (KeyError, ValueError) as error:
                    raise UserError(f"{path}: not in the form that published.yaml tells") from error
                table = table.rename(columns=file["columns"])
                found[model] = found[model].combine_first(table) if model in found else table
    return found


def _tsml(path: Path) -> pd.Series:
    try:
        return _shares(pd.read_csv(path, index_col=0)["0"].astype(float), path)
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: not in tsml-eval's form, it has no column 0") from error


def _shares(accuracies: pd.Series, path: Path) -> pd.Series:
    """Accuracies from 0 to 1, of a table that may be in percent; a dataset once."""
    names = accuracies.index
    if (twice := names[names.duplicated()]).any():
        raise UserError(f"{path}: {twice[0]} is in it twice; remove the row that is wrong")
    if accuracies.max() > 1:
        accuracies = accuracies / 100
    if not accuracies.dropna().between(0, 1).all():
        odd = accuracies.index[~accuracies.between(0, 1) & accuracies.notna()][0]
        raise UserError(f"{path}: {odd} is no accuracy, neither from 0 to 1 nor in percent")
    return accuracies
