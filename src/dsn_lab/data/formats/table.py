"""``.tsv`` and ``.csv``: a series of one channel a row, its label in one of the columns."""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_lab.data.formats.cells import is_missing, is_number, no_text, numbers
from dsn_lab.data.split import Labels
from dsn_lab.errors import UserError

SEPARATORS = {".tsv": ("\t", "tabs"), ".csv": (",", "commas")}
LABEL_NAMES = ("label", "class", "target", "y")


def read(
    plain: Path, shown: Path, kind: str, label: int | str | None, *, labelled: bool = True
) -> tuple[NDArray[np.float64], Labels]:
    """Read all rows; the labels are kept as they are written.

    The first line is a header if no cell of it is a number and two or more are text; if one is
    the name ``label``, or is label or class; or if one is target or y and the numbers beside it,
    three or more, rise as times do. Empty cells, ``NaN`` and the like are missing values.

    Args:
        plain: the file, not compressed.
        shown: how the user knows it.
        kind: ``".tsv"`` or ``".csv"``.
        label: the label's column, by name or by position from 0 (negative: from the end); None
            for the first of a ``.tsv``, for a ``.csv`` the one called label, class, target or y
            in any case, or the first where there is no header.
        labelled: whether a column holds labels.

    Returns:
        The series ``(batch, 1, time)`` and the labels ``(batch,)``, of none if there are none.

    Raises:
        UserError: naming the line and what is wrong in it.
    """
    series: list[NDArray[np.float64]] = []
    labels: list[str] = []
    written: list[str] = []
    width = column = 0
    for line, row in _rows(plain, shown, SEPARATORS[kind][0]):
        where = f"{shown} line {line}"
        if not width:
            width = len(row)
            if width < 2:
                raise UserError(
                    f"{where} holds one cell only: expected a label and values that are separated "
                    f"by {SEPARATORS[kind][1]}"
                )
            header = _is_header(row, label)
            if labelled:
                column = _column(row if header else None, width, label, kind, shown)
            if header:
                continue
        if len(row) != width:
            raise UserError(
                f"{where} holds {len(row) - labelled} values, the first line {width - labelled}"
            )
        if labelled:
            labels.append(row.pop(column).strip())
            if not labels[-1]:
                raise UserError(f"{where} has no label")
        values = numbers(row, where)
        if np.isnan(values).all():
            raise UserError(f"{where} holds no value: remove it")
        series.append(values)
        if kind == ".tsv" and labelled:
            written.extend(row)
    if not series:
        raise UserError(f"{shown} holds no series")
    x = np.stack(series)
    if written:
        x = _rounded_as_ever(written, x)
    return x[:, None, :], np.array(labels, dtype=np.str_)


def first_row(plain: Path, shown: Path, kind: str) -> tuple[list[str], bool]:
    """The cells of the first line that is not blank, and whether it is a header.

    Raises:
        UserError: there is none.
    """
    for _, row in _rows(plain, shown, SEPARATORS[kind][0]):
        return row, _is_header(row, None)
    raise UserError(f"{shown} holds no series")


def _rounded_as_ever(written: Sequence[str], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``x`` as pandas reads it, whose last bit may be another.

    Results of the archives have been computed from these values, and are to be found again.

    Args:
        written: all values as text, row by row.
        x: the same as numbers, ``(batch, time)``.
    """
    import pandas as pd

    # One column: pandas takes ten thousand times as long for a column as for a row.
    text = io.StringIO("\n".join(written))
    found = pd.read_csv(text, sep="\t", header=None, skip_blank_lines=False, low_memory=False)
    if found.shape == (x.size, 1) and found.dtypes[0].kind in "if":
        return np.asarray(found[0], dtype=np.float64).reshape(x.shape)
    return x


def _rows(plain: Path, shown: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each line that is not blank."""
    with plain.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=separator)
        try:
            for row in reader:
                if len(row) > 1 or any(map(str.strip, row)):
                    yield reader.line_num, row
        except csv.Error as error:
            raise UserError(f"{shown} line {reader.line_num}: {error}") from error
        except UnicodeDecodeError as error:
            raise no_text(plain, shown, error) from error


def _is_header(row: list[str], label: int | str | None) -> bool:
    names = [cell.strip() for cell in row]
    if isinstance(label, str) and label in names:
        return True
    if not any(map(is_number, names)):
        return sum(not is_missing(name) for name in names) > 1
    lower = {name.lower() for name in names}
    if lower & {"label", "class"}:
        return True
    # Those two may be classes themselves: yes and no, target and other.
    times = [float(name) for name in names if is_number(name)]
    rising = len(times) > 2 and all(a < b for a, b in pairwise(times))
    return bool(lower & {"target", "y"}) and rising


def _column(
    header: list[str] | None, width: int, label: int | str | None, kind: str, shown: Path
) -> int:
    """Return the position of the label's column."""
    if isinstance(label, int):
        if not -width <= label < width:
            raise UserError(
                f"dataset.label={label}: the columns of {shown} are 0 to {width - 1}, or -1 "
                "for the last"
            )
        return label
    if header is None:
        if label is not None:
            raise UserError(f"dataset.label={label}: {shown} has no column of this name")
        return 0
    names = [name.strip() for name in header]
    if "" in names:
        raise UserError(
            f"{shown}: column {names.index('')} has no name; if it numbers the rows, leave it out"
        )
    if label is None and kind == ".tsv":
        return 0
    wanted: tuple[Any, ...] = LABEL_NAMES if label is None else (label,)
    found = [i for i, n in enumerate(names) if (n.lower() if label is None else n) in wanted]
    if len(found) != 1:
        listed = ", ".join(names if len(names) <= 8 else [*names[:4], "...", *names[-3:]])
        asked = "label, class, target or y" if label is None else label
        raise UserError(
            f"{shown} has {len(found) or 'no'} column{'s' * (len(found) > 1)} called {asked}: give "
            f"one of its columns ({listed}) by dataset.label"
        )
    return found[0]
