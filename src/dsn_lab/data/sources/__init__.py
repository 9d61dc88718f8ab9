"""Where datasets come from: each module here that has ``ARCHIVES`` is a source.

A new source is a new module with what :class:`Source` asks for, and an entry of
``archive_defaults`` in ``conf/config.yaml`` for each of its archives.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol, cast

from dsn_lab.data.split import Split
from dsn_lab.data.transforms import Facts
from dsn_lab.data.wanted import Wanted


@dataclass(frozen=True)
class Found:
    """Files of a dataset that are on this machine.

    Attributes:
        train: files of the training set, series before labels where they lie apart.
        test: those of the test set; the same where one file holds both.
        source: ``"data folder"``, ``"aeon"`` or ``"own"``.
        root: the data folder whose ``SHA256SUMS`` binds them; None if nothing does.
        facts: what else the record says about them.
    """

    train: tuple[Path, ...]
    test: tuple[Path, ...]
    source: str
    root: Path | None = None
    facts: Facts = field(default_factory=dict)


class Source(Protocol):
    """What a module of this package has.

    Attributes:
        ARCHIVES: the values of ``dataset.archive`` it is for, and the names known of each.
        RESAMPLED: whether folds other than 0 exist.
    """

    ARCHIVES: Mapping[str, tuple[str, ...]]
    RESAMPLED: bool

    def find(self, wanted: Wanted, root: Path) -> Found | None:
        """Return the dataset's files if they are all on this machine; never downloads.

        Args:
            wanted: which dataset.
            root: the data folder.
        """

    def fetch(self, wanted: Wanted, root: Path) -> Found:
        """Download what ``find`` did not find, or say why that cannot be.

        Raises:
            UserError: in one line.
        """

    def read(self, found: Found, wanted: Wanted) -> tuple[Split, Split]:
        """Return the raw training and test set.

        Raises:
            UserError: a file cannot be used; it names the file and where in it.
        """


@cache
def _sources() -> dict[str, Source]:
    """Return the source of each archive."""
    modules = (
        importlib.import_module(f"{__name__}.{each.name}")
        for each in pkgutil.iter_modules(__path__)
    )
    found = [cast(Source, module) for module in modules if hasattr(module, "ARCHIVES")]
    return {archive: source for source in found for archive in source.ARCHIVES}


def known() -> dict[str, tuple[str, ...]]:
    """Return every value of ``dataset.archive`` with the names that are known of it."""
    return {archive: source.ARCHIVES[archive] for archive, source in _sources().items()}


def of(archive: str) -> Source:
    """Return the source of an archive."""
    return _sources()[archive]


def in_folder(root: Path) -> dict[str, str]:
    """Return name -> archive of the datasets that the data folder adds to those known.

    Only folders are looked at; whether they hold what they must shows when they are read.
    """
    taken = {name for names in known().values() for name in names}
    added: dict[str, str] = {}
    for archive in known():
        try:
            folders = sorted(path.name for path in (root / archive).iterdir() if path.is_dir())
        except OSError:
            continue
        for name in folders:
            if not name.startswith(".") and name not in taken:
                added.setdefault(name, archive)
    return added
