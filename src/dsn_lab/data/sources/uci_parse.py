"""Parsers of UCI's own archives: a zip's path in, arrays out.

Each returns ``X_train, y_train, X_test, y_test``: float32 ``(batch, channel, time)`` as published
(not scaled), int64 labels from 0.
"""

import gzip
import io
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]

#: What a truncated, altered or foreign archive makes the parsers raise.
DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    MemoryError,
    NotImplementedError,  # zipfile, of a compression that it does not know
    struct.error,
    ValueError,
    KeyError,
    RuntimeError,  # zipfile, of a damaged header: "encrypted", "not supported"
)

# Bytes of a member, and of a trial; the archives' largest take a tenth.
LARGEST, LARGEST_TRIAL = 1 << 30, 8 << 20

_SIGNALS = tuple(
    f"{sensor}_{axis}" for sensor in ("body_acc", "body_gyro", "total_acc") for axis in "xyz"
)
_EEG_TRIAL = re.compile(r"(co\d([ac])\d+)\.rd\.(\d+)\.gz")
_EEG_ROW = np.dtype([("trial", "i8"), ("channel", "U8"), ("sample", "i8"), ("value", "f8")])
_SPORT_SEGMENT = re.compile(r"data/a(\d+)/p(\d+)/s(\d+)\.txt")


def parse_har(path: Path) -> Arrays:
    """HAR: a zip in a zip; nine inertial signals of 128 steps, body_acc, body_gyro, total_acc.

    Rows are in the official order; the labels 1..6 become 0..5.
    """
    with (
        zipfile.ZipFile(path) as outer,
        zipfile.ZipFile(io.BytesIO(_member(outer, "UCI HAR Dataset.zip"))) as inner,
    ):
        x_train, y_train = _har_split(inner, "train")
        x_test, y_test = _har_split(inner, "test")
    return x_train, y_train, x_test, y_test


def _har_split(inner: zipfile.ZipFile, split: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    folder = f"UCI HAR Dataset/{split}"
    y = (
        np.loadtxt(io.BytesIO(_member(inner, f"{folder}/y_{split}.txt")), dtype=np.int64, ndmin=1)
        - 1
    )
    x = np.empty((len(y), len(_SIGNALS), 128), dtype=np.float32)
    for channel, signal in enumerate(_SIGNALS):
        name = f"{folder}/Inertial Signals/{signal}_{split}.txt"
        x[:, channel] = _table(inner, name, (len(y), 128))
    return x, y


def parse_eeg(path: Path) -> Arrays:
    """EEG2: the "large" set's two tars of gzipped trials, 64 channels of 256 samples.

    Channels are in the files' order, rows sorted by subject and trial; label 0 is alcoholic
    (4th letter of the subject's name "a"), 1 control ("c").
    """
    with zipfile.ZipFile(path) as outer:
        x_train, y_train = _eeg_split(outer, "SMNI_CMI_TRAIN.tar.gz")
        x_test, y_test = _eeg_split(outer, "SMNI_CMI_TEST.tar.gz")
    return x_train, y_train, x_test, y_test


def _eeg_split(
    outer: zipfile.ZipFile, tar_name: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    trials = {}
    order: NDArray[np.str_] | None = None
    with outer.open(tar_name) as file, tarfile.open(fileobj=file, mode="r|gz") as tar:
        for found, packed in _eeg_files(tar):
            name, (subject, group, trial) = found.string, found.groups()
            rows = np.loadtxt(io.BytesIO(_unpacked(packed)), dtype=_EEG_ROW, ndmin=1)
            if len(rows) != 64 * 256:
                raise ValueError(f"{name} holds {len(rows)} rows, expected 64 x 256")
            table = rows.reshape(64, 256)
            order = table["channel"][:, 0] if order is None else order
            if (table["channel"] != order[:, None]).any():
                raise ValueError(f"{name} holds other channels than the first trial")
            if (table["sample"] != np.arange(256)).any():
                raise ValueError(f"{name} does not hold samples 0 to 255 of each channel")
            key = (subject, int(trial))
            trials[key] = (table["value"].astype(np.float32), "ac".index(group))
    if not trials:
        raise ValueError(f"{tar_name} holds no trial")
    rows_in_order = [trials[key] for key in sorted(trials)]
    return (
        np.stack([values for values, _ in rows_in_order]),
        np.array([label for _, label in rows_in_order], dtype=np.int64),
    )


def _eeg_files(tar: tarfile.TarFile) -> Iterator[tuple[re.Match[str], bytes]]:
    """Yield (matched file name, bytes) of the trials, also of those in per-subject tars."""
    for member in tar:
        name = PurePosixPath(member.name).name
        file = tar.extractfile(member)
        if file is None:
            continue
        if name.endswith(".tar.gz"):
            with tarfile.open(fileobj=io.BytesIO(file.read()), mode="r:gz") as subject:
                yield from _eeg_files(subject)
        elif found := _EEG_TRIAL.fullmatch(name):
            yield found, file.read()


def parse_daily_sport(path: Path) -> Arrays:
    """DailySport: 125 x 45 text segments; s01-s30 of every activity and subject train, rest test.

    Rows are sorted by activity, subject and segment; the label is the activity - 1.
    """
    halves: tuple[list[NDArray[np.float32]], ...] = ([], [])
    labels: tuple[list[int], ...] = ([], [])
    with zipfile.ZipFile(path) as outer:
        found = [_SPORT_SEGMENT.search(name) for name in outer.namelist()]
        keyed = sorted((tuple(map(int, m.groups())), m.string) for m in found if m)
        for (activity, _, segment), name in keyed:
            table = _table(outer, name, (125, 45), delimiter=",")
            half = int(segment > 30)
            halves[half].append(table.T.astype(np.float32))
            labels[half].append(activity - 1)
    if not (halves[0] and halves[1]):
        raise ValueError("it lacks data/aAA/pP/sSS.txt of segments 1-30 or 31-60")
    train, test = (np.ascontiguousarray(np.stack(half)) for half in halves)
    y_train, y_test = (np.array(half, dtype=np.int64) for half in labels)
    return train, y_train, test, y_test


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read a member, unless it would fill the memory."""
    if (size := archive.getinfo(name).file_size) > LARGEST:
        raise ValueError(f"{name} unpacks to {size >> 20} MB")
    return archive.read(name)


def _unpacked(packed: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        content = file.read(LARGEST_TRIAL + 1)
    if len(content) > LARGEST_TRIAL:
        raise ValueError(f"a trial unpacks to more than {LARGEST_TRIAL >> 20} MB")
    return content


def _table(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, int], delimiter: str | None = None
) -> NDArray[np.float64]:
    """Read a member as a table of numbers and insist on its shape."""
    text = io.BytesIO(_member(archive, name))
    table = np.loadtxt(text, dtype=np.float64, ndmin=2, delimiter=delimiter)
    if table.shape != shape:
        raise ValueError(f"{name} holds {table.shape} numbers, expected {shape}")
    return table


PARSERS: dict[str, Callable[[Path], Arrays]] = {
    "DailySport": parse_daily_sport,
    "EEG2": parse_eeg,
    "HAR": parse_har,
}
