"""Training on series in memory, as a command line would on ``dataset=own``; no file is written."""

import hashlib
import logging
import os
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from lightning.pytorch import Callback
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dsn_lab.data import transforms
from dsn_lab.data.load import Dataset
from dsn_lab.data.split import Labels, encode
from dsn_lab.data.transforms import Floats
from dsn_lab.data.wanted import OWN
from dsn_lab.errors import UserError
from dsn_lab.records.networks import content_of
from dsn_lab.records.provenance import provenance
from dsn_lab.records.settings import Config
from dsn_lab.run import config as configuration
from dsn_lab.run import dataset as datasets
from dsn_lab.run.evaluate import recalibrated, require_finite, settled
from dsn_lab.run.keeping import History
from dsn_lab.run.loop import loop_of, train
from dsn_lab.run.preparation import prepare_on
from dsn_lab.run.progress import Progress
from dsn_lab.trained import TrainedModel

NAME = "memory"
# Logs of these say what a command line should.
LOGGERS = ("dsn_lab", "lightning.pytorch")


def fit(
    x: Floats, y: Labels, settings: Sequence[str], *, threads: int, verbose: bool = False
) -> TrainedModel:
    """Train by the settings of a command line.

    The process's random state, threads, warnings and logging are afterwards as they were.

    Args:
        x: raw series ``(n, channel, time)``, NaN past the end of shorter ones.
        y: labels ``(n,)``.
        settings: ``key=value``, as on the command line; not of the dataset, but for its scaling.
        threads: CPU threads.
        verbose: show a progress bar.

    Raises:
        UserError: a setting or the data cannot be used, or training diverged.
        KeyboardInterrupt: Ctrl-C.
    """
    config = composed((*settings, f"threads={threads}"))
    dataset = _dataset(x, y, config)
    watching: list[Callback] = [Progress(always=True)] if verbose else []
    with undisturbed():
        prepared = prepare_on(dataset, config)
        loop = loop_of(prepared, config, Path(os.devnull), [*watching, History()])
        try:
            trained = train(loop, prepared)
        except SystemExit as left:
            raise KeyboardInterrupt from left
        network = list(trained.stages.values())[-1]
        if config.recalibrate:
            recalibrated(network, prepared.data, prepared.task.device)
        settled(network, prepared.data)
        require_finite(network, prepared.data, prepared.task.device)
        network = network.cpu().eval()
    origin = {"dataset": NAME, "sha256_train": _digest(x, y), "seed": config.seed, **provenance()}
    assert dataset.cleaning is not None
    content = content_of(config.model, network, dataset, origin)
    return TrainedModel(content, dataset.cleaning, network)


@cache
def composed(settings: tuple[str, ...]) -> Config:
    """The checked configuration of a command line.

    Raises:
        UserError: a setting does not exist, nothing reads it, or its value is refused.
    """
    datasets.register()
    given = [f"dataset={OWN}", f"dataset.path={NAME}", f"dataset.name={NAME}", *settings]
    try:
        with initialize_config_module("dsn_lab.conf", version_base="1.3"):
            cfg = compose("config", overrides=[*given, f"output_dir={NAME}"])
            configuration.refuse_unread(
                configuration.unread(cfg, configuration.mentioned(settings)),
                {group: cfg[group].name for group in configuration.CHOICES},
            )
            return configuration.checked(OmegaConf.to_container(cfg, resolve=True))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(str(error).splitlines()[0]) from error


def _dataset(x: Floats, y: Labels, config: Config) -> Dataset:
    """The training set alone, as a dataset of one's own in a file would be."""
    cleaning = transforms.learn(x, config.dataset.scaling, config.dataset.gaps)
    codes, none, classes = encode(y, y[:0])
    clean, _ = cleaning.apply(x, "train")
    return Dataset(NAME, OWN, clean, codes, clean[:0], none, classes, {}, cleaning)


def _digest(x: Floats, y: Labels) -> str:
    sha256 = hashlib.sha256(np.ascontiguousarray(x).tobytes())
    sha256.update("\0".join(y.tolist()).encode())
    return sha256.hexdigest()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave the process's random state, threads, warnings and logging as they were."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    threads, seed = torch.get_num_threads(), os.environ.get("PL_GLOBAL_SEED")
    with warnings.catch_warnings(), torch.random.fork_rng():
        logging.getLogger("dsn_lab").setLevel(logging.WARNING)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            torch.set_num_threads(threads)
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
            if seed is None:
                os.environ.pop("PL_GLOBAL_SEED", None)
            else:
                os.environ["PL_GLOBAL_SEED"] = seed
