"""What is made before training begins: data, network, task, callbacks, trainer."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer, seed_everything
from numpy.typing import NDArray

from dsn_lab import registry
from dsn_lab.data.load import Dataset, load_dataset
from dsn_lab.data.module import TimeSeriesData
from dsn_lab.data.sizes import default_batch_size
from dsn_lab.errors import UserError
from dsn_lab.nn import cost
from dsn_lab.nn.sizes import sizes
from dsn_lab.records.networks import pruned_shape
from dsn_lab.records.settings import Config
from dsn_lab.run import epochs, optimization
from dsn_lab.run.keeping import PlainFiles
from dsn_lab.run.task import Classification
from dsn_lab.run.validation import Patience, Validation, hold_out
from dsn_lab.sparse.layer import SparseConv1d

# What torch, or OMP_NUM_THREADS, takes for all.
CORES = torch.get_num_threads()
# FLOPs of a forward pass, all series of a batch together: HAR's takes 6.5e8, ECG200's 2.4e8. In
# smaller ones threads wait for each other, and on a busy machine for the scheduler.
LARGE_STEP = 4e8


@dataclass(frozen=True)
class Prepared:
    """A network that is to be trained, and on what."""

    dataset: Dataset
    data: TimeSeriesData
    task: Classification
    measuring: Sequence[Callback] = ()  # before weights are chosen


def prepare(config: Config) -> Prepared:
    """Load the data and make the network with its loss, optimizer and scheduler.

    Raises:
        UserError: a setting or the data cannot be used.
    """
    return prepare_on(loaded(config), config)


def loaded(config: Config) -> Dataset:
    """The data as the settings have them.

    Raises:
        UserError: they cannot be used.
    """
    return load_dataset(
        config.dataset.wanted,
        data_dir=config.data_dir,
        fold=config.fold,
        scaling=config.dataset.scaling,
        gaps=config.dataset.gaps,
    )


def prepare_on(dataset: Dataset, config: Config) -> Prepared:
    """The same on data that are loaded.

    Raises:
        UserError: a setting cannot be used.
    """
    seed_everything(config.seed, verbose=False)
    measuring: list[Callback] = []
    if config.validation is not None:
        dataset, held_out = hold_out(dataset, config.validation, config.seed)
        measuring = [Validation(held_out)]
        if config.patience is not None:
            measuring.append(Patience(config.patience))
    _, channels, time = dataset.x_train.shape
    n_classes = len(dataset.classes)
    shape = pruned_shape(Path(config.shape_from)) if config.shape_from else {}
    settings = {key: value for key, value in config.model.items() if key not in shape}
    given = sizes(settings["name"], channels, n_classes, time)
    with _fitting_memory():
        network = registry.networks.make(settings, **given, **shape)
    _require_sensible_kernels(network, time, config.model.get("sparsity"))
    batch_size = config.batch_size or default_batch_size(len(dataset.y_train))
    _require_spread(len(dataset.y_train), batch_size, time)
    torch.set_num_threads(config.threads or threads_for(network, (batch_size, channels, time)))
    whole = epochs.possible(config.trainer, config.logger["name"])
    task = (epochs.WholeEpochs if whole else Classification)(
        network,
        n_classes,
        optimization.optimizer(config.optimizer),
        optimization.scheduler(config.scheduler, config.optimizer["lr"], config.longest_phase),
        class_weights(dataset.y_train) if config.class_weights == "balanced" else None,
    )
    return Prepared(dataset, TimeSeriesData(dataset, batch_size, config.seed), task, measuring)


@contextmanager
def _fitting_memory() -> Iterator[None]:
    """What does not fit into memory is too large a network, and no failure of ours."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "alloc" in str(error):
            raise UserError("model: the network does not fit into memory") from error
        raise


def class_weights(labels: NDArray[np.int64]) -> torch.Tensor:
    """Weights ``n / (n_classes * n_of_class)``: every class counts alike, a series 1 on average."""
    counts = np.bincount(labels)
    return torch.from_numpy(len(labels) / (len(counts) * counts)).float()


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


def _require_sensible_kernels(network: torch.nn.Module, time: int, sparsity: Any) -> None:
    """Refuse kernels that see nothing but padding, and layers without an active weight."""
    longest = max(2 * time - 1, 39)
    for module in network.modules():
        if isinstance(module, SparseConv1d) and sum(module.active) == 0:
            most = sum(module.region_sizes)
            raise UserError(
                f"sparsity={sparsity}: leaves no active weight in a layer of {most} places; lower "
                "it, or make the network wider"
            )
        if isinstance(module, SparseConv1d) and module.shape[2] > longest:
            raise UserError(
                f"model.kernel_size={module.shape[2]}: series of {time} steps allow at most "
                f"{longest}; taps further out would see nothing but padding"
            )


def _require_spread(n_train: int, batch_size: int, time: int) -> None:
    """Refuse batches with one value a channel, of which BatchNorm finds no spread."""
    last = n_train % batch_size or min(batch_size, n_train)
    if time == 1 and 1 in (last, batch_size):
        raise UserError(
            f"batch_size={batch_size}: a batch of the {n_train} training series holds one series "
            "of one step, and BatchNorm needs two values; choose another batch_size"
        )


def trainer(
    given: Mapping[str, Any], folder: Path, callbacks: Sequence[Callback], logger: Any
) -> Trainer:
    """Lightning's Trainer with the arguments given.

    Raises:
        UserError: it refuses one of them.
    """
    quieten()
    arguments = {"enable_model_summary": False, "enable_progress_bar": False, **given}
    # Submitit queues a job again, with everything it was called with; not Lightning.
    on_slurm = [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
    try:
        return Trainer(
            **arguments,
            callbacks=list(callbacks),
            logger=logger or False,
            default_root_dir=folder,
            plugins=[PlainFiles(), *on_slurm],
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise UserError(f"trainer: {' '.join(str(error).split())}") from error


def quieten() -> None:
    """Leave out Lightning's advertisements and its warnings about what is done on purpose."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", module="torch")
