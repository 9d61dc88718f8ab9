"""Train a network by the protocol and test it once."""

import difflib
import inspect
import logging
import pickle
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer, seed_everything
from pydantic import ValidationError

from dsn_lab.data.load import load_dataset
from dsn_lab.data.module import TimeSeriesData, default_batch_size
from dsn_lab.errors import UserError
from dsn_lab.figures import run as plots
from dsn_lab.kernels import KernelUnavailableError
from dsn_lab.nn import DSN, SparseConv1d, cost
from dsn_lab.prune.callback import StructuredPruning
from dsn_lab.prune.outcome import outcome
from dsn_lab.records import results
from dsn_lab.records.networks import MODEL, pruned_shape, save_network
from dsn_lab.run import wandb_logger
from dsn_lab.run.config import Config, Settings, describe
from dsn_lab.run.evaluate import test_each
from dsn_lab.run.keeping import BestWeights, History, LastState
from dsn_lab.run.progress import Progress
from dsn_lab.run.task import Classification

log = logging.getLogger(__name__)

OUR_TRAINER_KEYS = {"logger", "callbacks", "default_root_dir", "plugins"}


def train_and_test(config: Config, folder: Path, settings: Settings) -> results.Record:
    """Train on the training set, test once with the weights of lowest training loss.

    Args:
        config: the cell's checked settings.
        folder: where checkpoint, metrics, figures and weights go; a checkpoint there is resumed.
        settings: the settings that decide the result, to be kept in the checkpoint.

    Returns:
        What was measured, flat.

    Raises:
        UserError: a setting or the data cannot be used, the checkpoint is damaged or of other
            settings, or training diverged.
    """
    quieten()
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    dataset = load_dataset(
        config.dataset.wanted,
        data_dir=config.data_dir,
        fold=config.fold,
        scaling=config.dataset.scaling,
    )
    seed_everything(config.seed, verbose=False)
    _, channels, time = dataset.x_train.shape
    n_classes = len(dataset.classes)
    shape = pruned_shape(Path(config.dsp["shape_from"])) if "shape_from" in config.dsp else {}
    network = _make(config.model, "model", in_channels=channels, n_classes=n_classes, **shape)
    _require_sensible_kernels(network, time)
    batch_size = config.batch_size or default_batch_size(len(dataset.y_train))
    data = TimeSeriesData(dataset, batch_size, config.seed)
    task = Classification(
        network,
        n_classes,
        _make(config.optimizer, "optimizer"),
        _make(config.scheduler, "scheduler"),
    )
    best, history = BestWeights(), History()
    last = LastState(folder, history, settings)
    logger = _make(config.logger, "logger", folder=folder, settings=settings)
    dst: Callback | None = _make(config.dst, "dst")
    dsp: StructuredPruning | None = _make(config.dsp, "dsp", best=best)
    # In this order: the best weights are those that reached the loss, before any topology update.
    callbacks = [c for c in (best, dst, dsp, Progress(), history, last) if c is not None]
    trainer = _trainer(config.trainer, folder, callbacks, logger)

    checkpoint = _checkpoint_to_resume(last.checkpoint, settings)
    log.info(
        "%s: %d series of %d channels x %d steps, %d classes; %d threads",
        dataset.name,
        len(dataset.y_train),
        channels,
        time,
        n_classes,
        torch.get_num_threads(),
    )
    _fit(trainer, task, data, checkpoint, folder)
    if not best.weights:
        raise UserError(
            "the training loss was never a finite number: lower optimizer.lr or check the data"
        )
    network = task.network
    network.load_state_dict(best.weights)
    stages: dict[str, Any] = {"trained": network} if dsp is None else dsp.stages(network)
    tested = test_each(trainer, task, data, stages, folder, recalibrate=config.recalibrate)
    history.write_csv(last.metrics)
    *before, final = stages
    for name in before:
        save_network(folder / f"{name}.pt", config.model, stages[name], dataset)
    save_network(folder / MODEL, config.model, stages[final], dataset)
    plots.draw(network, history.rows, folder / "figures")
    pruned = {} if dsp is None else outcome(dsp, stages, tested, data, folder)
    sample = torch.empty(1, channels, time, device=task.device)
    best_row = history.rows[best.epoch]
    record = {
        "sparsity": float(config.model.get("sparsity", 0.0)),
        "seed": config.seed,
        "fold": config.fold,
        "epochs": trainer.current_epoch,
        "protocol_epochs": config.protocol_epochs * (4 if dsp else 3) // 3,
        **tested[final],
        **pruned,
        "best_epoch": best.epoch,
        "train_loss": best.loss,
        "train_accuracy": best_row["train_accuracy"],
        **vars(cost.measure(network, channels, time)),
        "fit_seconds": history.seconds,
        "batch_size": batch_size,
        "n_train": len(dataset.y_train),
        "n_test": len(dataset.y_test),
        "n_channels": channels,
        "length": time,
        "n_classes": n_classes,
        "archive": dataset.archive,
        **dataset.facts,
        "threads": torch.get_num_threads(),
        "backend": "packed" if isinstance(network, DSN) and network.is_packed(sample) else "dense",
        "device": str(trainer.strategy.root_device),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
    }
    if logger is not None:
        wandb_logger.finish(logger, folder / "figures", record)
    return record


