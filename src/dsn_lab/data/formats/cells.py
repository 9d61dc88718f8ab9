"""Numbers from the cells of a text file, exactly, or the line where there is none."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsn_lab.errors import UserError

MISSING = {"", "?", "nan", "-nan", "na", "n/a", "null", "none"}  # in small letters
_LIMIT = float(np.finfo(np.float32).max)


def is_missing(cell: str) -> bool:
    """Return whether a cell says that there is no value."""
    return cell.strip().lower() in MISSING


def is_number(cell: str) -> bool:
    """Return whether a cell is a number as people write it (``1_000`` is none)."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def numbers(cells: Sequence[str], where: str) -> NDArray[np.float64]:
    """Return the values ``(time,)`` of cells, NaN for missing ones.

    Args:
        cells: one a time step.
        where: file and line, for errors.

    Raises:
        UserError: a cell is no number, infinite or beyond float32.
    """
    try:
        if "_" in "".join(cells):
            raise ValueError
        values = np.array(list(map(float, cells)), dtype=np.float64)
    except ValueError:
        values = np.array([_number(cell, where) for cell in cells], dtype=np.float64)
    if (np.abs(values) > _LIMIT).any():
        wrong = cells[int(np.argmax(np.abs(values) > _LIMIT))]
        raise UserError(f"{where}: {wrong.strip()} is infinite or beyond float32")
    return values


def no_text(plain: Path, shown: Path, error: UnicodeDecodeError) -> UserError:
    """Return the error of a file that is not UTF-8, which names the first such line.

    Args:
        plain: the file, not compressed.
        shown: how the user knows it.
        error: what reading it raised.
    """
    lines = plain.read_bytes().splitlines()
    number = next((n for n, line in enumerate(lines, 1) if not _is_utf8(line)), 1)
    return UserError(f"{shown} line {number} is no UTF-8 text ({error.reason})")


def _is_utf8(line: bytes) -> bool:
    return line.decode("utf-8", errors="ignore").encode() == line


def _number(cell: str, where: str) -> float:
    if is_missing(cell):
        return float("nan")
    if not is_number(cell):
        raise UserError(f"{where} holds {cell.strip()[:40]!r} where a number is needed")
    return float(cell)
