"""Train a network by the protocol and test it once."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path

import lightning
import torch
from lightning.pytorch import Trainer
from torch import nn

from dsn_lab import registry
from dsn_lab.errors import UserError
from dsn_lab.figures import run as figures
from dsn_lab.nn import cost
from dsn_lab.records import identity, results
from dsn_lab.records.cell import Cell
from dsn_lab.records.networks import save_network
from dsn_lab.records.provenance import provenance
from dsn_lab.run import inference
from dsn_lab.run.evaluate import shape_of, test_each
from dsn_lab.run.keeping import History, LastState
from dsn_lab.run.loop import Trained, loop_of, train
from dsn_lab.run.preparation import Prepared, methods, prepare, trainer
from dsn_lab.run.progress import Progress
from dsn_lab.run.stages import Choosy, Tested
from dsn_lab.run.validation import validated
from dsn_lab.sparse.layer import last_backend
from dsn_lab.storage import DamagedError, read_torch

log = logging.getLogger(__name__)


def prepare_and_try(cell: Cell) -> Prepared:
    """Make what training needs, and what can only be made later once in vain.

    Raises:
        UserError: a setting or the data cannot be used.
    """
    prepared = prepare(cell.config)
    asked = methods(cell.config)
    for method in asked:
        if isinstance(method, Choosy):
            method.require_usable(prepared.task.network)
    trainer(cell.config.trainer, cell.folder, [], None)
    return prepared


def train_and_test(cell: Cell, prepared: Prepared) -> results.Record:
    """Train on the training set, test once with the weights of lowest loss.

    Checkpoint, metrics, figures and weights go to the cell's folder; a checkpoint there is resumed.

    Args:
        cell: whose folder is there.
        prepared: by :func:`prepare_and_try`.

    Returns:
        What was measured, flat.

    Raises:
        UserError: a setting or the data cannot be used, the checkpoint is damaged or of another
            run, or training diverged.
    """
    data, task, facts = prepared.data, prepared.task, prepared.dataset.facts
    history = History()
    digests = {key: str(facts[key]) for key in results.DATA}
    last = LastState(cell, history, {"settings": cell.recorded, "data": digests})
    logger = None
    if cell.config.logger["name"] is not None:
        logger = registry.loggers.make(cell.config.logger, cell=cell)
    loop = loop_of(prepared, cell.config, cell.folder, [Progress(), history, last], logger)
    checkpoint = _checkpoint_to_resume(cell, digests)
    log.info(
        "%s: %d series of %d channels x %d steps, %d classes; %d threads",
        prepared.dataset.name,
        *prepared.dataset.x_train.shape,
        len(prepared.dataset.classes),
        torch.get_num_threads(),
    )
    trained = _fit(loop, prepared, checkpoint, cell.folder)
    best, staged, stages = trained.best, trained.staged, trained.stages
    *_, final = stages
    measures = test_each(loop, task, data, stages, cell, recalibrate=cell.config.recalibrate)
    history.write_csv(cell.metrics)
    for name, network in stages.items():
        path = cell.model if name == final else cell.stage(name)
        origin = {**cell.origin, **digests, "stage": name, **provenance()}
        save_network(path, cell.config.model, network, prepared.dataset, origin)
    figures.draw(task.network, history.rows, best.epoch, cell.figures)
    tested = Tested(stages, measures, data, cell)
    record = {
        "sparsity": float(cell.config.model.get("sparsity", 0.0)),
        "seed": cell.config.seed,
        "fold": cell.config.fold,
        "epochs": loop.current_epoch,
        "protocol_epochs": cell.config.epochs_of_protocol,
        **measures[final],
        "best_epoch": best.epoch,
        "train_loss": best.loss,
        "train_accuracy": history.rows[best.epoch]["train_accuracy"],
        **validated(history.rows[best.epoch]),
        **{key: value for each in staged for key, value in each.findings(tested).items()},
        "fit_seconds": history.seconds,
        **inference.measure(inference.of_network(task.network), data.dataset.x_test),
        "model_bytes": cell.model.stat().st_size,
        **_sizes(prepared, task.network),
        "threads": torch.get_num_threads(),
        "device": str(loop.strategy.root_device),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
    }
    if logger is not None:
        logger.conclude(cell, record)
    return record


def _sizes(prepared: Prepared, network: nn.Module) -> results.Record:
    """What the data and the network are like."""
    dataset = prepared.dataset
    _, channels, time = dataset.x_train.shape
    return {
        **vars(cost.measure(network, channels, time)),
        "backend": last_backend(network),
        "batch_size": prepared.data.batch_size,
        **shape_of(dataset),
    }


def _checkpoint_to_resume(cell: Cell, data: Mapping[str, str]) -> Path | None:
    path = cell.checkpoint
    if not results.resumable(cell):
        return None
    try:
        epoch = _require_own(cell, data)
    except UserError:
        if not cell.config.force:
            raise
        return None
    log.info("resuming after epoch %d from %s", epoch, path)
    return path


def _require_own(cell: Cell, data: Mapping[str, str]) -> int:
    """The epoch of a cell's checkpoint.

    Raises:
        UserError: it is damaged, or of other settings or data.
    """
    try:
        state = read_torch(cell.checkpoint)
        kept = state["callbacks"]["LastState"]
        stored, epoch = identity.recorded(kept["settings"]), int(state["epoch"])
    except (DamagedError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{cell.checkpoint} is damaged; force=true runs the cell anew") from error
    results.require_same(stored, cell.settings, cell.folder)
    results.require_same_data(kept.get("data", {}), data, cell.folder)
    return epoch


def _fit(loop: Trainer, prepared: Prepared, checkpoint: Path | None, folder: Path) -> Trained:
    try:
        return train(loop, prepared, checkpoint)
    except SystemExit:
        if not loop.interrupted:
            raise
        log.info("interrupted; the same command resumes from %s", folder)
        sys.exit(143 if loop.received_sigterm else 130)
    except UserError:
        raise
    except Exception as error:
        # SLURM ends all processes of a job at once: if W&B's is the first to go, its error is not
        # the cell's result.
        if loop.received_sigterm:
            raise SystemExit(143) from error
        raise
