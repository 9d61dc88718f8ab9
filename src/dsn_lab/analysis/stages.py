"""Networks that one run leaves: the stages of a pruned one, and which networks belong together."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log10
from statistics import mean
from typing import Any

import pandas as pd

from dsn_lab.analysis.collect import Collection

# Stages in the order of training: as records name them, and as people do; and the part of the
# record's keys that has their cost.
STAGES = {"pretrained": "pretrained", "pruned": "pruned", "finetuned": "fine-tuned",
          "scratch": "scratch"}  # fmt: skip
COST = {"pretrained": "base"}
PENALTY = 1e-5
WIDTHS = "config.model.widths"
# By these a scratch cell differs from the cell whose shape it takes.
OF_SCRATCH = {
    "dsp",
    *(f"config.dsp.{k}" for k in ("name", "shape_from", "scratch", "scratch_epochs", "report")),
}


@dataclass(frozen=True)
class Family:
    """A way of pruning a model, with the networks that it is compared with.

    Attributes:
        model: the model's name.
        method: label of the runs that prune.
        roles: network of each role: ``base``, ``pretrained``, ``pruned``, ``fine-tuned`` and
            ``scratch``, those that there are.
        narrow: networks that differ from the base in their widths only.
    """

    model: str
    method: str
    roles: dict[str, str]
    narrow: list[str]


def is_pruned(runs: pd.DataFrame) -> pd.Series:
    """Of each run whether it has pruned a network."""
    if "accuracy_pruned" not in runs:
        return pd.Series(False, index=runs.index)
    return runs["accuracy_pruned"].notna()


def networks(collection: Collection) -> Collection:
    """The collection with a row a network: of a pruned run a row a stage.

    ``method`` is the network's label, ``LITE DSP, pruned``; ``array`` names its probabilities in
    the run's predictions (None: the last ones), ``stage`` is None for runs without stages.
    """
    runs = collection.runs
    pruned = is_pruned(runs)
    parts = [runs[~pruned].assign(array=None, stage=None)]
    for key, stage in STAGES.items():
        if f"accuracy_{key}" in runs:
            rows = runs[pruned & runs[f"accuracy_{key}"].notna()]
            cost = COST.get(key, "pruned")
            parts.append(
                rows.assign(
                    method=[label(method, stage) for method in rows["method"]],
                    test_accuracy=rows[f"accuracy_{key}"],
                    params_active=rows[f"params_{cost}"],
                    flops=rows[f"flops_{cost}"],
                    array=key,
                    stage=stage,
                )
            )
    rows = pd.concat([part for part in parts if len(part)], ignore_index=True)
    return replace(collection, runs=rows, unfinished=collection.unfinished[:0], problems=[])


def label(method: str, stage: str) -> str:
    """What a stage of a method's runs is called."""
    return f"{method}, {stage}"


def families(collection: Collection) -> list[Family]:
    """The ways of pruning in a collection; of each model, the one with most runs first.

    Of several with as many runs, that with the lambda nearest to the paper's.
    """
    runs, settings = collection.runs, collection.settings
    runs = runs[is_pruned(runs)]
    counts = runs["method"].value_counts()
    found = []
    for method in sorted(counts.index, key=lambda m: (-counts[m], _from_paper(settings[m]), m)):
        of_method = runs[runs["method"] == method]
        model = of_method["model"].iloc[0]
        widths = _unpruned(settings[method], settings)
        base = next((name for name, width in widths.items() if width is None), None)
        roles = {"base": base} if base else {}
        for key, stage in STAGES.items():
            if f"accuracy_{key}" in of_method and of_method[f"accuracy_{key}"].notna().any():
                roles[stage] = label(method, stage)
        if "scratch" not in roles and (cell := _scratch(settings[method], settings)):
            roles["scratch"] = cell
        narrow = {name: width for name, width in widths.items() if width is not None}
        found.append(Family(model, method, roles, sorted(narrow, key=narrow.__getitem__)))
    return sorted(found, key=lambda family: family.model)


def _from_paper(settings: Mapping[str, Any]) -> float:
    """Decades between a lambda and the one of the paper's headline."""
    return abs(log10(settings.get("config.dsp.penalty", PENALTY) or PENALTY) - log10(PENALTY))


def _unpruned(
    own: Mapping[str, Any], settings: Mapping[str, Mapping[str, Any]]
) -> dict[str, float | None]:
    """Methods that do not prune and agree in all but widths: mean width if it differs, or None."""
    found: dict[str, float | None] = {}
    for name, other in settings.items():
        if other.get("dsp", "none") == "none" and other["model"] == own["model"]:
            keys = {key for key in own.keys() | other.keys() if not _of_pruning(key)}
            differing = {key for key in keys if own.get(key) != other.get(key)}
            if not differing:
                found[name] = None
            elif differing == {WIDTHS} and WIDTHS in other:
                found[name] = mean(width for layer in other[WIDTHS] for width in layer)
    return found


def _of_pruning(key: str) -> bool:
    return key == "dsp" or key.startswith("config.dsp.")


def _scratch(own: Mapping[str, Any], settings: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The method that trains the shape of these runs from scratch in cells of its own."""
    for name, other in settings.items():
        if other.get("dsp") == "scratch":
            # A setting that one of them lacks has its first value there, whatever that is.
            shared = (own.keys() & other.keys()) - OF_SCRATCH
            apart = {key for key in own.keys() ^ other.keys() if not _of_pruning(key)}
            if not apart and all(own[key] == other[key] for key in shared):
                return name
    return None
