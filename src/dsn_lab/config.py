"""The settings of a cell: what is known, in which range, and the cell's name."""

import hashlib
import json
from typing import Annotated, Any, Literal

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError
from typing_extensions import TypedDict

from dsn_lab.data import names
from dsn_lab.errors import UserError

# Where and how a cell is computed; everything else is what is computed.
RUNTIME_KEYS = {"output_dir", "results_dir", "data_dir", "force", "dry_run", "logger", "threads"}
RUNTIME_TRAINER_KEYS = {"accelerator", "devices", "num_nodes", "enable_progress_bar", "profiler"}

Settings = dict[str, Any]


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatasetConfig(_Checked):
    """Which dataset and how its values are scaled."""

    name: str
    archive: Literal["UCR", "UEA", "UCI"]
    scaling: Literal["none", "train"]


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

    ``model``, ``dst``, ``optimizer``, ``scheduler`` and ``logger`` name what they make in
    ``_target_``; ``trainer`` holds arguments of Lightning's Trainer.
    """

    dataset: DatasetConfig
    model: Settings
    dst: Settings
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
    archive_defaults: Settings


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
    for key in ("archive_defaults", "sparsity", "seed", "fold"):
        settings.pop(key, None)
    settings["dst"] = {key: value for key, value in settings["dst"].items() if key != "seed"}
    settings["model"] = {k: value for k, value in settings["model"].items() if k != "backend"}
    settings["trainer"] = {
        key: value for key, value in settings["trainer"].items() if key not in RUNTIME_TRAINER_KEYS
    }
    return settings


def _cell(*, _root_: DictConfig) -> str:
    """The cell's folder: dataset / method and a digest of its settings / fold and seed."""
    root = {key: _root_._get_node(key) for key in _root_ if key not in {"hydra", *RUNTIME_KEYS}}
    resolved = OmegaConf.to_container(OmegaConf.create(root), resolve=True)
    assert isinstance(resolved, dict)
    settings = method_settings(resolved)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    choices = HydraConfig.get().runtime.choices
    method = f"{choices['model']}-{choices['dst']}-S{settings['model'].get('sparsity', 0)}"
    return (
        f"{settings['dataset']['name']}/{method}-{digest}/fold{resolved['fold']}-"
        f"seed{resolved['seed']}"
    )


def register() -> None:
    """Make every dataset a choice of the group ``dataset``."""
    store = ConfigStore.instance()
    for archive, members in (("UCR", names.UCR), ("UEA", names.UEA), ("UCI", names.UCI)):
        for name in members:
            scaling = f"${{archive_defaults.{archive}.scaling}}"
            node = {"name": name, "archive": archive, "scaling": scaling}
            store.store(group="dataset", name=name, node=node, provider="dsn_lab")


# On import, because workers of a sweep import this and call nothing.
OmegaConf.register_new_resolver("cell", _cell, replace=True)


def cell_settings(config: Config) -> Settings:
    """The settings that decide a cell's result, nested, with fold and seed."""
    return method_settings(config.model_dump()) | {"fold": config.fold, "seed": config.seed}
