"""A cell: one network on one dataset, fold and seed; its settings, and the files it leaves."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from dsn_lab.data import load
from dsn_lab.data.wanted import OWN
from dsn_lab.records import identity
from dsn_lab.records.settings import Config, Settings

RESULT = "result.json"


class Files:
    """The files in a cell's folder, by what they are."""

    folder: Path

    @property
    def result(self) -> Path:
        """The record of a finished cell."""
        return self.folder / RESULT

    @property
    def checkpoint(self) -> Path:
        """What a resume needs."""
        return self.folder / "last.ckpt"

    @property
    def metrics(self) -> Path:
        """A row an epoch."""
        return self.folder / "metrics.csv"

    @property
    def model(self) -> Path:
        """The network that is tested, with its best weights."""
        return self.folder / "model.pt"

    def stage(self, name: str) -> Path:
        """A network that training passed on its way."""
        return self.folder / f"{name}.pt"

    @property
    def predictions(self) -> Path:
        """Labels and probabilities of the test series."""
        return self.folder / "predictions.npz"

    @property
    def by_class(self) -> Path:
        """Scores of each class, and the confusion matrix."""
        return self.folder / "classes.csv"

    def predicted(self) -> dict[str, NDArray[Any]] | None:
        """``labels`` ``(n,)`` and named probabilities ``(n, n_classes)``; None: there are none."""
        try:
            with np.load(self.predictions) as file:
                return dict(file)
        except FileNotFoundError:
            return None

    @property
    def activity(self) -> Path:
        """Why filters were removed."""
        return self.folder / "activity.json"

    @property
    def figures(self) -> Path:
        """The folder of figures."""
        return self.folder / "figures"

    @property
    def log(self) -> Path:
        """What the run has said."""
        return self.folder / "run.log"

    @property
    def anew(self) -> Path:
        """Is there while a finished cell is run anew, beside the old result."""
        return self.folder / ".anew"

    @property
    def lock(self) -> FileLock:
        """Held by the process that works on the cell."""
        return FileLock(self.folder / ".lock", timeout=0)


def deciding(config: Config) -> Settings:
    """The settings that decide a cell's result, nested; of one's own data, what they are, too.

    A dataset of an archive is known by its name: other data of that name are refused
    (:func:`dsn_lab.records.results.require_data`). One's own are another dataset.
    """
    settings = identity.settings_of(config.model_dump())
    if config.dataset.archive == OWN:
        settings["dataset"]["data"] = load.digests(config.dataset.wanted, config.data_dir)
    return settings


@dataclass(frozen=True)
class Folder(Files):
    """Some cell's folder, of which nothing else is known."""

    folder: Path


@dataclass(frozen=True, eq=False)
class Cell(Files):
    """A cell whose settings are checked.

    Args:
        folder: its output folder.
        names: choices of ``model``, ``dst`` and ``dsp``.
        config: its checked settings.
    """

    folder: Path
    names: Mapping[str, str]
    config: Config

    @cached_property
    def settings(self) -> Settings:
        """What decides its result, flat, with dotted keys."""
        return identity.flat(deciding(self.config), "")

    @property
    def recorded(self) -> Settings:
        """The same as records and checkpoints keep them, with what is at its first value."""
        counted = identity.counted(self.settings)
        recorded = {identity.PREFIX + key: value for key, value in self.settings.items()}
        uncounted = " ".join(sorted(self.settings.keys() - counted.keys()))
        return recorded | {"uncounted": uncounted}

    @property
    def origin(self) -> Settings:
        """What a network's file says of the cell; ``cell`` is its place among all results."""
        return {
            "dataset": self.config.dataset.name,
            "archive": self.config.dataset.archive,
            "fold": self.config.fold,
            "seed": self.config.seed,
            "cell": identity.folder(deciding(self.config), self.names),
        }

    def busy(self) -> bool:
        """Whether a process is working on it."""
        if not self.folder.exists():  # which to ask for the lock would make
            return False
        try:
            with self.lock:
                return False
        except Timeout:
            return True
