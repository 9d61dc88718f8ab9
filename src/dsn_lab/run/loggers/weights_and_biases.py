"""Weights & Biases: one run a cell, offline unless told otherwise, never asking for a login."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
import wandb
from lightning.pytorch.loggers import WandbLogger
from pydantic import validate_call

from dsn_lab.errors import UserError
from dsn_lab.nn import SparseConv1d
from dsn_lab.records import identity, results
from dsn_lab.records.cell import Cell, Files, Folder
from dsn_lab.records.networks import load_network
from dsn_lab.registry import loggers
from dsn_lab.sparse.receptive_fields import enrf_sizes
from dsn_lab.storage import exists

Mode = Literal["offline", "online", "disabled", "dryrun"]
TOPOLOGY = r"topology/(layer\d+)/(group\d+)/(explored|replaced)"


class Run(WandbLogger):
    """A cell's run."""

    def conclude(self, files: Files, record: Mapping[str, Any]) -> None:
        """Log what the cell has left, make the record the run's summary, and close the run."""
        for path in sorted(files.figures.glob("*.png")):
            self.log_image(path.stem, [str(path)])
        charts = {**_topology(files), **_by_class(files), **_receptive_fields(files)}
        if charts:
            self.experiment.log(charts)
        for kind, path in (("model", files.model), ("predictions", files.predictions)):
            if exists(path):
                artifact = wandb.Artifact(f"{kind}-{self.experiment.id}", kind)
                artifact.add_file(str(path))
                self.experiment.log_artifact(artifact)
        self.experiment.summary.update(dict(record))
        wandb.finish()


@loggers.register("wandb")
@validate_call(config={"arbitrary_types_allowed": True})
def make(
    cell: Cell,
    *,
    project: str = "dsn_lab",
    entity: str | None = None,
    mode: Mode = "offline",
    tags: list[str] | None = None,
    sweep: str | None = None,
) -> Run | None:
    """Make the logger of a cell; a cell's run id never changes, so that a resume joins its run.

    Args:
        cell: whose settings are the run's config, and name it; W&B keeps its files below the
            cell's folder, in ``wandb/``.
        project: W&B project.
        entity: W&B user or team; None is the account's default.
        mode: ``offline`` (W&B also says ``dryrun``) writes files to be synced later and needs no
            account; ``disabled`` logs nothing.
        tags: tags of the run.
        sweep: name of the sweep that the cell belongs to, another tag.

    Raises:
        UserError: ``mode`` is online and nobody is logged in.
    """
    if mode == "disabled":
        return None
    names = {"dataset": cell.config.dataset.name, **cell.names}
    given = [*(tags or []), *filter(None, [sweep])]
    return begun(cell, cell.settings, names, project, entity, mode, given)


