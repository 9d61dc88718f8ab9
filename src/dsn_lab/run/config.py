"""From Hydra's composition to a cell: what is registered with Hydra, checked and refused."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict
from pydantic import ValidationError

from dsn_lab.data.wanted import OWN
from dsn_lab.errors import UserError, described
from dsn_lab.records import identity
from dsn_lab.records.cell import Cell, deciding
from dsn_lab.records.settings import Config, Settings
from dsn_lab.registry import import_modules

CHOICES = ("model", "dst", "dsp")
# Not resolved to find a cell's folder: places, some of which are named by it.
PLACES = {"hydra", "output_dir", "results_dir", "data_dir", "logger"}
MARK = "<unread>"
# Settings that one of single runs and sweeps would not read.
SINGLE_ONLY = {
    "output_dir": "in a sweep each cell has its own folder; give results_dir=",
    "hydra.run": "a sweep has no use for it; give results_dir=",
}
SWEEP_ONLY = {
    "hydra/launcher": "only a sweep is launched; give -m (--multirun), too",
    "hydra.launcher": "only a sweep is launched; give -m (--multirun), too",
    "hydra/sweeper": "only a sweep has a sweeper; give -m (--multirun), too",
    "hydra.sweeper": "only a sweep has a sweeper; give -m (--multirun), too",
    "hydra.run": "give output_dir=",
}


def cell(cfg: DictConfig, folder: Path, choices: Mapping[str, str]) -> Cell:
    """Resolve and check a composed configuration.

    Args:
        cfg: without Hydra's own part.
        folder: the cell's output folder.
        choices: Hydra's, by group.

    Raises:
        UserError: a value is of the wrong type or out of range.
    """
    names = {group: choices[group] for group in CHOICES}
    return Cell(folder, names, checked(OmegaConf.to_container(cfg, resolve=True)))


def checked(composed: Any) -> Config:
    """A resolved configuration, its ranges checked.

    Raises:
        UserError: a value is of the wrong type or out of range.
    """
    try:
        return Config.model_validate(composed)
    except ValidationError as error:
        raise UserError(described(error)) from error


def unread(cfg: DictConfig, keys: Iterable[str]) -> set[str]:
    """Of settings that were given, those that none of the chosen parts reads.

    What only serves as a source of other settings is replaced by a mark; a setting is read if the
    mark shows in what decides the result, or if the value is the one that is used anyway.
    """
    return {key for key in keys if _is_lost(cfg, key)}


def _is_lost(cfg: DictConfig, key: str) -> bool:
    group, _, setting = key.partition(".")
    if group in identity.SOURCES:
        used = decisive(cfg)["model"].get(key.rpartition(".")[2], MARK)
        if identity.canonical(OmegaConf.select(cfg, key)) == used:
            return False
        marked = cfg.copy()
        OmegaConf.update(marked, key, MARK, force_add=True)
        return MARK not in str(decisive(marked))
    if group in identity.OF_TRAINING and identity.is_fitted(cfg.model.name):
        return True
    if group in ("dst", "dsp", "logger") and setting and cfg[group].name is None:
        # dsp=scratch prunes nothing, but what would prune says which shape it takes.
        return "pruned_by" not in list(cfg[group])
    return False


def refuse_unread(keys: Iterable[str], choices: Mapping[str, str]) -> None:
    """Raise UserError if there are settings that nothing reads."""
    chosen = ", ".join(f"{group}={choices[group]}" for group in CHOICES)
    for key in sorted(keys):
        raise UserError(f"{key}: nothing reads it with {chosen}; leave it out")


def refuse_misplaced(given: Iterable[str], *, in_sweep: bool) -> None:
    """Raise UserError for settings that only a single run reads, or only a sweep."""
    misplaced = SINGLE_ONLY if in_sweep else SWEEP_ONLY
    for key in sorted(given):
        for begins, what_to_do in misplaced.items():
            if key == begins or key.startswith(f"{begins}."):
                raise UserError(f"{key}: {what_to_do}")


def refuse_half_a_sweep(sweep: str, varied: Iterable[str], given: Collection[str]) -> None:
    """Raise UserError for +sweep= in a single run that does not set all that the sweep varies.

    W&B's agents run a sweep's cells one by one, each with everything set.
    """
    if left := [key for key in varied if key not in given]:
        raise UserError(f"sweep={sweep}: it varies {', '.join(left)}, which needs -m (--multirun)")


def refuse_contradictions(
    cfg: DictConfig, given: Iterable[str], choices: Mapping[str, str]
) -> None:
    """Raise UserError if a name or archive was given that is not the chosen dataset's."""
    if cfg.dataset.archive == OWN and "dataset.archive" not in given:
        return
    for key in sorted({"dataset.name", "dataset.archive"} & set(given)):
        raise UserError(
            f"{key}={OmegaConf.select(cfg, key)}: dataset={choices['dataset']} says it already; "
            "choose a dataset by dataset=NAME"
        )


def decisive(cfg: DictConfig, *, typed: bool = False) -> Settings:
    """The settings that decide a result, of a composed configuration that need not be checked."""
    return identity.settings_of(_resolved(cfg), typed=typed)


def _resolved(cfg: DictConfig) -> Settings:
    """A composed configuration without what is named by a cell's folder itself."""
    root = OmegaConf.create({key: cfg._get_node(key) for key in cfg if key not in PLACES})
    dsp = root.get("dsp")
    if isinstance(dsp, DictConfig) and "pruned_by" in list(dsp):
        with open_dict(dsp):
            del dsp["pruned_by"]
    resolved = OmegaConf.to_container(root, resolve=True)
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def _cell(which: str = "", *, _root_: DictConfig) -> str:
    """The cell's folder, below the folder of all results.

    With ``which="pruned"`` that of the cell which prunes, of the same settings. The first results
    were named after numbers as they were typed; where such a folder is, it is the cell's.
    """
    import_modules(list(_root_.imports))
    choices = dict(HydraConfig.get().runtime.choices)
    places: Settings = dict.fromkeys(("output_dir", "results_dir"), "there")
    places |= {"data_dir": _root_.data_dir, "logger": {}}
    settings = deciding(checked(_resolved(_root_) | places))
    typed = decisive(_root_, typed=True)
    if which == "pruned":
        choices["dsp"] = "default"
        for each in (settings, typed):
            each["dsp"] = each["dsp"] | {"name": "structured_pruning", "shape_from": None}
    found = identity.folder(settings, choices)
    first = identity.folder(typed, choices, typed=True)
    there = [Path(HydraConfig.get().sweep.dir, each).parent.exists() for each in (found, first)]
    return first if there == [False, True] else found


def mentioned(overrides: Iterable[Any]) -> set[str]:
    """The keys of command line overrides, as text or parsed."""
    return {str(getattr(o, "key_or_group", o)).partition("=")[0].lstrip("+~") for o in overrides}


# On import, because workers of a sweep import this and call nothing.
OmegaConf.register_new_resolver("cell", _cell, replace=True)
OmegaConf.register_new_resolver(
    "when", lambda condition, value, otherwise: value if condition else otherwise, replace=True
)
OmegaConf.register_new_resolver("equal", lambda one, other: one == other, replace=True)
OmegaConf.register_new_resolver("one_third", lambda epochs: max(1, epochs // 3), replace=True)
