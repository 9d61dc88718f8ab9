"""A short real training on noise, for the contract tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_module
from lightning.pytorch import Callback, Trainer
from omegaconf import DictConfig

from dsn_lab import registry
from dsn_lab.data.load import Dataset
from dsn_lab.data.module import TimeSeriesData
from dsn_lab.run import config, optimization
from dsn_lab.run.task import Classification


def composed(*overrides: str) -> DictConfig:
    """The configuration of a command line."""
    config.register()
    with initialize_config_module("dsn_lab.conf", version_base="1.3"):
        return compose("config", overrides=list(overrides))


def fit(
    cfg: DictConfig,
    callbacks: Sequence[Callback],
    *,
    time: int,
    batch_size: int,
    checkpoint: Path | None = None,
) -> tuple[Classification, TimeSeriesData]:
    """Train what ``cfg`` names on 24 series of noise, 2 channels x ``time`` steps, 3 classes.

    A training that left a ``checkpoint`` goes on from there.
    """
    x = np.random.default_rng(0).standard_normal((24, 2, time), dtype=np.float32)
    y = np.arange(24) % 3
    dataset = Dataset("noise", "UCR", x, y, x, y, ("a", "b", "c"), {})
    data = TimeSeriesData(dataset, batch_size, seed=0)
    torch.manual_seed(0)
    network = registry.networks.make(cfg.model, in_channels=2, n_classes=3)
    make = optimization.optimizer(cfg.optimizer), optimization.scheduler(cfg.scheduler)
    task = Classification(network, 3, *make)
    Trainer(
        max_epochs=cfg.trainer.max_epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    ).fit(task, data, ckpt_path=checkpoint, weights_only=True)
    return task, data
