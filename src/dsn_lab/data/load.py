"""One entry: a dataset's name in, clean arrays out."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsn_lab.data import folder as files
from dsn_lab.data import sources, transforms
from dsn_lab.data.names import archive_of
from dsn_lab.data.sources import Found
from dsn_lab.data.split import Split, count_shared, encode, resample
from dsn_lab.data.transforms import Cleaning, Facts
from dsn_lab.data.wanted import Wanted
from dsn_lab.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """A dataset ready for training.

    Attributes:
        name: the dataset's name.
        archive: ``"UCR"``, ``"UEA"``, ``"UCI"`` or ``"own"``.
        x_train: float32 ``(batch, channel, time)``, C-contiguous, finite.
        y_train: int64 ``(batch,)``, indices into ``classes``.
        x_test: as ``x_train``, same channel and time.
        y_test: as ``y_train``.
        classes: label names, sorted (by value when all are numbers).
        facts: flat record of where the data come from and what cleaning did.
        cleaning: how raw series became these; None if they never were raw.
    """

    name: str
    archive: str
    x_train: NDArray[np.float32]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    classes: tuple[str, ...]
    facts: Facts
    cleaning: Cleaning | None = None


def load_dataset(
    wanted: Wanted | str,
    *,
    data_dir: str | Path | None = None,
    fold: int = 0,
    scaling: str = "none",
    gaps: str = "interpolate",
) -> Dataset:
    """Load a dataset: the user's own, or from the data folder, aeon's bundled sets, by download.

    Args:
        wanted: which dataset; as text the name of one of UCR, UEA, UCI or the data folder.
        data_dir: the data folder; default ``$DSN_LAB_DATA``, else a per-user cache.
        fold: 0 is the dataset's own split; ``fold > 0`` the stratified resample with that seed
            (not of UCI).
        scaling: ``"none"``, ``"train"`` to standardise by the overall mean and standard deviation
            of the training values, or ``"series"`` by those of each channel of each series.
        gaps: what a missing value inside a series becomes: ``"interpolate"``, or ``"zero"`` after
            scaling.

    Raises:
        UserError: the name, fold, scaling or gaps is unknown, or the data cannot be found, fetched,
            verified or used.
    """
    root = files.data_folder(data_dir)
    if isinstance(wanted, str):
        wanted = Wanted(wanted, archive_of(wanted, sources.in_folder(root)))
    source = sources.of(wanted.archive)
    if fold < 0 or (fold > 0 and not source.RESAMPLED):
        expected = "0, 1, 2, ..." if source.RESAMPLED else "fold 0, its split is fixed"
        raise UserError(f"fold {fold} does not exist for {wanted.name}: expected {expected}")
    if scaling not in transforms.SCALINGS:
        raise UserError(
            f"scaling {scaling!r} is unknown: expected {' or '.join(transforms.SCALINGS)}"
        )
    found = source.find(wanted, root) or source.fetch(wanted, root)
    if found.source == "aeon":
        log.info("%s is read from aeon; the data folder %s does not have it", wanted.name, root)
    train, test = source.read(found, wanted)
    try:
        train, test = resample(train, test, fold)
        cleaning = transforms.learn(train.x, scaling, gaps)
        return _prepared(wanted, found, train, test, fold, cleaning)
    except UserError as error:
        both = " and ".join(dict.fromkeys(map(str, (found.train[0], found.test[0]))))
        raise UserError(f"{both}: {error}") from error


def digests(wanted: Wanted, data_dir: str | Path | None = None) -> tuple[str, str] | None:
    """Return ``sha256_train`` and ``sha256_test`` of the files that would be read now.

    Downloads nothing, imports neither aeon nor torch, and reads a file again only if its
    modification time or size has changed.

    Args:
        wanted: which dataset.
        data_dir: as for :func:`load_dataset`.

    Returns:
        What the record of a run will hold; None if the files are not all on this machine, or
        not in a state to be read.
    """
    try:
        found = sources.of(wanted.archive).find(wanted, files.data_folder(data_dir))
        if found is None:
            return None
        train, test = (
            " ".join(map(files.content_digest, paths)) for paths in (found.train, found.test)
        )
    except UserError:
        return None
    return train, test


def _prepared(
    wanted: Wanted, found: Found, train: Split, test: Split, fold: int, cleaning: Cleaning
) -> Dataset:
    """Encode and clean both splits, and count what they share."""
    y_train, y_test, classes = encode(train.y, test.y)
    x_train, x_test, facts = transforms.cleaned(train.x, test.x, cleaning)
    origin: Facts = {
        "source": found.source,
        **found.facts,
        "sha256_train": train.sha256,
        "sha256_test": test.sha256,
        "fold": fold,
        "n_test_in_train": count_shared(train, test),
    }
    arrays = (x_train, y_train, x_test, y_test)
    return Dataset(wanted.name, wanted.archive, *arrays, classes, origin | facts, cleaning)
