"""UCR and UEA datasets: files of the data folder, bundled with aeon, or downloaded through it."""

import contextlib
import importlib.util
import io
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

from dsn_lab.data import download, formats, names
from dsn_lab.data import folder as files
from dsn_lab.data.sources import Found
from dsn_lab.data.split import Split
from dsn_lab.data.wanted import Wanted
from dsn_lab.errors import UserError

ARCHIVES = {"UCR": names.UCR, "UEA": names.UEA}
RESAMPLED = True


def find(wanted: Wanted, root: Path) -> Found | None:
    """Return the train and test file, of the data folder or, if nobody named one, of aeon."""
    folder = root / wanted.archive / wanted.name
    if pair := _pair(folder, wanted.name):
        return Found(pair[:1], pair[1:], "data folder", root)
    if files.is_named(root) or _others(folder, wanted.name):
        return None
    pair = _pair(bundled_folder(wanted.name), wanted.name)
    return Found(pair[:1], pair[1:], "aeon") if pair else None


def fetch(wanted: Wanted, root: Path) -> Found:
    """Download a dataset from Zenodo through aeon and install its two ``.ts`` files.

    Raises:
        UserError: see :func:`dsn_lab.data.download.obtain`; aeon cannot fetch or read it; no
            archive has it; or its folder holds files that are not read.
    """
    name, archive = wanted.name, wanted.archive
    folder = root / archive / name
    missing = f"{name}_TRAIN and {name}_TEST of .tsv or .ts, plain, .gz or .xz"
    if name not in ARCHIVES[archive]:
        raise UserError(f"{archive} has no dataset {name}, and {folder} does not hold {missing}")

    def prepare(staging: Path) -> Sequence[Path]:
        if others := _others(folder, name):
            raise UserError(f"{folder} holds {', '.join(others)}, but not {missing}")
        from aeon.datasets import load_classification

        try:
            with contextlib.redirect_stdout(io.StringIO()):
                load_classification(name, extract_path=str(staging))
        except (OSError, ValueError, IndexError, HTTPException) as error:
            raise UserError(
                f"cannot download {name}: {files.reason(error)}; check the network, or put "
                f"{name}_TRAIN.ts and {name}_TEST.ts into {folder}{_or_aeon(name)}"
            ) from error
        finished = [staging / name / f"{name}_{split}.ts" for split in ("TRAIN", "TEST")]
        for path in finished:  # aeon may have read another version of the files it fetched
            formats.read((path,), None, path.stem)
        return finished

    pair = download.obtain(root, archive, name, find=lambda: _pair(folder, name), prepare=prepare)
    return Found(pair[:1], pair[1:], "data folder", root)


def read(found: Found, wanted: Wanted) -> tuple[Split, Split]:
    """Read both files, checked against their digests.

    Raises:
        UserError: naming file and line.
    """
    return (
        formats.read(found.train, found.root, "train"),
        formats.read(found.test, found.root, "test"),
    )


def _or_aeon(name: str) -> str:
    there = _pair(bundled_folder(name), name)
    return "; or name no data folder, to have the copy that aeon bundles" if there else ""


def bundled_folder(name: str) -> Path:
    """Return the folder where aeon would bundle a dataset (found without importing aeon)."""
    spec = importlib.util.find_spec("aeon")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("the package aeon is not installed: pip install aeon")
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data" / name


def _pair(folder: Path, name: str) -> tuple[Path, ...] | None:
    """Return the train and test file of a dataset in its folder, both .tsv or both .ts."""
    for kind in ("tsv", "ts"):
        found = files.locate(folder, (f"{name}_TRAIN.{kind}", f"{name}_TEST.{kind}"))
        if found:
            return found
    return None


def _others(folder: Path, name: str) -> list[str]:
    """Return files that are a split of the dataset by their name, whatever their kind."""
    starts = (f"{name}_train.".lower(), f"{name}_test.".lower())
    try:
        return sorted(p.name for p in folder.iterdir() if p.name.lower().startswith(starts))
    except OSError:
        return []
