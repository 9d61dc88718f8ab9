"""Series that a trained network is to classify, from a file, with or without labels."""

from pathlib import Path
from typing import Any

import numpy as np

from dsn_lab.data import folder as files
from dsn_lab.data import transforms
from dsn_lab.data.formats import arrays, table, ts
from dsn_lab.data.split import Labels
from dsn_lab.data.transforms import Floats
from dsn_lab.data.wanted import KINDS, PACKED, kind_of
from dsn_lab.errors import UserError

NONE = "none"


def read(path: Path, length: int, label: int | str | None = None) -> tuple[Floats, Labels | None]:
    """Read series ``(n, channel, time)``, NaN where they have no value, and their labels if any.

    A ``.csv`` or ``.tsv`` may have a column of labels or none. Without a header it is the first,
    if there is a column more than the network's series have steps.

    Args:
        path: ``.ts``, ``.tsv``, ``.csv``, ``.npz`` (``X_test`` or ``X``) or ``.npy``, plain,
            ``.gz`` or ``.xz``.
        length: time steps of the network's series.
        label: the label column of a ``.csv`` or ``.tsv``, by name or position; or ``"none"``.

    Raises:
        UserError: there is no such file, it is damaged, cannot be read, or may be meant in two
            ways.
    """
    kind = kind_of(path)
    if not kind:
        known = ", ".join(KINDS)
        raise UserError(f"{path}: expected one of {known}, plain, {' or '.join(PACKED)}")
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    if label is not None and kind not in table.SEPARATORS:
        raise UserError(f"--label {label}: {path} has no columns; only .csv and .tsv have")
    with files.verified(path, None) as (plain, _):
        if kind in table.SEPARATORS:
            labelled = _has_labels(plain, path, kind, length, label)
            column = label if labelled else None
            x: Floats
            x, y = table.read(plain, path, kind, column, labelled=labelled)
            return x, y if labelled else None
        if kind == ".ts":
            series, y = ts.read(plain, path, must_have_labels=False)
            return transforms.stack(series, "new"), y if len(y) else None
        if kind == ".npy":
            return _series(arrays.read_npy(plain, path), str(path)), None
        return _of_npz(plain, path)


def _has_labels(plain: Path, path: Path, kind: str, length: int, label: int | str | None) -> bool:
    if label is not None:
        return label != NONE
    row, header = table.first_row(plain, path, kind)
    if header:
        return any(name.strip().lower() in table.LABEL_NAMES for name in row)
    if len(row) not in (length, length + 1):
        raise UserError(
            f"{path} has {len(row)} columns, the network's series have {length} steps: say by "
            "--label which column holds labels (0 is the first), or --label none"
        )
    return len(row) == length + 1


def _of_npz(plain: Path, path: Path) -> tuple[Floats, Labels | None]:
    try:
        with np.load(plain, allow_pickle=False) as archive:
            key = next((key for key in ("X_test", "X") if key in archive), None)
            if key is None:
                known = ", ".join(archive)
                raise UserError(f"{path} has neither X_test nor X; its keys are {known}")
            x, y = archive[key], archive.get("y" + key[1:])
    except arrays.UNREADABLE as error:
        raise UserError(f"cannot parse {path}: {files.reason(error)}") from error
    if y is None:
        return _series(x, f"{path}: {key}"), None
    return arrays.checked(x, y, f"{path}: {key}", f"{path}: y{key[1:]}")


def _series(x: Any, name: str) -> Floats:
    return arrays.checked(x, np.zeros(len(x)) if x.ndim else np.zeros(0), name, name)[0]
