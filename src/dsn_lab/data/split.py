"""A labelled half of a dataset, before cleaning: resampling and label encoding."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_lab.data import transforms
from dsn_lab.errors import UserError

Labels = NDArray[np.str_]


@dataclass(frozen=True)
class Split:
    """Raw series ``(batch, channel, time)`` with NaN, and their labels ``(batch,)``.

    ``sha256`` is the digest of the uncompressed file the split was read from (of two files, a
    space between, where series and labels lie apart).
    """

    x: NDArray[np.floating[Any]]
    y: Labels
    sha256: str


def resample(train: Split, test: Split, fold: int) -> tuple[Split, Split]:
    """Pool the two splits and draw the stratified resample ``fold`` as tsml-eval does.

    ``fold=0`` is the archive's own split; otherwise aeon's stratified resampling with
    ``random_state=fold`` keeps the size and class counts of both splits.

    Raises:
        UserError: a class is absent from one of the splits, or channels differ.
    """
    if fold == 0:
        return train, test
    if set(train.y) != set(test.y):
        lost = sorted(set(train.y) ^ set(test.y))
        raise UserError(
            f"fold {fold} needs every class in train and test, but only one of them holds "
            f"{', '.join(lost)}: use fold 0"
        )
    if train.x.shape[1] != test.x.shape[1]:
        raise UserError(
            f"train has {train.x.shape[1]} channels but test has {test.x.shape[1]}: they must agree"
        )
    from aeon.benchmarking.resampling import stratified_resample_data

    rows = np.arange(len(train.y) + len(test.y))[:, None]
    cut = len(train.y)
    drawn = stratified_resample_data(rows[:cut], train.y, rows[cut:], test.y, random_state=fold)
    time = max(train.x.shape[2], test.x.shape[2])
    x = np.concatenate([transforms.resize(s.x, time) for s in (train, test)])
    return (
        replace(train, x=x[drawn[0][:, 0]], y=drawn[1]),
        replace(test, x=x[drawn[2][:, 0]], y=drawn[3]),
    )


def stratified(whole: Split, test_size: float, seed: int) -> tuple[Split, Split]:
    """Split every class by chance, in the order of the file.

    Args:
        whole: all series.
        test_size: the share of each class that becomes the test set, in (0, 1); of a class of
            two series or more at least one goes to each side, a single series stays in train.
        seed: which split.

    Raises:
        UserError: no class has two series.
    """
    chance = np.random.default_rng(seed)
    chosen = np.zeros(len(whole.y), dtype=bool)
    for label in sorted(set(whole.y.tolist())):
        rows = np.flatnonzero(whole.y == label)
        size = min(max(1, round(test_size * len(rows))), len(rows) - 1)
        chosen[chance.permutation(rows)[:size]] = True
    if not chosen.any():
        raise UserError(f"dataset.test_size={test_size}: no class has two series to split")
    train, test = (replace(whole, x=whole.x[s], y=whole.y[s]) for s in (~chosen, chosen))
    return train, test


def count_shared(train: Split, test: Split) -> int:
    """Return how many test series are in the training set, too, value for value.

    NaN at the end, which stands for no values, plays no part.
    """
    seen = set(_fingerprints(train.x))
    return sum(print_ in seen for print_ in _fingerprints(test.x))


def _fingerprints(x: NDArray[np.floating[Any]]) -> Iterator[bytes]:
    for one, length in zip(x, transforms.observed_lengths(x), strict=True):
        # Adding zero turns minus zero into zero; NaN has many forms, of which this leaves one.
        values = one[:, :length].astype(np.float64) + 0.0
        values[np.isnan(values)] = np.nan
        yield hashlib.blake2b(values.tobytes(), digest_size=16).digest()


def encode(
    train: Labels, test: Labels
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]:
    """Encode labels by their place among the sorted training labels.

    The order is numeric when every training label is a number, alphabetic otherwise.

    Returns:
        The codes ``(batch,)`` of train and test, and the class names in order.

    Raises:
        UserError: train has a single class, or test holds a label that train does not.
    """
    classes = sorted_labels(set(train.tolist()))
    if len(classes) < 2:
        raise UserError(f"train holds only class {classes[0]!r}: classification needs two or more")
    unseen = sorted_labels(set(test.tolist()) - set(classes))
    if unseen:
        raise UserError(f"test holds labels never seen in train: {', '.join(unseen)}")
    code = {label: index for index, label in enumerate(classes)}
    return (
        np.array([code[label] for label in train.tolist()], dtype=np.int64),
        np.array([code[label] for label in test.tolist()], dtype=np.int64),
        tuple(classes),
    )


def sorted_labels(labels: set[str]) -> list[str]:
    """Sort labels by value when all are finite numbers, by text in any case otherwise."""
    try:
        numbers = {label: float(label) for label in labels}
    except ValueError:
        numbers = {}
    if not numbers or not all(map(math.isfinite, numbers.values())):
        return sorted(labels, key=lambda label: (label.lower(), label))
    return sorted(labels, key=lambda label: (numbers[label], label))


def label_names(values: NDArray[Any]) -> Labels:
    """Return labels as stripped text; whole numbers without a decimal point (``1.0`` -> ``1``)."""
    names = []
    for value in values.tolist():
        whole = isinstance(value, float) and value.is_integer()
        names.append(str(int(value)) if whole else str(value).strip())
    return np.array(names, dtype=np.str_)
