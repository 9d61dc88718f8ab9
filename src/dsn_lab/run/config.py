"""From Hydra's composition to a cell: what is registered with Hydra, checked and refused."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from dsn_lab.errors import UserError, described
from dsn_lab.records import identity
from dsn_lab.records.cell import Cell
from dsn_lab.records.settings import Config, Settings
from dsn_lab.registry import import_modules

CHOICES = ("model", "dst", "dsp")
# Not resolved to find a cell's folder: places, some of which are named by it.
PLACES = {"hydra", "output_dir", "results_dir", "data_dir", "logger"}


def cell(cfg: DictConfig, folder: Path, choices: Mapping[str, str]) -> Cell:
    """Resolve and check a composed configuration.

    Args:
        cfg: without Hydra's own part.
        folder: the cell's output folder.
        choices: Hydra's, by group.

    Raises:
        UserError: a value is of the wrong type or out of range.
    """
    try:
        config = Config.model_validate(OmegaConf.to_container(cfg, resolve=True))
    except ValidationError as error:
        raise UserError(described(error)) from error
    except OmegaConfBaseException as error:
        raise UserError(str(error).splitlines()[0]) from error
    return Cell(folder, {group: choices[group] for group in CHOICES}, config)


def unread(cfg: DictConfig, keys: Iterable[str]) -> set[str]:
    """Of settings that were given, those that none of the chosen parts reads.

    What only serves as a source of other settings is replaced by a mark; a setting is read if the
    mark shows in what decides the result.
    """
    marks = {}
    for key in keys:
        if key.partition(".")[0] in identity.SOURCES:
            marked = cfg.copy()
            OmegaConf.update(marked, key, mark := f"<{key}>", force_add=True)
            marks[key] = mark not in str(decisive(marked))
    return {key for key, lost in marks.items() if lost}


def refuse_unread(keys: Iterable[str], choices: Mapping[str, str]) -> None:
    """Raise UserError if there are settings that nothing reads."""
    chosen = ", ".join(f"{group}={choices[group]}" for group in CHOICES)
    for key in sorted(keys):
        raise UserError(f"{key}: nothing reads it with {chosen}; leave it out")


def decisive(cfg: DictConfig) -> Settings:
    """The settings that decide a result, of a composed configuration."""
    root = OmegaConf.create({key: cfg._get_node(key) for key in cfg if key not in PLACES})
    dsp = root.get("dsp")
    if isinstance(dsp, DictConfig) and "pruned_by" in list(dsp):
        with open_dict(dsp):
            del dsp["pruned_by"]  # names a cell itself
    resolved = OmegaConf.to_container(root, resolve=True)
    assert isinstance(resolved, dict)
    return identity.settings_of({str(key): value for key, value in resolved.items()})


def _cell(which: str = "", *, _root_: DictConfig) -> str:
    """The cell's folder, below the folder of all results.

    With ``which="pruned"`` that of the cell which prunes, of the same settings.
    """
    import_modules(list(_root_.imports))
    settings = decisive(_root_)
    choices = dict(HydraConfig.get().runtime.choices)
    if which == "pruned":
        choices["dsp"] = "default"
        settings["dsp"] = settings["dsp"] | {"name": "structured_pruning", "shape_from": None}
    return identity.folder(settings, choices)


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
