"""Weights & Biases: one run a cell, offline unless told otherwise, never asking for a login."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Literal

import wandb
from lightning.pytorch.loggers import WandbLogger
from pydantic import validate_call

from dsn_lab.errors import UserError


@validate_call
def make(
    folder: Path,
    settings: dict[str, Any],
    *,
    project: str = "dsn_lab",
    entity: str | None = None,
    mode: Literal["offline", "online"] = "offline",
    tags: list[str] | None = None,
    sweep: str | None = None,
) -> WandbLogger:
    """Make the logger of a cell; a cell's run id never changes, so that a resume joins its run.

    Args:
        folder: where W&B keeps its files, below ``wandb/``.
        settings: the cell's flat settings, the run's config; without the seed they name its group.
        project: W&B project.
        entity: W&B user or team; None is the account's default.
        mode: ``offline`` writes files to be synced later and needs no account.
        tags: tags of the run.
        sweep: name of the sweep that the cell belongs to, another tag.

    Raises:
        UserError: ``mode`` is online and nobody is logged in.
    """
    if mode == "online" and not wandb.login(prompt=False):
        raise UserError(
            "logger.mode=online: nobody is logged in to W&B; set WANDB_API_KEY or run "
            "'wandb login', or leave it offline and 'wandb sync' later"
        )
    # A cell that failed in this process left its run open, and the logger would go on with it.
    if wandb.run is not None:
        wandb.finish(exit_code=1)
    # A killed run otherwise loses what W&B has not flushed.
    os.environ.setdefault("WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL", "1")
    os.environ.setdefault("WANDB_SILENT", "true")
    config = {key.removeprefix("config."): value for key, value in settings.items()}
    group = {key: value for key, value in config.items() if key != "seed"}
    name = f"{config['dataset.name']}-{_digest(group)}"
    logger = WandbLogger(
        project=project,
        entity=entity,
        offline=mode == "offline",
        id=_digest(config),
        group=name,
        name=f"{name}-seed{config['seed']}",
        resume=None if mode == "offline" else "allow",
        save_dir=folder,
        config=_nested(config),
        tags=[*(tags or []), *filter(None, [sweep])],
    )
    # Lightning starts the run by an environment variable, which the next cell must not find.
    before = os.environ.get("WANDB_MODE")
    _ = logger.experiment
    os.environ.pop("WANDB_MODE", None)
    if before is not None:
        os.environ["WANDB_MODE"] = before
    return logger


def finish(logger: WandbLogger, figures: Path, record: dict[str, Any]) -> None:
    """Log the figures, make the record the run's summary, and close the run."""
    for path in sorted(figures.glob("*.png")):
        logger.log_image(path.stem, [str(path)])
    logger.experiment.summary.update(record)
    wandb.finish()


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys as levels: W&B's panels find a setting by its path, not by a key with a dot."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *path, name = key.split(".")
        level = nested
        for part in path:
            level = level.setdefault(part, {})
        level[name] = value
    return nested


def _digest(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
