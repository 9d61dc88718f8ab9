"""Records chosen by their values: ``dataset=GunPoint``, ``seed=0,1``, ``optimizer.lr=1e-3``."""

import difflib
from collections.abc import Iterable, Mapping, Sequence

from dsn_lab.errors import UserError
from dsn_lab.records.identity import PREFIX
from dsn_lab.records.results import Record


def conditions(given: Iterable[str]) -> dict[str, str]:
    """``KEY=VALUE`` texts as a mapping.

    Raises:
        UserError: a text has no ``=``.
    """
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (equals and key and value):
            raise UserError(f"where {text}: must be KEY=VALUE, as dataset=GunPoint or seed=0,1")
        found[key] = value
    return found


def chosen(records: Sequence[Record], where: Mapping[str, str]) -> list[bool]:
    """Of each record whether it has, of every key, one of the values that commas separate.

    Args:
        records: with settings in today's form.
        where: by a setting, or what a record says (``dataset``, ``seed``, ``test_accuracy``, ...).

    Raises:
        UserError: no record has such a key.
    """
    known = {key.removeprefix(PREFIX) for record in records for key in record}
    for key, value in where.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise UserError(f"{key}={value}: no run says anything of {key}{hint}")
    return [
        all(_held(record, key) in _alternatives(value) for key, value in where.items())
        for record in records
    ]


def _held(record: Record, key: str) -> str:
    return _plain(str(record.get(key, record.get(PREFIX + key))))


def _alternatives(value: str) -> list[str]:
    return [_plain(each) for each in ([value] if value.startswith("[") else value.split(","))]


def _plain(text: str) -> str:
    """Equal numbers as equal texts, true as True."""
    try:
        return str(float(text))
    except ValueError:
        return text.strip().lower()
