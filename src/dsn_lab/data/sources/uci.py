"""The UCI problems HAR, EEG2 and DailySport: four arrays of the data folder, or UCI's archive."""

import tokenize
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_lab.data import download, transforms
from dsn_lab.data import folder as files
from dsn_lab.data.sources import uci_parse
from dsn_lab.data.split import Split, label_names
from dsn_lab.errors import UserError

ARRAYS = ("X_train.npy", "y_train.npy", "X_test.npy", "y_test.npy")
_BASE = "https://archive.ics.uci.edu/static/public"
URLS = {
    "DailySport": f"{_BASE}/256/daily+and+sports+activities.zip",
    "EEG2": f"{_BASE}/121/eeg+database.zip",
    "HAR": f"{_BASE}/240/human+activity+recognition+using+smartphones.zip",
}

# What numpy.load raises on a damaged file, its header's tokens included.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    OverflowError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
)


def find(root: Path, name: str) -> tuple[Path, ...] | None:
    """Return the four arrays' files of a problem, or None unless all are in the data folder."""
    return files.locate(root / "UCI" / name, ARRAYS)


def read(x_path: Path, y_path: Path, root: Path, split: str) -> Split:
    """Read the series ``(batch, channel, time)`` and labels ``(batch,)`` of one split.

    Args:
        x_path: the series' file.
        y_path: the labels' file.
        root: the data folder they belong to.
        split: ``"train"`` or ``"test"``, named in errors.

    Raises:
        UserError: a file is damaged, differs from its digest, or does not hold such an array.
    """
    x, x_sha256 = _read_array(
        x_path, root, ndim=3, kinds="f", holds="floating (batch, channel, time)"
    )
    y, y_sha256 = _read_array(y_path, root, ndim=1, kinds="iu", holds="integer (batch,)")
    if len(x) != len(y):
        raise UserError(f"{x_path} holds {len(x)} series but {y_path.name} {len(y)} labels")
    x = transforms.stack(x.astype(np.float32), split)
    return Split(x, label_names(y), f"{x_sha256} {y_sha256}")


def fetch(name: str, root: Path, url: str | None = None) -> tuple[Path, ...]:
    """Download a problem's archive from UCI, parse it, install its four arrays; return them.

    Args:
        name: ``"HAR"``, ``"EEG2"`` or ``"DailySport"``.
        root: the data folder.
        url: where the archive is; default UCI's own address in ``URLS``.

    Raises:
        UserError: see :func:`dsn_lab.data.download.obtain`; or the archive is not as expected.
    """
    address = URLS[name] if url is None else url

    def prepare(staging: Path) -> Sequence[Path]:
        archive = staging / "archive.zip"
        download.fetch(address, archive)
        try:
            arrays: Sequence[NDArray[Any]] = uci_parse.PARSERS[name](archive)
        except uci_parse.DAMAGED as error:
            raise UserError(
                f"the archive {address} is damaged or not as expected ({files.reason(error)}); "
                "try again"
            ) from error
        for file, array in zip(ARRAYS, arrays, strict=True):
            np.save(staging / file, array)
        return [staging / file for file in ARRAYS]

    return download.obtain(root, "UCI", name, find=lambda: find(root, name), prepare=prepare)


def _read_array(
    path: Path, root: Path, *, ndim: int, kinds: str, holds: str
) -> tuple[NDArray[Any], str]:
    """Read one ``.npy`` file (plain, ``.gz`` or ``.xz``) and its content's digest."""
    with files.verified(path, root) as (plain, sha256):
        try:
            array = np.load(plain, allow_pickle=False)
        except _UNREADABLE as error:
            raise UserError(
                f"cannot parse {path}: {files.reason(error)}; delete it to download it again"
            ) from error
    if not isinstance(array, np.ndarray) or array.ndim != ndim or array.dtype.kind not in kinds:
        found = getattr(array, "dtype", type(array).__name__), getattr(array, "shape", "")
        raise UserError(f"{path} holds {found[0]} {found[1]}: expected {holds}; delete it")
    return array, sha256
