"""Real series that an export is checked, calibrated and measured on."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dsn_lab.data import folder, new, sources, transforms
from dsn_lab.data.split import Labels, Split, resample
from dsn_lab.data.wanted import OWN, Wanted
from dsn_lab.errors import UserError
from dsn_lab.trained import TrainedModel

DRAWN = 64  # random series, where there are no others


@dataclass(frozen=True)
class Series:
    """Raw series without a gap, as a device measures them.

    Attributes:
        x: float32 ``(n, channel, time)``.
        y: names of their classes; None if nobody knows.
        origin: what they are, in words.
    """

    x: NDArray[np.float32]
    y: Labels | None
    origin: str

    def some(self, most: int) -> "Series":
        """At most so many of them, from first to last."""
        if len(self.x) <= most:
            return self
        chosen = np.linspace(0, len(self.x) - 1, most).astype(np.int64)
        y = None if self.y is None else self.y[chosen]
        return replace(self, x=self.x[chosen], y=y, origin=f"{most} of {self.origin}")


def of_file(model: TrainedModel, path: Path) -> Series:
    """The series of a file, as ``predict`` reads it.

    Raises:
        UserError: it cannot be read, does not suit the model or has no complete series.
    """
    x, y = new.read(path, model.length)
    return _complete(model, x, y, str(path))


def of_training(model: TrainedModel) -> tuple[Series, Series] | None:
    """Training and test set of the model, if they are on this machine and unchanged."""
    said = model.provenance
    if said.get("archive") in (None, OWN):
        return None
    source = sources.of(said["archive"])
    wanted = Wanted(said["dataset"], said["archive"])
    try:
        found = source.find(wanted, folder.data_folder(None))
        if found is None:
            return None
        train, test = source.read(found, wanted)
    except UserError:
        return None
    if (train.sha256, test.sha256) != (said["sha256_train"], said["sha256_test"]):
        return None
    halves = zip(("training", "test"), resample(train, test, said["fold"]), strict=True)
    made = [_of_split(model, half, f"{wanted.name}'s {name} set") for name, half in halves]
    return made[0], made[1]


def drawn(model: TrainedModel) -> Series:
    """Random series of the training set's mean and deviation."""
    fitted = model.cleaning.fitted
    random = np.random.default_rng(0)
    shape = (DRAWN, model.channels, model.length)
    x = random.normal(fitted.mean, fitted.std or 1, shape).astype(np.float32)
    return Series(x, None, "random series")


def _of_split(model: TrainedModel, split: Split, origin: str) -> Series:
    return _complete(model, split.x, split.y, origin)


def _complete(model: TrainedModel, x: transforms.Floats, y: Labels | None, origin: str) -> Series:
    """Those of full length, cut to it, gaps filled."""
    means = model.cleaning.fitted.channel_mean
    if x.shape[1] != len(means):
        raise UserError(f"{origin}: {x.shape[1]} channels, the network has {len(means)}")
    lengths = transforms.observed_lengths(x)
    whole = lengths >= model.length
    if not whole.any():
        raise UserError(f"{origin}: no series has the network's {model.length} steps")
    x = transforms.resize(x, model.length)[whole]
    x = transforms.fill_gaps(x, transforms.find_gaps(x, lengths[whole]), means)
    note = "" if whole.all() else f", {int((~whole).sum())} shorter ones left out"
    return Series(
        np.ascontiguousarray(x, dtype=np.float32),
        None if y is None else y[whole],
        f"{origin} ({int(whole.sum())} series{note})",
    )


@torch.inference_mode()
def logits(model: TrainedModel, series: Series) -> NDArray[np.float32]:
    """What the network itself says, ``(n, n_classes)``."""
    x = model.prepare(series.x)
    parts = [model.network(part) for part in torch.split(x, 256)]
    array: NDArray[np.float32] = torch.cat(parts).numpy()
    return array
