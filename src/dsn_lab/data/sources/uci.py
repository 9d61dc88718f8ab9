"""The UCI problems HAR, EEG2 and DailySport: four arrays of the data folder, or UCI's archive."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_lab.data import download, formats, names
from dsn_lab.data import folder as files
from dsn_lab.data.sources import Found, uci_parse
from dsn_lab.data.split import Split
from dsn_lab.data.wanted import Wanted
from dsn_lab.errors import UserError

ARCHIVES = {"UCI": names.UCI}
RESAMPLED = False
ARRAYS = ("X_train.npy", "y_train.npy", "X_test.npy", "y_test.npy")
_BASE = "https://archive.ics.uci.edu/static/public"
URLS = {
    "DailySport": f"{_BASE}/256/daily+and+sports+activities.zip",
    "EEG2": f"{_BASE}/121/eeg+database.zip",
    "HAR": f"{_BASE}/240/human+activity+recognition+using+smartphones.zip",
}


def find(wanted: Wanted, root: Path) -> Found | None:
    """Return the four arrays' files of a problem, unless one is not in the data folder."""
    four = files.locate(root / "UCI" / wanted.name, ARRAYS)
    return Found(four[:2], four[2:], "data folder", root) if four else None


def read(found: Found, wanted: Wanted) -> tuple[Split, Split]:
    """Read series and labels of both splits, checked against their digests.

    Raises:
        UserError: a file is damaged, differs from its digest, or does not hold such an array.
    """
    return (
        formats.read(found.train, found.root, "train"),
        formats.read(found.test, found.root, "test"),
    )


def fetch(wanted: Wanted, root: Path) -> Found:
    """Download a problem's archive from UCI, parse it and install its four arrays.

    Raises:
        UserError: see :func:`dsn_lab.data.download.obtain`; the archive is not as expected; or
            it is a problem of which UCI's address is not known.
    """
    name = wanted.name
    if name not in URLS:
        folder = root / "UCI" / name
        raise UserError(
            f"UCI has no dataset {name}, and {folder} does not hold {', '.join(ARRAYS)}"
        )
    address = URLS[name]

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

    def there() -> tuple[Path, ...] | None:
        return files.locate(root / "UCI" / name, ARRAYS)

    four = download.obtain(root, "UCI", name, find=there, prepare=prepare)
    return Found(four[:2], four[2:], "data folder", root)