def begun(
    files: Files,
    flat: Mapping[str, Any],
    names: Mapping[str, str],
    project: str,
    entity: str | None,
    mode: Mode,
    tags: Sequence[str] = (),
) -> Run:
    """Begin a run, or go on with it.

    Args:
        files: of the cell.
        flat: its settings, with dotted keys.
        names: of ``dataset``, ``model``, ``dst`` and ``dsp``.
        project: W&B project.
        entity: W&B user or team.
        mode: as for :func:`make`, not ``disabled``.
        tags: of the run.

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
    for left in files.folder.glob("wandb/*/tmp"):  # by runs that were killed
        shutil.rmtree(left, ignore_errors=True)
    # A killed run otherwise loses what W&B has not flushed.
    os.environ.setdefault("WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL", "1")
    os.environ.setdefault("WANDB_SILENT", "true")
    settings = identity.nested(flat)
    place = Path(identity.folder(settings, names))
    seedless = f"{names['dataset']}-{identity.digest(settings)}-fold{settings['fold']}"
    logger = Run(
        project=project,
        entity=entity,
        offline=mode != "online",
        id=f"{seedless}-seed{settings['seed']}",
        group=str(place.with_name(f"fold{settings['fold']}")),
        name=str(place),
        resume="allow" if mode == "online" else None,
        save_dir=files.folder,
        config={**settings, **{f"{group}_name": name for group, name in names.items()}},
        tags=list(tags),
    )
    # Lightning starts the run by an environment variable, which the next cell must not find.
    before = os.environ.get("WANDB_MODE")
    experiment = logger.experiment
    # A chart a layer comes at the end; by default W&B would draw one for each of 48 numbers.
    experiment.define_metric("topology/*", hidden=True)
    os.environ.pop("WANDB_MODE", None)
    if before is not None:
        os.environ["WANDB_MODE"] = before
    return logger


def backfill(files: Folder, record: results.Record, project: str, entity: str | None) -> str:
    """Log a finished cell: what a run with ``logger=wandb`` logs, from what the cell has left.

    Args:
        files: of the cell.
        record: its.
        project: W&B project.
        entity: W&B user or team.

    Returns:
        The name of the run.

    Raises:
        UserError: ``WANDB_MODE`` is online and nobody is logged in, or says something else than
            offline; or a file is damaged.
    """
    mode = os.environ.get("WANDB_MODE", "offline")
    if mode not in ("offline", "online", "dryrun"):
        raise UserError(f"WANDB_MODE={mode}: must be offline or online to log anything")
    names = {key: str(record[key]) for key in ("dataset", "model", "dst", "dsp")}
    run = begun(files, identity.recorded(record), names, project, entity, cast(Mode, mode))
    for _, row in _history(files).iterrows():
        logged = row.dropna()
        run.log_metrics(logged.drop("step").to_dict(), int(logged["step"]))
    name = str(run.experiment.name)
    run.conclude(files, record)
    return name


def _history(files: Files) -> pd.DataFrame:
    return pd.read_csv(files.metrics) if exists(files.metrics) else pd.DataFrame()


def _topology(files: Files) -> dict[str, Any]:
    """A chart a layer: what each group has explored and replaced, by epoch."""
    history = _history(files)
    columns = pd.Series(history.columns, dtype=str)
    found = columns.str.extract(TOPOLOGY).dropna()
    charts = {}
    for layer, lines in found.groupby(0):
        rows = history.loc[history[columns[lines.index[0]]].notna()]
        charts[f"topology of {layer}"] = wandb.plot.line_series(
            xs=rows["epoch"].tolist(),
            ys=[rows[columns[index]].tolist() for index in lines.index],
            keys=[f"{group} {what}" for group, what in zip(lines[1], lines[2], strict=True)],
            title=f"{layer}: share of the region explored, of the weights replaced",
            xname="epoch",
        )
    return charts


def _by_class(files: Files) -> dict[str, Any]:
    """Confusion matrix and scores of each class."""
    predicted = files.predicted()
    if predicted is None or not exists(files.by_class):
        return {}
    scores = pd.read_csv(files.by_class, dtype={"class": str}, keep_default_na=False)
    *_, final = (array for name, array in predicted.items() if name != "labels")
    return {
        "confusion matrix": wandb.plot.confusion_matrix(
            y_true=predicted["labels"].tolist(),
            preds=final.argmax(axis=1).tolist(),
            class_names=scores["class"].tolist(),
        ),
        "classes": wandb.Table(dataframe=scores[["class", "n", "precision", "recall", "f1"]]),
    }


def _receptive_fields(files: Files) -> dict[str, Any]:
    """How often each effective neighbour receptive field size occurs, a histogram a layer."""
    if not exists(files.model):
        return {}
    layers = [m for m in load_network(files.model).modules() if isinstance(m, SparseConv1d)]
    histograms = {}
    for index, layer in enumerate(layers, start=1):
        counts = np.bincount(enrf_sizes(layer.mask).flatten().numpy())
        edges = np.arange(len(counts) + 1) - 0.5
        key = f"receptive fields of layer{index}"
        histograms[key] = wandb.Histogram(np_histogram=(counts.tolist(), edges.tolist()))
    return histograms
