"""How much pruning depends on its settings: lambda, layer weights, rule and others."""

import json
from collections.abc import Sequence
from typing import Any

from dsn_lab.analysis import stages
from dsn_lab.records import identity
from dsn_lab.registry import ABSENT
from dsn_lab.report import figures
from dsn_lab.report.inputs import SPLIT, Inputs, count
from dsn_lab.report.parts import Picture, Section, Table, picture
from dsn_lab.report.tables.compression import PENALTY

TITLE = "Sensitivity of pruning to its settings"
OF_DSP = "config.dsp."


def section(inputs: Inputs) -> Section | str:
    """A table for each model that was pruned in several ways; a figure if lambda varies."""
    items: list[Table | Picture] = []
    for model in sorted({family.model for family in inputs.families}):
        methods = [family.method for family in inputs.families if family.model == model]
        if len(methods) > 1:
            items += _of_model(inputs, model, methods)
    if not items:
        return "No model was pruned in several ways on a common dataset of the archive's split."
    text = (
        "Ways of pruning that differ in the settings of the first columns, over the datasets that "
        "all of them have; means over seeds, then datasets."
    )
    return Section("sensitivity", TITLE, text, items)


def _of_model(inputs: Inputs, model: str, methods: Sequence[str]) -> list[Table | Picture]:
    runs = inputs.runs[inputs.runs["method"].isin(methods) & (inputs.runs["fold"] == SPLIT)]
    shared = runs.groupby("dataset")["method"].nunique()
    datasets = list(shared[shared == len(methods)].index)
    if not datasets:
        return []
    measures = {"compression": "removed"} | {
        f"accuracy_{key}": stage for key, stage in stages.STAGES.items()
    }
    runs = runs[runs["dataset"].isin(datasets)]
    runs = runs.assign(compression=1 - runs["params_pruned"] / runs["params_base"])
    measures = {key: name for key, name in measures.items() if key in runs}
    means = runs.groupby(["method", "dataset"])[list(measures)].mean().groupby("method").mean()
    settings = {method: inputs.collection.settings[method] for method in methods}
    varied = _varied(settings)
    data = means.rename(columns=measures).rename_axis("method").reset_index()
    for key in reversed(varied):
        values = [_value(settings[method], key) for method in data["method"]]
        data.insert(1, key.removeprefix(OF_DSP), values)
    if PENALTY in varied:
        data = data.sort_values("penalty", kind="stable", ignore_index=True)
    said = [key.removeprefix(OF_DSP) for key in varied]
    display = data.drop(columns="method").astype(dict.fromkeys(said, object))
    display[said] = display[said].map(_text)
    for name in measures.values():
        display[name] = [f"{100 * x:.2f}" for x in data[name]]
    display = display.rename(columns={name: f"{name} %" for name in measures.values()})
    summary = inputs.on_split.reset_index()
    basis = inputs.basis(summary[summary["method"].isin(methods)], datasets)
    caption = (
        f"{model}: parameters removed and test accuracy of each stage, "
        f"{count(len(methods), 'setting')}. {basis}."
    )
    items: list[Table | Picture] = [Table(f"sensitivity_{model}", caption, display, data)]
    if said == ["penalty"]:
        caption = f"{model}: the same against lambda. {basis}."
        alt = "; ".join(
            f"lambda {row.penalty:g}: {100 * row.removed:.1f} % removed"
            for row in data.itertuples()
        )
        drawn = figures.sensitivity(data, list(measures.values())[1:])
        items.append(picture(f"sensitivity_{model}_lambda", caption, alt, drawn, data))
    return items


def _varied(settings: dict[str, dict[str, Any]]) -> list[str]:
    """The settings in which ways of pruning differ, lambda first."""
    keys = sorted({key for each in settings.values() for key in each})
    keys.sort(key=lambda key: key != PENALTY)
    return [
        key
        for key in keys
        if len({json.dumps(_value(each, key)) for each in settings.values()}) > 1
    ]


def _value(settings: dict[str, Any], key: str) -> Any:
    """A setting, or the value that one has which is not written down."""
    short = key.removeprefix(identity.PREFIX)
    group = short.partition(".")[0]
    first = identity.first(short, settings.get(f"{identity.PREFIX}{group}.name"))
    value = settings.get(key, first)
    return "–" if value is ABSENT else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
