"""What a run is: the settings that decide its result, in one form, and their digest.

Pure: settings in, settings out. They are nested by group as the configuration is, and name choices
(``model: {name: dsn, ...}``), never Python paths. The laws:

- a setting that came later counts as absent at the value it came with (:data:`FIRST`; one that is
  not listed there: at the default in its choice's signature), so a new setting whose default keeps
  the behaviour changes no identity;
- a changed default makes another identity, because its value is not the first one any more; so
  does a changed meaning, once :data:`REVISIONS` says so;
- numbers count by their value, however they are written: 0 is 0.0.

Digests are taken of the form that the first results had (:mod:`dsn_lab.records.format0`), so that
folders of all times keep their names.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from dsn_lab import registry
from dsn_lab.errors import UserError
from dsn_lab.records import format0
from dsn_lab.records.settings import Config, DatasetConfig, Settings

FORMAT = 1
PREFIX = "config."

# Where and how a cell is computed; everything else is what is computed.
RUNTIME = {
    "output_dir", "results_dir", "data_dir", "force", "dry_run", "logger", "threads", "imports",
    "model.backend", "dataset.path", "dataset.test_path", "dsp.pruned_by", "dsp.protocol",
    *(
        f"trainer.{key}"
        for key in ("accelerator", "devices", "num_nodes", "enable_progress_bar", "profiler")
    ),
}  # fmt: skip
# What other settings refer to; those count.
SOURCES = {
    "archive_defaults", "grown_state", "penalise_frozen", "penalty_weights", "rule_settings",
    "sparse_layers", "sparsity", "variants",
}  # fmt: skip
# Of training, which a classifier that is fitted does not have.
OF_TRAINING = {
    "batch_size", "class_weights", "optimizer", "patience", "protocol_epochs", "recalibrate",
    "scheduler", "tested_weights", "trainer", "validation",
}  # fmt: skip

# The value that each later setting came with, which kept what was there before. Lines are added,
# and never changed: a default that changes makes new cells because its value is not this one. A key
# may name the choice whose setting it is: "model.lite.widths", "dst.momentum.decay".
FIRST: Mapping[str, Any] = {
    "class_weights": "none",
    "dataset.gaps": "interpolate",
    "dataset.label": None,
    "dataset.split_seed": None,
    "dataset.test_size": None,
    "dsp.loss": "instance_l21",
    "dsp.min_series": None,
    "dsp.penalise_frozen": False,
    "dsp.report": "finetuned",
    "dsp.rule": "largest_activity",
    "dsp.scratch": False,
    "dsp.scratch_epochs": 0,
    "dsp.shape_from": None,
    "dst.drop": "magnitude",
    "dst.momentum.decay": 0.9,
    "dst.momentum.observes": "epochs",
    "dst.state": "zero",
    "dst.update_steps": None,
    "model.aeon.estimator": None,
    "model.distribution": "uniform",
    "model.inception.variant": "authors",
    "model.mlstm_fcn.cells": 8,
    "model.mlstm_fcn.dropout": 0.8,
    "model.mlstm_fcn.filters": [128, 256, 128],
    "model.mlstm_fcn.variant": "paper",
    "model.oscnn.budget": 1024,
    "model.oscnn.longest": 89,
    "model.resnet.variant": "paper",
    "model.tapnet.cells": 128,
    "model.tapnet.dilation": 1,
    "model.tapnet.filters": [256, 256, 128],
    "model.tapnet.sizes": [500, 300],
    "optimizer.weight_decay": 0,
    "patience": None,
    "scheduler.ConstantLR.total_iters": 0,
    "tested_weights": "best",
    "validation": None,
}

# Raised when a choice's settings come to mean something else: {"model.dsn": 2}; for a rule, whose
# defaults stand in no configuration file, when a default changes: {"dst.growth.momentum": 2}.
REVISIONS: Mapping[str, int] = {}


def settings_of(composed: Mapping[str, Any], *, typed: bool = False) -> Settings:
    """The settings that decide a cell's result, of a resolved configuration, nested as there.

    Fold and seed are among them. With ``typed`` numbers are left as they were typed.
    """
    counted = _without(composed, "")
    dst = counted.get("dst")
    if isinstance(dst, dict) and dst.get("seed") == counted.get("seed"):
        dst.pop("seed", None)
    for group in ("dst", "dsp"):
        part = counted.get(group) or {}
        if part.get("name") is None and "shape_from" not in part:
            counted[group] = {key: None for key in part if key == "name"}  # reads nothing else
    chosen = {group: (counted.get(group) or {}).get("name") for group in registry.GROUPS}
    for kind in registry.RULES:
        group, _, key = kind.partition(".")
        part = counted.get(group) or {}
        if isinstance(rule := part.get(key), dict) and "name" in rule:
            part[key] = rule.pop("name")
            part |= {str(part[key]): rule} if rule else {}
        chosen[kind] = part.get(key)
    if is_fitted(chosen["model"]):
        counted = {key: value for key, value in counted.items() if key not in OF_TRAINING}
    revised = {kind: REVISIONS.get(f"{kind}.{name}") for kind, name in chosen.items()}
    counted |= {f"revision of {kind}": number for kind, number in revised.items() if number}
    result = counted if typed else canonical(counted)
    assert isinstance(result, dict)
    return result


def is_fitted(model: str | None) -> bool:
    """Whether a model is a classifier that is fitted once, not a network that is trained."""
    return model in registry.classifiers


def _without(settings: Mapping[str, Any], path: str) -> Settings:
    """A copy without what does not decide a result."""
    return {
        str(key): _without(value, f"{path}{key}.") if isinstance(value, Mapping) else value
        for key, value in settings.items()
        if f"{path}{key}" not in RUNTIME and f"{path}{key}" not in SOURCES
    }


def canonical(value: Any) -> Any:
    """Settings with numbers by their value: a float that is whole is an integer."""
    if isinstance(value, Mapping):
        return {str(key): canonical(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def flat(settings: Mapping[str, Any], prefix: str = PREFIX) -> Settings:
    """Nested settings as one level with dotted keys that begin with ``prefix``."""
    result: Settings = {}
    for key, value in settings.items():
        result |= (
            flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
        )
    return result


def nested(settings: Mapping[str, Any]) -> Settings:
    """Undo :func:`flat` (without a prefix)."""
    result: Settings = {}
    for key, value in settings.items():
        *path, last = key.split(".")
        level = result
        for part in path:
            level = level.setdefault(part, {})
        level[last] = value
    return result


def recorded(record: Mapping[str, Any]) -> Settings:
    """The settings in a record or checkpoint of any time, flat without prefix, in today's form."""
    settings = {
        key.removeprefix(PREFIX): value for key, value in record.items() if key.startswith(PREFIX)
    }
    result = canonical(format0.renamed(settings))
    assert isinstance(result, dict)
    return result


