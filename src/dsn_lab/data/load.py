"""One entry: a dataset's name in, clean arrays out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsn_lab.data import folder as files
from dsn_lab.data import transforms
from dsn_lab.data.names import archive_of
from dsn_lab.data.sources import archives, uci
from dsn_lab.data.split import Split, encode, resample
from dsn_lab.data.transforms import Facts
from dsn_lab.errors import UserError


@dataclass(frozen=True)
class Dataset:
    """A dataset ready for training.

    Attributes:
        name: the dataset's name.
        archive: ``"UCR"``, ``"UEA"`` or ``"UCI"``.
        x_train: float32 ``(batch, channel, time)``, C-contiguous, finite.
        y_train: int64 ``(batch,)``, indices into ``classes``.
        x_test: as ``x_train``, same channel and time.
        y_test: as ``y_train``.
        classes: label names, sorted (by value when all are numbers).
        facts: flat record of where the data come from and what cleaning did.
    """

    name: str
    archive: str
    x_train: NDArray[np.float32]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    classes: tuple[str, ...]
    facts: Facts


def load_dataset(
    name: str, *, data_dir: str | Path | None = None, fold: int = 0, scaling: str = "none"
) -> Dataset:
    """Load a dataset: from the data folder, aeon's bundled sets, or by download into the folder.

    Args:
        name: a UCR, UEA or UCI name, see :mod:`dsn_lab.data.names`.
        data_dir: the data folder; default ``$DSN_LAB_DATA``, else a per-user cache.
        fold: 0 is the archive's own split; ``fold > 0`` the stratified resample with that seed
            (UCR and UEA only).
        scaling: ``"none"``, ``"train"`` to standardise by the overall mean and standard deviation
            of the training values, or ``"series"`` by those of each channel of each series.

    Raises:
        UserError: the name, fold or scaling is unknown, or the data cannot be found, fetched,
            verified or used.
    """
    archive = archive_of(name)
    if fold < 0 or (fold > 0 and archive == "UCI"):
        expected = "fold 0, its split is fixed" if archive == "UCI" else "0, 1, 2, ..."
        raise UserError(f"fold {fold} does not exist for {name}: expected {expected}")
    if scaling not in transforms.SCALINGS:
        raise UserError(
            f"scaling {scaling!r} is unknown: expected {' or '.join(transforms.SCALINGS)}"
        )
    train, test, source = _read(name, archive, files.data_folder(data_dir))
    origin: Facts = {
        "source": source,
        "sha256_train": train.sha256,
        "sha256_test": test.sha256,
        "fold": fold,
    }
    train, test = resample(train, test, fold)
    y_train, y_test, classes = encode(train.y, test.y)
    x_train, x_test, facts = transforms.clean(train.x, test.x, scaling)
    return Dataset(name, archive, x_train, y_train, x_test, y_test, classes, origin | facts)


def _read(name: str, archive: str, root: Path) -> tuple[Split, Split, str]:
    """Return both raw splits and where they were found, downloading them if need be."""
    if archive == "UCI":
        x_train, y_train, x_test, y_test = uci.find(root, name) or uci.fetch(name, root)
        return (
            uci.read(x_train, y_train, root, "train"),
            uci.read(x_test, y_test, root, "test"),
            "data folder",
        )
    verify: Path | None = root
    pair = archives.find(root / archive / name, name)
    if pair is None and (pair := archives.find(archives.bundled_folder(name), name)):
        verify = None
    train, test = pair or archives.fetch(name, archive, root)
    return (
        archives.read(train, verify, "train"),
        archives.read(test, verify, "test"),
        "data folder" if verify else "aeon",
    )
