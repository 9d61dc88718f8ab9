"""A short real training on noise, of what a command line names, for the contract tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_module
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from omegaconf import DictConfig, OmegaConf
from torch import nn

from dsn_lab import registry
from dsn_lab.data.load import Dataset
from dsn_lab.data.module import TimeSeriesData
from dsn_lab.nn.sizes import sizes
from dsn_lab.records.settings import Config
from dsn_lab.registry import classifiers
from dsn_lab.run import dataset, optimization, preparation
from dsn_lab.run.keeping import BestWeights, History
from dsn_lab.run.task import Classification

CONF = Path(__file__).parents[2] / "conf"
CHANNELS, CLASSES = 2, 3


def choices(group: str) -> list[str]:
    """What the configuration offers for a group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def fitted() -> list[str]:
    """The choices of ``model`` that are no networks."""
    return [
        each for each in choices("model") if composed(f"model={each}").model.name in classifiers
    ]


def small(model: str) -> list[str]:
    """Overrides that choose a model, small enough to train in a second."""
    settings = registry.networks.small(composed(f"model={model}").model.name)
    return [f"model={model}", *(f"model.{key}={_text(each)}" for key, each in settings.items())]


def _text(value: Any) -> str:
    return str(value).replace("(", "[").replace(",)", "]").replace(")", "]")


def composed(*overrides: str) -> DictConfig:
    """The configuration of a command line."""
    dataset.register()
    with initialize_config_module("dsn_lab.conf", version_base="1.3"):
        return compose("config", overrides=list(overrides))


def checked(*overrides: str) -> Config:
    """The same, checked."""
    cfg = composed("output_dir=out", *overrides)
    return Config.model_validate(OmegaConf.to_container(cfg, resolve=True))


def made(model: Mapping[str, Any], time: int) -> nn.Module:
    """A network for the noise below."""
    given = sizes(model["name"], CHANNELS, CLASSES, time)
    network: nn.Module = registry.networks.make(model, **given)
    return network


class Keep(Checkpoint):
    """Write a checkpoint at the end of an epoch."""

    def __init__(self, epoch: int, path: Path) -> None:
        self.epoch, self.path = epoch, path

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write it when it is time."""
        if trainer.current_epoch == self.epoch:
            trainer.save_checkpoint(self.path)


@dataclass
class Trained:
    """A training that has ended."""

    task: Classification
    data: TimeSeriesData
    trainer: Trainer
    methods: list[Callback]
    best: BestWeights
    history: History

    def state(self) -> dict[str, Any]:
        """Everything that a resume must get right, as a checkpoint has it."""
        state: dict[str, Any] = self.trainer._checkpoint_connector.dump_checkpoint()
        state["callbacks"]["History"].pop("seconds")
        kept = ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "global_step")
        return {name: state[name] for name in kept}


def train(
    settings: Config,
    *watching: Callback,
    time: int = 30,
    batch_size: int = 8,
    checkpoint: Path | None = None,
) -> Trained:
    """Train on 24 series of noise, 2 channels x ``time`` steps, 3 classes.

    Args:
        settings: what to train, and how long.
        watching: callbacks of the test.
        time: length of the series.
        batch_size: series in a batch.
        checkpoint: where to go on.
    """
    x = np.random.default_rng(0).standard_normal((24, CHANNELS, time), dtype=np.float32)
    y = np.arange(24) % CLASSES
    data = TimeSeriesData(
        Dataset("noise", "UCR", x, y, x, y, ("a", "b", "c"), {}), batch_size, seed=0
    )
    torch.manual_seed(0)
    task = Classification(
        made(settings.model, time),
        CLASSES,
        optimization.optimizer(settings.optimizer),
        optimization.scheduler(
            settings.scheduler, settings.optimizer["lr"], settings.longest_phase
        ),
    )
    best, history, methods = BestWeights(), History(), preparation.methods(settings)
    callbacks: Sequence[Callback] = [best, *methods, history, *watching]
    preparation.quieten()
    trainer = Trainer(
        max_epochs=settings.trainer["max_epochs"],
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )
    trainer.fit(task, data, ckpt_path=checkpoint, weights_only=True)
    return Trained(task, data, trainer, methods, best, history)
