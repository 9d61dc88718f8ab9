"""Training itself, of whatever has been prepared: the same for a cell and for an estimator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from torch import nn

from dsn_lab.errors import UserError
from dsn_lab.kernels import KernelUnavailableError
from dsn_lab.records.settings import Config
from dsn_lab.run.keeping import BestWeights
from dsn_lab.run.preparation import Prepared, methods, trainer
from dsn_lab.run.stages import Staged


@dataclass(frozen=True)
class Trained:
    """A training that has ended; the task's network has the weights of lowest training loss.

    Attributes:
        loop: the trainer.
        best: those weights, their epoch and loss.
        staged: the methods that passed stages, or one that did not.
        stages: the networks to test, by name; the one that the result is of comes last.
    """

    loop: Trainer
    best: BestWeights
    staged: Sequence[Staged]
    stages: Mapping[str, nn.Module]


def loop_of(
    prepared: Prepared,
    config: Config,
    folder: Path,
    watching: Sequence[Callback],
    logger: Any = None,
) -> Trainer:
    """The trainer of a configuration, with its methods.

    Args:
        prepared: what is to be trained, with what measures it meanwhile.
        config: checked.
        folder: where the trainer may write.
        watching: callbacks that come after the methods.
        logger: Lightning's.

    Raises:
        UserError: a setting cannot be used.
    """
    # In this order: the best weights are those that reached the loss, before any topology update.
    best = BestWeights(config.tested_weights)
    callbacks = [*prepared.measuring, best, *methods(config), *watching]
    return trainer(config.trainer, folder, callbacks, logger)


def train(loop: Trainer, prepared: Prepared, checkpoint: Path | None = None) -> Trained:
    """Train, and choose the weights of lowest loss: that of held-out series, if there are any.

    Args:
        loop: of :func:`loop_of`.
        prepared: network, task and data.
        checkpoint: where to go on.

    Raises:
        UserError: the native kernel is wanted and cannot be had, or training diverged.
    """
    try:
        loop.fit(prepared.task, prepared.data, ckpt_path=checkpoint, weights_only=True)
    except KernelUnavailableError as error:
        raise UserError(f"model.backend=packed: {error}") from error
    callbacks: list[Callback] = loop.callbacks  # type: ignore[attr-defined]
    (best,) = (each for each in callbacks if isinstance(each, BestWeights))
    if not best.weights:
        raise UserError(
            "the training loss was never a finite number: lower optimizer.lr or check the data"
        )
    task = prepared.task
    task.network.load_state_dict(best.weights)
    staged = [each for each in callbacks if isinstance(each, Staged)] or [Staged()]
    return Trained(loop, best, staged, staged[-1].stages(task.network))
