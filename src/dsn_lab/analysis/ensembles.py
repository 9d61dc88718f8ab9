"""Ensembles of the networks of a method that differ in their seeds, as methods of their own."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from dsn_lab.analysis import aggregate
from dsn_lab.analysis.collect import Collection
from dsn_lab.analysis.methods import NAMES
from dsn_lab.ensemble import accuracy
from dsn_lab.records.ledger import predictions

Stored = Mapping[str, Any]
# What all members together take; bytes in memory are taken one after the other.
SUMMED = (
    *("flops", "flops_paper", "params_active", "fit_seconds"),
    *("inference_ms", "inference_ms_64", "inference_mj_64", "model_bytes"),
)
TIME = {"dsn", "lite", "inception"}  # whose ensembles have a name: DSNTime, LITETime, ...


def ensembles(networks: Collection) -> Collection:
    """A row for each dataset, fold and method that has several seeds there, none of them missing.

    Args:
        networks: if they have ``array``, it names a row's probabilities among those of its run;
            else they are the last, of the network that gave the test accuracy.

    Returns:
        ``method`` is the ensemble's label (LITETime of LITE); ``members`` their number; parameters
        and FLOPs are those of all together. A cell without stored predictions has no row.
    """
    runs = networks.runs
    expected = aggregate.expected(networks)
    rows = []
    files: dict[str, Stored | None] = {}
    for (method, _, fold), members in runs.groupby(["method", "dataset", "fold"]):
        wanted = sum(pair[0] == fold for pair in expected[method])
        if wanted < 2 or len(members) < wanted:
            continue
        for path in set(members["path"]) - files.keys():
            files[path] = predictions(networks.root, path)
        stored = [files[path] for path in members["path"]]
        arrays = members["array"] if "array" in members else [None] * len(members)
        probabilities = list(_probabilities(stored, list(arrays)))
        if len(probabilities) == wanted and stored[0] is not None:
            right = accuracy(np.stack(probabilities), stored[0]["labels"])
            rows.append(
                members.iloc[0].to_dict()
                | {
                    "method": label(str(method), members["model"].iloc[0]),
                    "seed": 0,
                    "members": wanted,
                    "test_accuracy": round(right, 6),
                    **{key: members[key].sum() for key in SUMMED if key in members},
                }
            )
    columns = [*runs.columns, "members"]
    settings = {label(method, str(own["model"])): own for method, own in networks.settings.items()}
    found = pd.DataFrame(rows, columns=None if rows else columns)
    return replace(networks, runs=found, unfinished=networks.unfinished[:0], settings=settings)


def label(method: str, model: str) -> str:
    """What the ensemble of a method's networks is called."""
    name = NAMES.get(model, model)
    return method.replace(name, f"{name}Time" if model in TIME else f"{name} ensemble", 1)


def _probabilities(stored: list[Stored | None], arrays: list[Any]) -> Iterator[np.ndarray]:
    """Of each member that has them and was tested on the same series."""
    for each, array in zip(stored, arrays, strict=True):
        if each is None or stored[0] is None:
            continue
        names = [name for name in each if name != "labels"]
        name = array if isinstance(array, str) else names[-1]
        if name in each and np.array_equal(each["labels"], stored[0]["labels"]):
            yield each[name]
