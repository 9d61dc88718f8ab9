"""Fit a classifier that is no network, and test it once: the same cell, folds, record and files."""

import logging
import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from dsn_lab.data.load import load_dataset
from dsn_lab.errors import UserError
from dsn_lab.records import results
from dsn_lab.records.cell import Cell
from dsn_lab.registry import classifiers
from dsn_lab.run import inference
from dsn_lab.run.evaluate import measures, write_predictions

log = logging.getLogger(__name__)

SMALLEST = 1e-7  # a probability of 0 has no logarithm


def fit_and_test(cell: Cell) -> results.Record:
    """Fit on the training set, test once. A fit that was interrupted begins anew.

    Returns:
        What was measured, flat.

    Raises:
        UserError: a setting or the data cannot be used.
    """
    config = cell.config
    for group, _ in config.methods():
        raise UserError(
            f"{group}={cell.names[group]}: needs a network, {cell.names['model']} is none"
        )
    dataset = load_dataset(
        config.dataset.wanted,
        data_dir=config.data_dir,
        fold=config.fold,
        scaling=config.dataset.scaling,
    )
    threads = config.threads or 1
    with torch_as_it_was():
        estimator = classifiers.make(config.model, seed=config.seed, threads=threads)
        started = time.monotonic()
        try:
            estimator.fit(dataset.x_train.astype(np.float64), dataset.y_train)
            fitted = time.monotonic()
            probabilities = np.asarray(estimator.predict_proba(dataset.x_test.astype(np.float64)))
        except (ValueError, TypeError, NotImplementedError) as error:
            said = " ".join(str(error).split())
            raise UserError(f"model={cell.names['model']}: {said}") from error
        ended = time.monotonic()
        cost = inference.measure(estimator.predict_proba, dataset.x_test.astype(np.float64))
    logits = torch.from_numpy(probabilities).clamp(min=SMALLEST).log()
    measured = measures(logits, torch.from_numpy(dataset.y_test), len(dataset.classes))
    write_predictions(cell, dataset.y_test, {"fitted": probabilities.astype(np.float32)})
    _, channels, length = dataset.x_train.shape
    return {
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
        "n_train": len(dataset.y_train),
        "n_test": len(dataset.y_test),
        "n_channels": channels,
        "length": length,
        "n_classes": len(dataset.classes),
        "archive": dataset.archive,
        **dataset.facts,
        "threads": threads,
        "device": "cpu",
        "torch": torch.__version__,
        "aeon": _version(),
    }


def _version() -> str:
    import aeon

    version: str = aeon.__version__
    return version


@contextmanager
def torch_as_it_was() -> Iterator[None]:
    """Give torch its number of threads and its random state back; Hydra sets both."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            torch.set_num_threads(threads)