def counted(settings: Mapping[str, Any], uncounted: Collection[str] = ()) -> Settings:
    """Of flat settings those that tell runs apart: without what is at its first value.

    Args:
        settings: of a run.
        uncounted: settings that were at their first value when the run was recorded; whoever reads
            the record may not have at hand what they are settings of.
    """
    return {
        key: value
        for key, value in settings.items()
        if key not in uncounted
        and not _same(value, first(key, settings.get(f"{key.partition('.')[0]}.name")))
    }


def first(key: str, name: str | None) -> Any:
    """The value at which a setting counts as absent, or ``ABSENT`` if it always counts.

    Args:
        key: of flat settings.
        name: the choice of its group, if there is one.
    """
    group, _, setting = key.partition(".")
    for listed in (f"{group}.{name}.{setting}", key):
        if listed in FIRST:
            return FIRST[listed]
    if key in format0.KEYS or group == "trainer":
        return registry.ABSENT
    return _default(group, name, setting)


@cache
def _default(group: str, name: str | None, setting: str) -> Any:
    """The first value of a setting that is not listed here: where what reads it is registered."""
    if not setting or group == "dataset":
        fields = DatasetConfig.model_fields if setting else Config.model_fields
        field = fields.get(setting or group)
        return registry.ABSENT if field is None or field.is_required() else field.default
    rule, _, of_rule = setting.rpartition(".")
    read_by = [(registry.GROUPS[group], name)] if group in registry.GROUPS and not rule else []
    read_by += [(each, rule) for kind, each in registry.RULES.items() if kind.startswith(group)]
    for choices, chosen in read_by:
        try:
            return choices.first(str(chosen), of_rule)
        except UserError:
            pass  # somebody else's, and not at hand here
    return registry.ABSENT


def _same(one: Any, other: Any) -> bool:
    """Whether two settings are equal, where True is not 1."""
    if registry.ABSENT in (one, other):
        return one is other
    return _text(canonical(one)) == _text(canonical(other))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def digest(settings: Mapping[str, Any], *, typed: bool = False) -> str:
    """Eight digits for nested settings, whatever fold and seed: the name of a method's folder.

    With ``typed`` of numbers as they were typed, as the first results had it.
    """
    told = format0.digested(nested(counted(flat(settings, ""))), typed=typed)
    return hashlib.sha256(_text(told).encode()).hexdigest()[:8]


def differences(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between flat settings, in words.

    A setting that one of them lacks, because it came later, counts with its first value.
    """
    said = []
    for key in sorted(stored.keys() | now.keys()):
        values = []
        for settings in (stored, now):
            usual = first(key, settings.get(f"{key.partition('.')[0]}.name"))
            values.append(settings.get(key, usual))
        if not _same(*values):
            was, is_now = ("absent" if v is registry.ABSENT else repr(v) for v in values)
            said.append(f"{key} was {was}, now {is_now}")
    return said


def folder(settings: Mapping[str, Any], choices: Mapping[str, str], *, typed: bool = False) -> str:
    """A cell's folder: dataset / choices and a digest of the settings / fold and seed.

    Args:
        settings: nested, of :func:`settings_of`.
        choices: names of the ``model``, ``dst`` and ``dsp``.
        typed: as for :func:`digest`.
    """
    parts = [choices["model"]]
    parts += [choices["dst"]] if choices["dst"] != "none" else []
    parts += [f"dsp-{choices['dsp']}"] if choices["dsp"] != "none" else []
    sparsity = settings["model"].get("sparsity")
    if sparsity is not None:
        parts += [f"S{sparsity if typed or not isinstance(sparsity, int) else float(sparsity)}"]
    return (
        f"{settings['dataset']['name']}/{'-'.join(parts)}-{digest(settings, typed=typed)}/"
        f"fold{settings['fold']}-seed{settings['seed']}"
    )
