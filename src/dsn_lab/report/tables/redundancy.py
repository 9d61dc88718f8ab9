"""Redundancy of feature maps before and after pruning, from saved networks and training series."""

from pathlib import Path
from typing import Any

import pandas as pd

from dsn_lab.analysis.stages import Family
from dsn_lab.data.load import digests, load_dataset
from dsn_lab.data.wanted import OWN, Wanted
from dsn_lab.errors import UserError
from dsn_lab.records.cell import Folder
from dsn_lab.report.inputs import SPLIT, Inputs, count
from dsn_lab.report.parts import Section, Table

TITLE = "Redundancy of feature maps"
# What keeps it cheap: first datasets, first seed of each, first training series.
SHOWN_DATASETS, SHOWN_SERIES = 12, 64


def section(inputs: Inputs) -> Section | str:
    """Base, pretrained and final networks, the mean over datasets whose data are at hand."""
    items = []
    for family in {family.model: family for family in reversed(inputs.families)}.values():
        rows = [row for runs in _chosen(inputs, family) for row in _rows(inputs, runs)]
        if rows:
            items.append(_table(family, pd.DataFrame(rows)))
    if not items:
        return "Needs the saved networks of a pruned run, and its training data on this machine."
    text = (
        "By the DSP authors: sum of cosine similarities between the channels whose norm is above a "
        "series' mean, mean over series, summed over layers; it falls when channels go, alike or "
        "not. Ours: mean absolute correlation between channels, mean over layers. On training "
        "series only."
    )
    return Section("redundancy", TITLE, text, list(items))


def _chosen(inputs: Inputs, family: Family) -> list[dict[str, Any]]:
    """Of each of the first datasets a run of the family, with its base network's beside it."""
    runs = inputs.runs[inputs.runs["fold"] == SPLIT]
    found = []
    for _, of_dataset in runs[runs["method"] == family.method].groupby("dataset"):
        run = of_dataset.iloc[0].to_dict()
        base = runs[
            (runs["method"] == family.roles.get("base"))
            & (runs["dataset"] == run["dataset"])
            & (runs["seed"] == run["seed"])
        ]
        found.append(run | {"base": base["path"].iloc[0] if len(base) else None})
    return found[:SHOWN_DATASETS]


def _rows(inputs: Inputs, run: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a network of the run; none without its networks and data."""
    root = inputs.collection.root
    pruned = Folder(root / run["path"])
    files = {name: pruned.stage(name) for name in ("pretrained", "pruned")}
    files["final"] = pruned.model
    if run["base"] is not None:
        files = {"base": Folder(root / run["base"]).model, **files}
    files = {name: path for name, path in files.items() if path.exists()}
    if "pretrained" not in files or run["archive"] == OWN:
        return []
    wanted = Wanted(run["dataset"], run["archive"])
    here = digests(wanted)
    if here is None or here[0] != run["sha256_train"]:
        return []
    scaling, gaps = run["config.dataset.scaling"], run.get("config.dataset.gaps")
    if not isinstance(gaps, str):  # a record of before there was a choice
        gaps = "interpolate"
    series = load_dataset(wanted, scaling=scaling, gaps=gaps).x_train[:SHOWN_SERIES]
    try:
        return [
            {"dataset": run["dataset"], "network": name} | _measured(path, series)
            for name, path in files.items()
        ]
    except UserError:
        return []  # a damaged network hinders no other part of the report


def _measured(path: Path, series: Any) -> dict[str, float]:
    # Torch takes seconds to import, and little else in a report needs it.
    import torch

    from dsn_lab.analysis.redundancy import cosine_sum, mean_correlation
    from dsn_lab.prune.feature_maps import FeatureMaps
    from dsn_lab.prune.surgery import require_prunable
    from dsn_lab.records.networks import load_network

    network = require_prunable(load_network(path))
    maps = FeatureMaps(network)
    with torch.inference_mode():
        network(torch.from_numpy(series))
    layers = maps.latest
    ours = [mean_correlation(each) for each in layers if each.shape[1] > 1]
    return {
        "authors": sum(float(cosine_sum(each).mean()) for each in layers),
        "ours": sum(ours) / max(1, len(ours)),
        "filters": sum(each.shape[1] for each in layers),
    }


def _table(family: Family, data: pd.DataFrame) -> Table:
    there = set(data["network"])
    order = [name for name in ("base", "pretrained", "pruned", "final") if name in there]
    means = data.groupby("network")[["authors", "ours", "filters"]].mean().loc[order]
    display = pd.DataFrame(
        {
            "network": means.index,
            "filters": [f"{x:.1f}" for x in means["filters"]],
            "sum of cosine similarities (authors)": [f"{x:.1f}" for x in means["authors"]],
            "mean absolute correlation (ours)": [f"{x:.3f}" for x in means["ours"]],
        }
    )
    caption = (
        f"{family.method}: redundancy of feature maps, mean over "
        f"{count(data['dataset'].nunique(), 'dataset')}, one seed each, at most {SHOWN_SERIES} "
        "training series; final: what the run ended with."
    )
    return Table(f"redundancy_{family.model}", caption, display, data)
