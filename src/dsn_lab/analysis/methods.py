"""Which runs are runs of one method, and what to call it.

A method is a model, its sparse training or pruning, and every setting that tells runs apart
(:func:`dsn_lab.records.identity.counted`), but not the dataset, the fold and the seed. Two runs
that differ in any such setting are of different methods, so that nothing unlike is ever averaged.

A few settings have a default of their own for each archive (``archive_defaults`` in
``conf/config.yaml``: width, padding, scaling). As long as all runs of a model have their
archive's default, such a setting does not tell methods apart; if one run has another value, it
does, for all runs of that model. The sparsity always does.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from dsn_lab.records import identity
from dsn_lab.records.results import Record
from dsn_lab.registry import ABSENT
from dsn_lab.storage import packaged_yaml

CHOICES = ("model", "dst", "dsp", "sparsity")
NOT_OF_A_METHOD = {f"{identity.PREFIX}{key}" for key in ("fold", "seed")} | {
    f"{identity.PREFIX}dataset.{key}"
    for key in ("name", "archive", "test_size", "split_seed", "label", "data")
}
SAID_BY_SPARSITY = {"config.sparsity", "config.model.sparsity"}
BY_ARCHIVE = {"config.model.width", "config.model.padding", "config.dataset.scaling"}
# What a label says first, if it differs: the kind of method, then settings within a kind.
KIND = ("dst", "dsp")
FIRST = ("sparsity", "config.model.groups", "config.trainer.max_epochs")
NAMES = {
    "dsn": "DSN", "lite": "LITE", "inception": "Inception", "resnet": "ResNet", "oscnn": "OS-CNN",
    "tapnet": "TapNet", "mlstm_fcn": "MLSTM-FCN", "minirocket": "MiniRocket",
    "multirocket_hydra": "MultiRocketHydra", "quant": "QUANT",
}  # fmt: skip
USUAL = {"dst=dsn": "", "dsp=none": "", "dsp=default": "DSP"}
# Branches of each layer, by which a network with one width everywhere is known.
BRANCHES = {"lite": [3, 1, 1], "inception": [4] * 6}


def labels(records: Sequence[Record]) -> tuple[list[str], dict[str, Record]]:
    """Label each record's method by what tells it from the model's other methods here.

    Returns:
        A label for each record, equal for equal methods only; and each label's settings, those
        that differ by archive left out.
    """
    given: list[str] = [""] * len(records)
    settings: dict[str, Record] = {}
    for model in sorted({record["model"] for record in records}):
        members = [i for i, record in enumerate(records) if record["model"] == model]
        for i, method in zip(members, _identities([records[i] for i in members]), strict=True):
            given[i] = method
    keys = {key: json.loads(key) for key in given}
    short = _shortened(records, given)
    mixed = 0 < len(short) < len(keys)
    named: dict[str, str] = {}
    for key, method in keys.items():
        label = _label(method, list(keys.values()))
        if mixed and key in short and not label.endswith("-epochs"):
            label += f" {short[key]}-epochs"  # else it would look like one that is not
        named[key] = label
        settings[label] = method
    return [named[key] for key in given], settings


def _shortened(records: Sequence[Record], given: Sequence[str]) -> dict[str, int]:
    """Of methods with runs of other epochs than their protocol's, so many."""
    return {
        key: record["epochs"]
        for key, record in zip(given, records, strict=True)
        if record["epochs"] != record["protocol_epochs"]
    }


def _identities(records: Sequence[Record]) -> Iterable[str]:
    """A text for each record of a model, equal exactly for equal methods."""
    dropped = {key for key in BY_ARCHIVE if all(_is_archive_default(r, key) for r in records)}
    dropped |= NOT_OF_A_METHOD | SAID_BY_SPARSITY
    for record in records:
        method = {key: record[key] for key in CHOICES if key in record}
        counted = identity.counted(
            identity.recorded(record), str(record.get("uncounted", "")).split()
        )
        told = {f"{identity.PREFIX}{key}": value for key, value in counted.items()}
        method |= {key: value for key, value in told.items() if key not in dropped}
        yield json.dumps(method, sort_keys=True)


def _is_archive_default(record: Record, key: str) -> bool:
    defaults = _archive_defaults().get(record.get("archive"), {})
    return key not in record or record[key] == defaults.get(key.rpartition(".")[2])


@cache
def _archive_defaults() -> Mapping[Any, Any]:
    defaults: Mapping[Any, Any] = packaged_yaml("dsn_lab.conf", "config.yaml")["archive_defaults"]
    return defaults


def _telling(methods: Sequence[Record]) -> list[str]:
    """The settings that tell methods apart: of two that say the same, only the first."""
    every = {key for method in methods for key in method}
    chosen: list[str] = []
    classes = 1
    for key in [*FIRST, *sorted(every - {*FIRST, *KIND})]:
        refined = len({tuple(_value(i, k) for k in [*chosen, key]) for i in methods})
        if refined > classes:
            chosen.append(key)
            classes = refined
    return chosen


def _value(method: Record, key: str) -> str:
    return json.dumps(method[key]) if key in method else "absent"


def _label(method: Record, others: Sequence[Record]) -> str:
    alike = [other for other in others if other["model"] == method["model"]]
    kind = [key for key in KIND if len({_value(other, key) for other in alike}) > 1]
    if "dsp" in method and "dsp" not in kind:
        kind.append("dsp")  # a pruned network is never called by the model's name alone
    alike = [o for o in alike if all(_value(o, key) == _value(method, key) for key in kind)]
    parts = [NAMES.get(method["model"], method["model"])]
    parts += [_say(key, method) for key in [*kind, *_telling(alike)]]
    return " ".join(part for part in parts if part)


def _say(key: str, method: Record) -> str:
    """A setting in a few words; the usual choice of ``dst`` and ``dsp`` in none."""
    short = key.removeprefix("config.model.").removeprefix("config.")
    group = key.removeprefix(identity.PREFIX).partition(".")[0]
    first = identity.first(key.removeprefix(identity.PREFIX), method.get(f"config.{group}.name"))
    value = method.get(key, first)
    if value is ABSENT:
        return f"no-{short}"
    if key == "config.model.widths" and (width := _one_width(method["model"], value)):
        return f"{width}-filters"
    if key == "sparsity":
        return f"S={value:g}"
    if key == "config.trainer.max_epochs":
        return f"{value}-epochs"
    if key in KIND:
        return USUAL.get(f"{key}={value}", f"DSP-{value}" if key == "dsp" else str(value))
    # Words as they are; anything else so that 1, "1" and true remain three things.
    word = isinstance(value, str) and value.islower() and value.replace("_", "").isalpha()
    return f"{short.rpartition('.')[2]}={value if word else json.dumps(value)}"


def _one_width(model: str, widths: Sequence[Sequence[int]]) -> int | None:
    """The width of all branches of a network with all branches."""
    if [len(layer) for layer in widths] != BRANCHES.get(model):
        return None
    every = {width for layer in widths for width in layer}
    return every.pop() if len(every) == 1 else None