def _make(node: Mapping[str, Any], name: str, **arguments: Any) -> Any:
    """Instantiate what a configuration node names, or explain which of its settings is wrong."""
    if node["_target_"] is None:
        return None
    try:
        return instantiate(node, **arguments)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ValidationError):
            raise UserError(describe(cause, f"{name}.")) from error
        if isinstance(cause, UserError):
            raise cause from None
        raise UserError(f"{name}: {cause or error}".splitlines()[0]) from error


def _require_sensible_kernels(network: torch.nn.Module, time: int) -> None:
    """Refuse kernels most of whose taps could never see anything but padding."""
    longest = max(2 * time - 1, 39)
    for module in network.modules():
        if isinstance(module, SparseConv1d) and module.shape[2] > longest:
            raise UserError(
                f"model.kernel_size={module.shape[2]}: series of {time} steps allow at most "
                f"{longest}; taps further out would see nothing but padding"
            )


def _trainer(
    given: Mapping[str, Any], folder: Path, callbacks: list[Callback], logger: Any
) -> Trainer:
    known = inspect.signature(Trainer).parameters.keys() - OUR_TRAINER_KEYS
    for key in given.keys() - known:
        near = difflib.get_close_matches(key, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known)}"
        raise UserError(f"trainer.{key}: not a Trainer argument that can be set here; {hint}")
    arguments: Settings = {"enable_model_summary": False, "enable_progress_bar": False, **given}
    try:
        return Trainer(
            **arguments,
            callbacks=callbacks,
            logger=logger or False,
            default_root_dir=folder,
            # Submitit queues a job again, with everything it was called with; not Lightning.
            plugins=[SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else None,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise UserError(f"trainer: {' '.join(str(error).split())}") from error


def _checkpoint_to_resume(path: Path, settings: Settings) -> Path | None:
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        stored = state["callbacks"]["LastState"]["settings"]
    except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise UserError(f"{path} is damaged; force=true runs the cell anew") from error
    results.require_same(stored, settings, path.parent)
    log.info("resuming after epoch %d from %s", state["epoch"], path)
    return path


def _fit(
    trainer: Trainer,
    task: Classification,
    data: TimeSeriesData,
    checkpoint: Path | None,
    folder: Path,
) -> None:
    try:
        trainer.fit(task, data, ckpt_path=checkpoint, weights_only=True)
    except KernelUnavailableError as error:
        raise UserError(f"model.backend=packed: {error}") from error
    except SystemExit:
        if not trainer.interrupted:
            raise
        log.info("interrupted; the same command resumes from %s", folder)
        sys.exit(143 if trainer.received_sigterm else 130)
    except Exception as error:
        # SLURM ends all processes of a job at once: if W&B's is the first to go, its error is not
        # the cell's result.
        if trainer.received_sigterm:
            raise SystemExit(143) from error
        raise


def quieten() -> None:
    """Leave out Lightning's advertisements and its warnings about what is done on purpose."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", module="torch")
