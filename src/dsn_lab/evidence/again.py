"""A run of the ledger once more: its command, and whether it comes out the same."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_lab import registry
from dsn_lab.records import identity
from dsn_lab.records.results import Record

GROUPS = ("dataset", "model", "dst", "dsp")
CHOSEN = {"dataset.archive", *(f"{group}.name" for group in GROUPS)}
# What decides the last bits, besides the settings.
MACHINE = ("threads", "device", "torch", "cpu", "backend")


def overrides(record: Record) -> list[str]:
    """The arguments of ``run.py`` that make a record's run, every setting spelled out."""
    settings = identity.nested(identity.recorded(record))
    chosen = [f"{group}={record[group]}" for group in GROUPS]
    for kind in registry.RULES:
        group, _, key = kind.partition(".")
        part = settings.get(group, {})
        if isinstance(own := part.pop(str(part.get(key)), None), dict):
            part[key] = {"name": part[key], **own}
    said = []
    for group, part in settings.items():
        if isinstance(part, dict):
            if part.get("name") is None and group in ("dst", "dsp"):
                continue
            # Some keys are not in the configuration file of the choice.
            said += [
                f"++{group}.{key}={_literal(value)}"
                for key, value in part.items()
                if f"{group}.{key}" not in CHOSEN and not (group == "dataset" and value is None)
            ]
        else:
            said.append(f"{group}={_literal(part)}")
    return [*chosen, *said, f"threads={record['threads']}"]


def _literal(value: Any) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_literal(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_literal, value)) + "]"
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    return str(value)


def differences(
    stored: Record,
    again: Record,
    probabilities: tuple[Mapping[str, NDArray[Any]] | None, Mapping[str, NDArray[Any]] | None],
) -> list[str]:
    """What came out otherwise, in words; nothing if all is the same, to 16 bits.

    Args:
        stored: the ledger's record.
        again: of the run now.
        probabilities: the ledger's, and those of the run now.
    """
    said = [
        f"{key} was {stored[key]}, now {again.get(key)}"
        for key in sorted(stored)
        if (key.startswith(("test_", "accuracy_", "params")) or key == "best_epoch")
        and stored[key] != again.get(key)
    ]
    was, now = probabilities
    if was is not None and now is not None:
        for name in was.keys() & now.keys() - {"labels"}:
            apart = np.abs(now[name].astype(np.float16) - was[name]).max()
            if apart > 0:
                said.append(f"{name}: probabilities differ by up to {apart:.2g}")
    return said


def elsewhere(stored: Record, again: Record) -> list[str]:
    """What is other than it was where the run was made, so that bits need not agree."""
    return [
        f"{key} was {stored.get(key)}, is {again.get(key)}"
        for key in MACHINE
        if stored.get(key) != again.get(key)
    ]
