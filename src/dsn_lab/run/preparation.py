"""What is made before training begins: data, network, task, callbacks, trainer."""

import difflib
import inspect
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer, seed_everything

from dsn_lab import registry
from dsn_lab.data.load import Dataset, load_dataset
from dsn_lab.data.module import TimeSeriesData, default_batch_size
from dsn_lab.errors import UserError
from dsn_lab.nn import cost
from dsn_lab.records.networks import pruned_shape
from dsn_lab.records.settings import Config
from dsn_lab.run import epochs, optimization
from dsn_lab.run.task import Classification
from dsn_lab.sparse.layer import SparseConv1d

# What torch, or OMP_NUM_THREADS, takes for all.
CORES = torch.get_num_threads()
# FLOPs of a forward pass, all series of a batch together: HAR's takes 6.5e8, ECG200's 2.4e8. In
# smaller ones threads wait for each other, and on a busy machine for the scheduler.
LARGE_STEP = 4e8
OUR_TRAINER_KEYS = {"logger", "callbacks", "default_root_dir", "plugins"}


@dataclass(frozen=True)
class Prepared:
    """A network that is to be trained, and on what."""

    dataset: Dataset
    data: TimeSeriesData
    task: Classification


def prepare(config: Config) -> Prepared:
    """Load the data and make the network with its loss, optimizer and scheduler.

    Raises:
        UserError: a setting or the data cannot be used.
    """
    dataset = load_dataset(
        config.dataset.wanted,
        data_dir=config.data_dir,
        fold=config.fold,
        scaling=config.dataset.scaling,
    )
    return prepare_on(dataset, config)


def prepare_on(dataset: Dataset, config: Config) -> Prepared:
    """The same on data that are loaded.

    Raises:
        UserError: a setting cannot be used.
    """
    seed_everything(config.seed, verbose=False)
    _, channels, time = dataset.x_train.shape
    n_classes = len(dataset.classes)
    shape = pruned_shape(Path(config.shape_from)) if config.shape_from else {}
    settings = {key: value for key, value in config.model.items() if key not in shape}
    network = registry.networks.make(settings, in_channels=channels, n_classes=n_classes, **shape)
    _require_sensible_kernels(network, time)
    batch_size = config.batch_size or default_batch_size(len(dataset.y_train))
    torch.set_num_threads(config.threads or threads_for(network, (batch_size, channels, time)))
    whole = epochs.possible(config.trainer, config.logger["name"])
    task = (epochs.WholeEpochs if whole else Classification)(
        network,
        n_classes,
        optimization.optimizer(config.optimizer),
        optimization.scheduler(config.scheduler),
    )
    return Prepared(dataset, TimeSeriesData(dataset, batch_size, config.seed), task)


def threads_for(network: torch.nn.Module, batch: tuple[int, int, int]) -> int:
    """CPU threads for steps on batches of a shape ``(batch, channel, time)``."""
    size, channels, time = batch
    return CORES if size * cost.measure(network, channels, time).flops >= LARGE_STEP else 1


def methods(config: Config) -> list[Callback]:
    """The callbacks of the configured methods, in the order in which they act.

    Raises:
        UserError: a setting cannot be used.
    """
    passed_over = {"protocol"}
    return [
        registry.GROUPS[group].make(
            {key: value for key, value in settings.items() if key not in passed_over}
        )
        for group, settings in config.methods()
    ]


def _require_sensible_kernels(network: torch.nn.Module, time: int) -> None:
    """Refuse kernels most of whose taps could never see anything but padding."""
    longest = max(2 * time - 1, 39)
    for module in network.modules():
        if isinstance(module, SparseConv1d) and module.shape[2] > longest:
            raise UserError(
                f"model.kernel_size={module.shape[2]}: series of {time} steps allow at most "
                f"{longest}; taps further out would see nothing but padding"
            )


def trainer(
    given: Mapping[str, Any], folder: Path, callbacks: Sequence[Callback], logger: Any
) -> Trainer:
    """Lightning's Trainer with the arguments given.

    Raises:
        UserError: one of them is none of the Trainer's, or it refuses it.
    """
    quieten()
    known = inspect.signature(Trainer).parameters.keys() - OUR_TRAINER_KEYS
    for key in given.keys() - known:
        near = difflib.get_close_matches(key, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known)}"
        raise UserError(f"trainer.{key}: not a Trainer argument that can be set here; {hint}")
    arguments = {"enable_model_summary": False, "enable_progress_bar": False, **given}
    try:
        return Trainer(
            **arguments,
            callbacks=list(callbacks),
            logger=logger or False,
            default_root_dir=folder,
            # Submitit queues a job again, with everything it was called with; not Lightning.
            plugins=[SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else None,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise UserError(f"trainer: {' '.join(str(error).split())}") from error


def quieten() -> None:
    """Leave out Lightning's advertisements and its warnings about what is done on purpose."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", module="torch")
