"""Fit a classifier that is no network, and test it once: the same cell, folds, record and files."""

import logging
import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from dsn_lab.data.load import Dataset
from dsn_lab.errors import UserError
from dsn_lab.records import results
from dsn_lab.records.cell import Cell
from dsn_lab.registry import classifiers, loggers
from dsn_lab.run import inference
from dsn_lab.run.evaluate import measures, shape_of, write_predictions
from dsn_lab.run.preparation import loaded

log = logging.getLogger(__name__)

SMALLEST = 1e-7  # a probability of 0 has no logarithm


@dataclass(frozen=True)
class Prepared:
    """A classifier that is to be fitted, and on what."""

    dataset: Dataset
    estimator: Any
    threads: int


def prepare_and_try(cell: Cell) -> Prepared:
    """Load the data and make the classifier.

    Raises:
        UserError: a setting or the data cannot be used.
    """
    config = cell.config
    model = cell.names["model"]
    for group, _ in config.methods():
        raise UserError(f"{group}={cell.names[group]}: needs a network, {model} is none")
    dataset = loaded(config)
    threads = config.threads or 1
    estimator = classifiers.make(config.model, seed=config.seed, threads=threads)
    return Prepared(dataset, estimator, threads)


def train_and_test(cell: Cell, prepared: Prepared) -> results.Record:
    """Fit on the training set, test once. A fit that was interrupted begins anew.

    Args:
        cell: whose folder is there.
        prepared: by :func:`prepare_and_try`.

    Returns:
        What was measured, flat.

    Raises:
        UserError: the classifier refuses the data.
    """
    config, dataset, estimator = cell.config, prepared.dataset, prepared.estimator
    logger = None
    if config.logger["name"] is not None:
        logger = loggers.make(config.logger, cell=cell)
    x_train, x_test = (x.astype(np.float64) for x in (dataset.x_train, dataset.x_test))
    with torch_as_it_was():
        started = time.monotonic()
        try:
            estimator.fit(x_train, dataset.y_train)
            fitted = time.monotonic()
            probabilities = np.asarray(estimator.predict_proba(x_test))
        except (ValueError, TypeError, NotImplementedError, ModuleNotFoundError) as error:
            said = " ".join(str(error).split())
            raise UserError(f"model={cell.names['model']}: {said}") from error
        ended = time.monotonic()
        cost = inference.measure(estimator.predict_proba, x_test)
    logits = torch.from_numpy(probabilities).clamp(min=SMALLEST).log()
    measured = measures(logits, torch.from_numpy(dataset.y_test), len(dataset.classes))
    write_predictions(cell, dataset, {"fitted": probabilities.astype(np.float32)})
    record = {
        "sparsity": 0.0,
        "seed": config.seed,
        "fold": config.fold,
        "epochs": config.epochs,
        "protocol_epochs": config.epochs_of_protocol,
        **measured,
        "fit_seconds": fitted - started,
        "test_seconds": ended - fitted,
        **cost,
        "model_bytes": len(pickle.dumps(estimator)),
        **shape_of(dataset),
        "threads": prepared.threads,
        "device": "cpu",
        "torch": torch.__version__,
        "aeon": version("aeon"),
    }
    if logger is not None:
        logger.conclude(cell, record)
    return record


@contextmanager
def torch_as_it_was() -> Iterator[None]:
    """Give torch its number of threads and its random state back; Hydra sets both."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            torch.set_num_threads(threads)
