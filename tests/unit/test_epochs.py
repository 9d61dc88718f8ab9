"""Whole epochs in one call of Lightning: the same training as a call a step."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint

from dsn_lab.data.load import Dataset
from dsn_lab.data.module import TimeSeriesData
from dsn_lab.nn import DSN
from dsn_lab.run import epochs
from dsn_lab.run.epochs import HOOKS, WholeEpochs
from dsn_lab.run.keeping import BestWeights, History
from dsn_lab.run.optimization import quick_step
from dsn_lab.run.task import Classification
from dsn_lab.sparse.callback import DynamicSparseTraining
from tests.e2e.test_resume import require_equal

EPOCHS = 5


class Keep(Checkpoint):
    """Write a checkpoint after the third epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Write it when it is time."""
        if trainer.current_epoch == 2:
            trainer.save_checkpoint(self.path)


def noting(hook: str) -> Any:
    def note(self: Any, trainer: Trainer, *arguments: Any) -> None:
        number = arguments[-1] if "batch" in hook else None
        self.seen.append((hook, number, trainer.global_step))

    return note


class Spy(Callback):
    """Note every hook of a step, with the number of its batch and the steps until then."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int | None, int]] = []


for each in HOOKS:
    setattr(Spy, each, noting(each))


def trained(
    kind: type[Classification], keep: Path, checkpoint: Path | None = None
) -> tuple[dict[str, Any], list[dict[str, float]], Spy]:
    x = np.random.default_rng(0).standard_normal((23, 1, 30), dtype=np.float32)
    y = np.arange(23) % 3
    data = TimeSeriesData(Dataset("noise", "UCR", x, y, x, y, ("a", "b", "c"), {}), 4, seed=0)
    torch.manual_seed(0)
    task = kind(
        DSN(1, 3, width=4, depth=2, kernel_size=9),
        3,
        partial(torch.optim.Adam, fused=True),
        lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS),
    )
    best, history, spy = BestWeights(), History(), Spy()
    moving = DynamicSparseTraining(growth="gradient", update_every=1)
    trainer = Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[best, moving, spy, history, Keep(keep)],
    )
    trainer.fit(task, data, ckpt_path=checkpoint, weights_only=True)
    state = trainer._checkpoint_connector.dump_checkpoint()
    state["callbacks"]["History"].pop("seconds")
    kept = ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "global_step")
    return {name: state[name] for name in kept}, history.rows, spy


def test_callbacks_and_results_are_those_of_single_steps(tmp_path: Path) -> None:
    state, rows, spy = trained(WholeEpochs, tmp_path / "whole")
    single, single_rows, single_spy = trained(Classification, tmp_path / "single")
    assert rows == single_rows
    assert state["global_step"] == 6 * EPOCHS
    require_equal(single, state)
    assert len(spy.seen) == len(HOOKS) * 6 * EPOCHS
    assert spy.seen == single_spy.seen


@pytest.mark.parametrize(
    ("first", "then"), [(Classification, WholeEpochs), (WholeEpochs, Classification)]
)
def test_either_goes_on_with_what_the_other_began(
    tmp_path: Path, first: type[Classification], then: type[Classification]
) -> None:
    state, rows, _ = trained(first, tmp_path / "kept")
    resumed, resumed_rows, _ = trained(then, tmp_path / "again", checkpoint=tmp_path / "kept")
    assert resumed_rows == rows
    require_equal(state, resumed)


@pytest.mark.parametrize(
    "settings", [{"fused": True, "weight_decay": 0.1}, {"fused": True, "amsgrad": True}, {}]
)
def test_a_quick_step_is_the_optimizers_own(settings: dict[str, Any]) -> None:
    start, gradients = torch.randn(2, 7), torch.randn(4, 2, 7)
    results = []
    for quick in (False, True):
        parameters = [torch.nn.Parameter(row.clone()) for row in start]
        optimizer = torch.optim.Adam(parameters, **settings)
        take: Callable[[], object] = optimizer.step
        for number, gradient in enumerate(gradients):
            for parameter, grad in zip(parameters, gradient, strict=True):
                parameter.grad = grad.clone()
            optimizer.param_groups[0]["lr"] = 0.1 / (number + 1)
            if number == 3:
                parameters[0].grad = None
            take()
            take = quick_step(optimizer) if quick else take
        results.append({"parameters": parameters, "state": optimizer.state_dict()})
    require_equal(results[0], results[1])


def test_what_happens_between_steps_is_left_to_lightning() -> None:
    usual = {"max_epochs": 3, "accelerator": "auto", "devices": 1}
    assert epochs.possible(usual, None)
    assert not epochs.possible(usual | {"gradient_clip_val": 1.0}, None)
    assert not epochs.possible(usual, "wandb")
