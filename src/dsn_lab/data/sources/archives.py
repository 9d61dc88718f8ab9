"""UCR and UEA datasets: files of the data folder or bundled with aeon, read by aeon's readers."""

import contextlib
import importlib.util
import io
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_lab.data import download, transforms
from dsn_lab.data import folder as files
from dsn_lab.data.split import Split, label_names
from dsn_lab.errors import UserError


def find(folder: Path, name: str) -> tuple[Path, ...] | None:
    """Return the train and test file of a dataset in its folder, both .tsv or both .ts."""
    for kind in ("tsv", "ts"):
        found = files.locate(folder, (f"{name}_TRAIN.{kind}", f"{name}_TEST.{kind}"))
        if found:
            return found
    return None


def bundled_folder(name: str) -> Path:
    """Return the folder where aeon would bundle a dataset (found without importing aeon)."""
    spec = importlib.util.find_spec("aeon")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("the package aeon is not installed: pip install aeon")
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data" / name


def read(path: Path, root: Path | None, split: str) -> Split:
    """Read one ``.tsv`` or ``.ts`` file (plain, ``.gz`` or ``.xz``), checked against its digest.

    Args:
        path: the file.
        root: the data folder it belongs to, or None for a bundled file.
        split: ``"train"`` or ``"test"``, named in errors.

    Raises:
        UserError: the file is damaged, differs from its digest, or cannot be parsed.
    """
    with files.verified(path, root) as (plain, sha256):
        try:
            x, y = _read_tsv(plain) if plain.suffix == ".tsv" else _read_ts(plain)
        except (OSError, ValueError, IndexError, TypeError) as error:
            raise UserError(
                f"cannot parse {path}: {files.reason(error)}; delete it to download it again"
            ) from error
    series = transforms.stack(x, split)
    if len(series) != len(y):
        raise UserError(f"{path} holds {len(series)} series but {len(y)} labels")
    return Split(series, label_names(y), sha256)


def fetch(name: str, archive: str, root: Path) -> tuple[Path, ...]:
    """Download a dataset from Zenodo through aeon, install its two ``.ts`` files; return them.

    Raises:
        UserError: see :func:`dsn_lab.data.download.obtain`; or aeon cannot fetch or read it.
    """

    def prepare(staging: Path) -> Sequence[Path]:
        from aeon.datasets import load_classification

        try:
            with contextlib.redirect_stdout(io.StringIO()):
                load_classification(name, extract_path=str(staging))
        except (OSError, ValueError, IndexError, HTTPException) as error:
            raise UserError(
                f"cannot download {name}: {files.reason(error)}; check the network, or put "
                f"{name}_TRAIN.ts and {name}_TEST.ts into {root / archive / name}"
            ) from error
        finished = [staging / name / f"{name}_{split}.ts" for split in ("TRAIN", "TEST")]
        for path in finished:  # aeon may have read another version of the files it fetched
            read(path, None, path.stem)
        return finished

    return download.obtain(
        root, archive, name, find=lambda: find(root / archive / name, name), prepare=prepare
    )


def _read_tsv(path: Path) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Read label-first tab-separated text; refuse rows of unequal width (a truncated file)."""
    with path.open("rb") as file:
        widths = [line.count(b"\t") for line in file]
    for row, width in enumerate(widths):
        if width != widths[0]:
            raise ValueError(f"line {row + 1} holds {width} values, the first {widths[0]}")
    from aeon.datasets import load_from_tsv_file

    x, y = load_from_tsv_file(str(path))
    if y.dtype.kind == "f" and np.isnan(y).any():
        raise ValueError(f"line {int(np.argmax(np.isnan(y))) + 1} has no label")
    return np.asarray(x, dtype=np.float64), y


def _read_ts(path: Path) -> tuple[Any, NDArray[Any]]:
    """Read sktime's text format; series of unequal length come as a list."""
    from aeon.datasets import load_from_ts_file

    x, y = load_from_ts_file(str(path))
    return x, y
