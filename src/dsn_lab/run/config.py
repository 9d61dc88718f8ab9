"""The settings of a cell: what is known, in which range, and the cell's name."""

import hashlib
import json
from typing import Annotated, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError
from typing_extensions import TypedDict

from dsn_lab.errors import UserError
from dsn_lab.run.dataset import DatasetConfig
from dsn_lab.run.dataset import register as register  # noqa: PLC0414, what callers know it by

# Where and how a cell is computed; everything else is what is computed.
RUNTIME_KEYS = {"output_dir", "results_dir", "data_dir", "force", "dry_run", "logger", "threads"}
RUNTIME_TRAINER_KEYS = {"accelerator", "devices", "num_nodes", "enable_progress_bar", "profiler"}
# What other settings refer to; those count.
SOURCES_OF_DEFAULTS = {"archive_defaults", "sparse_layers", "penalty_weights", "sparsity"}
# What dsp=scratch, which prunes nothing itself, takes its shape from.
PRUNING = "dsn_lab.prune.callback.StructuredPruning"

Settings = dict[str, Any]


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OptimizerConfig(TypedDict):
    """What makes the optimizer; further keys are its own arguments."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    lr: Annotated[float, Field(gt=0)]


class TrainerConfig(TypedDict):
    """Arguments of Lightning's Trainer."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    max_epochs: PositiveInt


class Config(_Checked):
    """A composed configuration with its ranges checked; nested parts are checked by whom they make.

    ``model``, ``dst``, ``dsp``, ``optimizer``, ``scheduler`` and ``logger`` name what they make in
    ``_target_``; ``trainer`` holds arguments of Lightning's Trainer.
    """

    dataset: DatasetConfig
    model: Settings
    dst: Settings
    dsp: Settings
    optimizer: OptimizerConfig
    scheduler: Settings
    trainer: TrainerConfig
    logger: Settings
    sparsity: Annotated[float, Field(ge=0, lt=1)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    fold: Annotated[int, Field(ge=0)]
    batch_size: PositiveInt | None
    threads: PositiveInt | None
    data_dir: str | None
    results_dir: str
    output_dir: str
    force: bool
    dry_run: bool
    recalibrate: bool
    protocol_epochs: PositiveInt
    penalty_weights: list[float] | None
    archive_defaults: Settings
    sparse_layers: Settings

    @property
    def epochs(self) -> int:
        """All epochs, those of fine-tuning among them."""
        prunes = self.dsp["_target_"] is not None
        return self.trainer["max_epochs"] + (self.dsp["finetune_epochs"] if prunes else 0)


def checked(cfg: DictConfig) -> Config:
    """Resolve and check a composed configuration.

    Raises:
        UserError: a value is of the wrong type or out of range.
    """
    try:
        return Config.model_validate(OmegaConf.to_container(cfg, resolve=True))
    except ValidationError as error:
        raise UserError(describe(error)) from error
    except OmegaConfBaseException as error:
        raise UserError(str(error).splitlines()[0]) from error


def describe(error: ValidationError, prefix: str = "") -> str:
    """Say in one line which values are wrong and what they must be."""
    return "; ".join(
        f"{prefix}{'.'.join(map(str, wrong['loc']))}={wrong['input']}: "
        + wrong["msg"]
        .replace("Input should be", "must be")
        .replace("Extra inputs are not permitted", "there is no such setting")
        for wrong in error.errors()
    )


def method_settings(cfg: Any) -> Settings:
    """All settings that decide a result, of a resolved configuration, without fold and seed."""
    settings = {key: value for key, value in cfg.items() if key not in RUNTIME_KEYS}
    for key in {*SOURCES_OF_DEFAULTS, "seed", "fold"}:
        settings.pop(key, None)
    # A dataset of an archive leaves out what own data have, as results of old do.
    settings["dataset"] = {k: v for k, v in settings["dataset"].items() if v is not None}
    settings["dsp"] = {key: value for key, value in settings["dsp"].items() if key != "shape_from"}
    settings["dst"] = {key: value for key, value in settings["dst"].items() if key != "seed"}
    settings["model"] = {k: value for k, value in settings["model"].items() if k != "backend"}
    settings["trainer"] = {
        key: value for key, value in settings["trainer"].items() if key not in RUNTIME_TRAINER_KEYS
    }
    return settings


def _cell(which: str = "", *, _root_: DictConfig) -> str:
    """The cell's folder: dataset / method and a digest of its settings / fold and seed.

    With ``which="pruned"`` that of the cell which prunes, of the same settings.
    """
    root = OmegaConf.create(
        {key: _root_._get_node(key) for key in _root_ if key not in {"hydra", *RUNTIME_KEYS}}
    )
    if "shape_from" in root.dsp.keys():  # noqa: SIM118, which would resolve it
        with open_dict(root):
            del root.dsp["shape_from"]  # names a cell itself
    resolved = OmegaConf.to_container(root, resolve=True)
    assert isinstance(resolved, dict)
    choices = dict(HydraConfig.get().runtime.choices)
    if which == "pruned":
        choices["dsp"] = "default"
        resolved["dsp"]["_target_"] = PRUNING
    settings = method_settings(resolved)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    parts = [choices["model"]]
    parts += [choices["dst"]] if choices["dst"] != "none" else []
    parts += [f"dsp-{choices['dsp']}"] if choices["dsp"] != "none" else []
    parts += [f"S{settings['model']['sparsity']}"] if "sparsity" in settings["model"] else []
    return (
        f"{settings['dataset']['name']}/{'-'.join(parts)}-{digest}/fold{resolved['fold']}-"
        f"seed{resolved['seed']}"
    )


# On import, because workers of a sweep import this and call nothing.
OmegaConf.register_new_resolver("cell", _cell, replace=True)
OmegaConf.register_new_resolver("one_third", lambda epochs: max(1, epochs // 3), replace=True)


def cell_settings(config: Config) -> Settings:
    """The settings that decide a cell's result, nested, with fold and seed."""
    return method_settings(config.model_dump()) | {"fold": config.fold, "seed": config.seed}
