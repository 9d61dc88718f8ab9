"""The first form of results: their digests are still taken of it, and their records still read.

It named classes by their Python paths. What stands here is frozen: names of things that were, by
which folders, checkpoints and networks of that time are recognised, wherever the classes are now.
"""

from collections.abc import Mapping
from typing import Any

TARGET, PARTIAL = "_target_", "_partial_"

# By group and name, what a choice was called.
PATHS: Mapping[str, Mapping[str, str]] = {
    "model": {
        "dsn": "dsn_lab.nn.DSN",
        "lite": "dsn_lab.nn.LITE",
        "inception": "dsn_lab.nn.Inception",
    },
    "dst": {"dynamic_sparse_training": "dsn_lab.sparse.callback.DynamicSparseTraining"},
    "dsp": {"structured_pruning": "dsn_lab.prune.callback.StructuredPruning"},
    "optimizer": {"Adam": "torch.optim.Adam"},
    "scheduler": {
        "CosineAnnealingLR": "torch.optim.lr_scheduler.CosineAnnealingLR",
        "ReduceLROnPlateau": "torch.optim.lr_scheduler.ReduceLROnPlateau",
    },
}
TORCH = {"optimizer": "torch.optim.", "scheduler": "torch.optim.lr_scheduler."}

# The settings that there were: these have always been part of the digest.
KEYS = frozenset(
    f"{group}.{setting}" if group else setting
    for group, settings in {
        "": ("batch_size", "fold", "protocol_epochs", "recalibrate", "seed"),
        "dataset": ("archive", "name", "scaling"),
        "model": (
            *("name", "depth", "groups", "kernel_size", "padding", "sparsity", "start"),
            *("width", "widths"),
        ),
        "dst": ("name", "alpha", "alpha_end", "growth", "stop", "update_every"),
        "dsp": (
            *("name", "finetune_epochs", "layer_weights", "penalty", "recalibrate"),
            *("reduction", "tau"),
        ),
        "optimizer": ("name", "fused", "lr"),
        "scheduler": (
            *("name", "T_max", "eta_min", "factor", "min_lr", "patience"),
            *("threshold", "threshold_mode"),
        ),
        "trainer": ("max_epochs",),
    }.items()
    for setting in settings
)


def digested(settings: Mapping[str, Any], *, typed: bool) -> dict[str, Any]:
    """Settings, nested, as the first digests had them: with paths for names, and no fold and seed.

    A choice that has come since keeps its name. The first digests were of numbers as they were
    ``typed``; otherwise the one that was usually typed with a point has one.
    """
    result: dict[str, Any] = {}
    for group, given in settings.items():
        if group in ("fold", "seed"):
            continue
        if group not in PATHS or not isinstance(given, Mapping):
            result[group] = given
            continue
        name = given["name"]
        path = PATHS[group].get(name, name and TORCH.get(group, "") + name)
        result[group] = {key: each for key, each in given.items() if key != "name"}
        result[group][TARGET] = path
        if group in TORCH:
            result[group][PARTIAL] = True
    model = result.get("model", {})
    if isinstance(model.get("sparsity"), int) and not typed:
        result["model"] = model | {"sparsity": float(model["sparsity"])}
    return result


def renamed(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a record or checkpoint, flat with dotted keys, with names for paths."""
    result = {}
    for key, value in flat.items():
        group, _, last = key.rpartition(".")
        if last == PARTIAL:
            continue
        if last == TARGET:
            result[f"{group}.name"] = name(group.rpartition(".")[2], value)
        else:
            result[key] = value
    return result


def name(group: str, path: str | None) -> str | None:
    """The name of what was called by a path; other paths stay, and are registered by nobody."""
    names = {old: new for new, old in PATHS.get(group, {}).items()}
    prefix = TORCH.get(group)
    if path is not None and path not in names and prefix and path.startswith(prefix):
        return path.removeprefix(prefix)
    return names.get(path, path) if path is not None else None
