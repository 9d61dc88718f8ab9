"""Weights & Biases: one run a cell, offline unless told otherwise, never asking for a login."""

import os
from pathlib import Path
from typing import Any, Literal

import wandb
from lightning.pytorch.loggers import WandbLogger
from pydantic import validate_call

from dsn_lab.errors import UserError
from dsn_lab.records import identity
from dsn_lab.records.cell import Cell
from dsn_lab.registry import loggers


class Run(WandbLogger):
    """A cell's run."""

    def conclude(self, figures: Path, record: dict[str, Any]) -> None:
        """Log the figures, make the record the run's summary, and close the run."""
        for path in sorted(figures.glob("*.png")):
            self.log_image(path.stem, [str(path)])
        self.experiment.summary.update(record)
        wandb.finish()


@loggers.register("wandb")
@validate_call(config={"arbitrary_types_allowed": True})
def make(
    cell: Cell,
    *,
    project: str = "dsn_lab",
    entity: str | None = None,
    mode: Literal["offline", "online"] = "offline",
    tags: list[str] | None = None,
    sweep: str | None = None,
) -> Run:
    """Make the logger of a cell; a cell's run id never changes, so that a resume joins its run.

    Args:
        cell: whose settings are the run's config, and name it; W&B keeps its files below the
            cell's folder, in ``wandb/``.
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
    settings = identity.nested(cell.settings)
    seed, fold = settings["seed"], settings["fold"]
    name = f"{cell.config.dataset.name}-{identity.digest(settings)}-fold{fold}"
    logger = Run(
        project=project,
        entity=entity,
        offline=mode == "offline",
        id=f"{name}-seed{seed}",
        group=name,
        name=f"{name}-seed{seed}",
        resume=None if mode == "offline" else "allow",
        save_dir=cell.folder,
        config=settings,
        tags=[*(tags or []), *filter(None, [sweep])],
    )
    # Lightning starts the run by an environment variable, which the next cell must not find.
    before = os.environ.get("WANDB_MODE")
    _ = logger.experiment
    os.environ.pop("WANDB_MODE", None)
    if before is not None:
        os.environ["WANDB_MODE"] = before
    return logger
