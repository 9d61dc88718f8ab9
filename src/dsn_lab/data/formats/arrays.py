"""``.npy`` and ``.npz``: series ``(batch, time)`` or ``(batch, channel, time)``, and labels."""

import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_lab.data import folder as files
from dsn_lab.data.split import Labels, label_names
from dsn_lab.errors import UserError

Array = NDArray[Any]
SPLITS = ("train", "test")

# What numpy raises on a damaged file, its header's tokens included.
UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    OverflowError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npy(plain: Path, shown: Path) -> Array:
    """Read one array; Python objects are refused, as reading them could run anything.

    Args:
        plain: the file, not compressed.
        shown: how the user knows it.

    Raises:
        UserError: the file is damaged or holds no array of numbers or text.
    """
    try:
        array = np.load(plain, allow_pickle=False)
    except UNREADABLE as error:
        raise UserError(f"cannot parse {shown}: {_reason(error)}") from error
    if not isinstance(array, np.ndarray):
        raise UserError(f"{shown} holds several arrays: rename it to .npz")
    return array


def _reason(error: Exception) -> str:
    """Why; numpy takes whatever it does not know for pickled objects, and advises to trust them."""
    text = files.reason(error)
    return "it is no numpy file of numbers or text" if "pickled" in text else text


def read_npz(plain: Path, shown: Path, split: str, *, alone: bool) -> tuple[Array, Array]:
    """Read series and labels of a split.

    Args:
        plain: the file, not compressed.
        shown: how the user knows it.
        split: ``"train"`` or ``"test"``: the keys are ``X_train`` and ``y_train``, or those of
            test; where there are none, ``X`` and ``y``. ``"all"`` for those that are to be split,
            of which there must be no others.
        alone: whether the file must hold the other split under its own keys.

    Raises:
        UserError: the file is damaged, or a key is missing.
    """
    try:
        with np.load(plain, allow_pickle=False) as archive:
            keys = list(archive)
            end = f"_{split}" if alone or f"X_{split}" in keys else ""
            if split == "all" and "X_test" in keys:
                raise UserError(f"dataset.test_size: {shown} has a test set already (X_test)")
            if split == "all" and "X_train" in keys:
                end = "_train"
            if lacking := [key for key in (f"X{end}", f"y{end}") if key not in keys]:
                raise UserError(
                    f"{shown} has no {' and no '.join(lacking)}; its keys are {', '.join(keys)}: "
                    "expected X_train, y_train, X_test and y_test, or X and y with "
                    "dataset.test_size or dataset.test_path"
                )
            return archive[f"X{end}"], archive[f"y{end}"]
    except UNREADABLE as error:
        raise UserError(f"cannot parse {shown}: {_reason(error)}") from error


def checked(
    x: Array, y: Array, x_name: str, y_name: str
) -> tuple[NDArray[np.floating[Any]], Labels]:
    """Return series as floating ``(batch, channel, time)`` and labels as text ``(batch,)``.

    Args:
        x: ``(batch, time)`` of one channel or ``(batch, channel, time)``, of any real type.
        y: ``(batch,)``, numbers or text.
        x_name: file and key of the series, for errors.
        y_name: the same of the labels.

    Raises:
        UserError: an array is of another shape or type, their lengths differ, or a label is
            missing.
    """
    if x.ndim not in (2, 3) or x.dtype.kind not in "fiu" or 0 in x.shape:
        raise UserError(
            f"{x_name} holds {x.dtype} {x.shape}: expected numbers (series, time) or "
            "(series, channel, time)"
        )
    if y.ndim != 1 or y.dtype.kind not in "fiubUS":
        raise UserError(f"{y_name} holds {y.dtype} {y.shape}: expected labels (series,)")
    if len(x) != len(y):
        raise UserError(f"{x_name} holds {len(x)} series but {y_name} {len(y)} labels")
    try:
        labels = label_names(y.astype(np.str_) if y.dtype.kind == "S" else y)
    except UnicodeDecodeError as error:
        raise UserError(f"{y_name} holds bytes that are no text: use array.astype(str)") from error
    without = labels == "" if y.dtype.kind != "f" else np.isnan(y)
    if without.any():
        raise UserError(f"{y_name}: series {int(np.argmax(without))} has no label")
    x = x[:, None, :] if x.ndim == 2 else x
    return x.astype(np.result_type(x.dtype, np.float32), copy=False), labels
