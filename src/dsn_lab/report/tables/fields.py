"""Histograms of effective neighbour receptive field sizes, with and without kernel groups."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dsn_lab.errors import UserError
from dsn_lab.records.cell import Folder
from dsn_lab.records.results import Record
from dsn_lab.report import figures
from dsn_lab.report.inputs import SPLIT, Inputs
from dsn_lab.report.parts import Picture, Section, picture

GROUPS = "config.model.groups"
SHOWN_DATASETS = 3

Histograms = list[dict[str, np.ndarray]]


def section(inputs: Inputs) -> Section | str:
    """Fig. 6: networks that differ in nothing but their groups, on the first datasets."""
    root, runs = inputs.collection.root, inputs.runs
    if GROUPS not in runs:
        return "No run of a network with sparse kernels."
    sparse = runs[(runs["model"] == "dsn") & (runs["dst"] != "dense") & (runs["fold"] == SPLIT)]
    sparse = sparse[[Folder(root / path).model.exists() for path in sparse["path"]]]
    if sparse.empty:
        return "No sparse network has its network beside its result."
    methods = _alike(inputs.collection.settings, sparse["method"])
    sparse = sparse[sparse["method"].isin(methods)]
    shared = sparse.groupby("dataset")["method"].nunique()
    datasets = list(shared[shared == len(methods)].index[:SHOWN_DATASETS])
    if not datasets:
        return f"No dataset has the networks of all of {', '.join(methods)}."
    items = []
    for dataset in datasets:
        chosen = sparse[sparse["dataset"] == dataset]
        try:
            items.append(_picture(inputs, dataset, chosen))
        except UserError as error:
            return f"A network of {dataset} cannot be read: {error}"
    text = (
        "The effective neighbour receptive field of a kernel is as long as last active tap − first "
        "active tap + 1, and 0 without any (the paper's Eq. 2 and Fig. 6)."
    )
    if len(methods) == 1:
        text += " Networks that differ from these in their groups only are missing."
    return Section("fields", "Receptive fields with and without groups", text, list(items))


def _alike(settings: Mapping[str, Record], counted: Sequence[str]) -> list[str]:
    """Methods that differ in nothing but groups: of several such sets the largest, most run."""
    runs = Counter(counted)
    sets: dict[str, list[str]] = {}
    for method in sorted(runs):
        rest = {key: value for key, value in settings[method].items() if key != GROUPS}
        sets.setdefault(json.dumps(rest, sort_keys=True), []).append(method)
    return max(sets.values(), key=lambda alike: (len(alike), sum(runs[m] for m in alike)))


def _picture(inputs: Inputs, dataset: str, runs: pd.DataFrame) -> Picture:
    layers: Histograms = []
    for _, of_method in runs.groupby("method"):
        groups = int(of_method[GROUPS].iloc[0])
        label = f"{groups} groups" if groups > 1 else "without groups"
        for run in of_method.to_dict("records"):
            folder = inputs.collection.root / run["path"]
            for i, counts in enumerate(_sizes(Folder(folder).model)):
                if i == len(layers):
                    layers.append({})
                layers[i][label] = layers[i].get(label, 0) + counts
    data = pd.DataFrame(
        {"layer": i, "variant": label, "size": size, "kernels": int(kernels)}
        for i, variants in enumerate(layers, start=1)
        for label, counts in variants.items()
        for size, kernels in enumerate(counts)
    )
    names = sorted(set(runs["method"]))
    summary = inputs.on_split.reset_index()
    basis = inputs.basis(summary[summary["method"].isin(names)], [dataset])
    caption = f"{dataset}: share of kernels by eNRF size; {' and '.join(names)}. {basis}."
    medians = data.groupby("variant").apply(_median, include_groups=False)
    alt = f"Histograms for {len(layers)} layers; median size " + ", ".join(
        f"{label}: {value:g}" for label, value in medians.items()
    )
    return picture(f"enrf_{dataset}", caption, alt, figures.field_sizes(layers), data)


def _median(sizes: pd.DataFrame) -> float:
    return float(np.median(np.repeat(sizes["size"], sizes["kernels"])))


def _sizes(path: Path) -> list[np.ndarray]:
    """Of each sparse layer of a saved network, how many kernels have each size."""
    # Torch takes seconds to import, and nothing else in a report needs it.
    import torch

    from dsn_lab.nn import SparseConv1d
    from dsn_lab.records.networks import load_network
    from dsn_lab.sparse.receptive_fields import enrf_sizes

    layers = (m for m in load_network(path).modules() if isinstance(m, SparseConv1d))
    masks = [layer.mask for layer in layers]
    return [
        torch.bincount(enrf_sizes(mask).flatten(), minlength=mask.shape[-1] + 1).numpy()
        for mask in masks
    ]
