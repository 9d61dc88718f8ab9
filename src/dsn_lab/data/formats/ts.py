"""``.ts``, sktime's text format: a header, then ``1,2,3:4,5,6:label``, a channel a colon."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_lab.data.formats.cells import is_number, no_text, numbers
from dsn_lab.data.split import Labels
from dsn_lab.errors import UserError

Lines = Iterator[tuple[int, str]]


def read(
    plain: Path, shown: Path, *, must_have_labels: bool = True
) -> tuple[list[NDArray[np.floating[Any]]], Labels]:
    """Read all series and hold them against the header.

    Args:
        plain: the file, not compressed.
        shown: how the user knows it.
        must_have_labels: refuse a file whose header says that it has none.

    Returns:
        The series, each ``(channel, time)``, and the labels ``(batch,)`` as they are written, of
        none if there are none.

    Raises:
        UserError: naming the line and what is wrong in it.
    """
    series: list[NDArray[np.floating[Any]]] = []
    labels: list[str] = []
    with plain.open(encoding="utf-8-sig") as file:
        lines = _lines(file, plain, shown)
        header = _header(lines, shown)
        labelled = must_have_labels or not _says_no(header, "@classlabel")
        declared = _declared(header, shown) if labelled else set()
        for number, line in lines:
            where = f"{shown} line {number}"
            channels = line.split(":")
            if labelled:
                label = channels.pop().strip()
                if not channels or not label:
                    raise UserError(f"{where} has no label: expected values:label")
                _check_label(label, declared, where)
                labels.append(label)
            one = [numbers(channel.split(","), where) for channel in channels]
            _check_shape(one, series, header, where)
            series.append(np.stack(one))
    if not series:
        raise UserError(f"{shown} holds no series")
    return series, np.array(labels, dtype=np.str_)


def _lines(file: Iterable[str], plain: Path, shown: Path) -> Lines:
    """Yield number and text of each line that is neither blank nor a comment."""
    try:
        for number, line in enumerate(file, start=1):
            if (text := line.strip()) and not text.startswith("#"):
                yield number, text
    except UnicodeDecodeError as error:
        raise no_text(plain, shown, error) from error


def _header(lines: Lines, shown: Path) -> dict[str, list[str]]:
    """Return the words after each ``@key`` before ``@data``, keys in small letters."""
    header: dict[str, list[str]] = {}
    for _, line in lines:
        key, *words = line.split()
        if key.lower() == "@data":
            return header
        header[key.lower()] = words
    raise UserError(f"{shown} has no line @data: expected a header, @data, and the series")


def _is_true(header: dict[str, list[str]], key: str) -> bool:
    return [word.lower() for word in header.get(key, [])[:1]] == ["true"]


def _says_no(header: dict[str, list[str]], key: str) -> bool:
    return [word.lower() for word in header.get(key, [])[:1]] == ["false"]


def _declared(header: dict[str, list[str]], shown: Path) -> set[str]:
    """Return the class labels that the header names, empty if it names none."""
    if _is_true(header, "@timestamps"):
        raise UserError(f"{shown}: @timeStamps true is not read; write the values only")
    if _is_true(header, "@targetlabel") or header.get("@classlabel", ["true"])[0].lower() != "true":
        raise UserError(f"{shown} has no class labels: its header lacks @classLabel true")
    return {_comparable(word) for word in header.get("@classlabel", [])[1:]}


def _comparable(label: str) -> str:
    """Archives write one label in more ways than one: ``1`` and ``1.0``, ``walk`` and ``Walk``."""
    return str(float(label)) if is_number(label) else label.lower()


def _check_label(label: str, declared: set[str], where: str) -> None:
    # A label of several words is declared as if they were several labels.
    if declared and not {_comparable(word) for word in label.split()} <= declared:
        raise UserError(f"{where}: label {label!r} is not among those of the header's @classLabel")


def _check_shape(
    one: list[NDArray[np.float64]],
    before: list[NDArray[np.floating[Any]]],
    header: dict[str, list[str]],
    where: str,
) -> None:
    time = len(one[0])
    if any(len(channel) != time for channel in one):
        lengths = ", ".join(str(len(channel)) for channel in one)
        raise UserError(f"{where} has channels of unequal length ({lengths})")
    if before and len(one) != len(before[0]):
        raise UserError(f"{where} has {len(one)} channels, the first series {len(before[0])}")
    if not _is_true(header, "@equallength"):
        return
    said = header.get("@serieslength", [])[:1]
    expected = (
        int(said[0]) if said and said[0].isdecimal() else len(before[0][0] if before else one[0])
    )
    if time != expected:
        raise UserError(
            f"{where} has {time} values in a channel, but the header says equal length and the "
            f"others have {expected}"
        )
