"""A sparse training that stops at the end of an epoch goes on to the same bits, by any rules."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from dsn_lab import registry
from dsn_lab.nn import SparseConv1d
from dsn_lab.run.keeping import BestWeights, History
from tests.contract.training import composed, fit
from tests.e2e.test_resume import require_equal

EPOCHS, STEPS = 9, 5
RULES = [
    *([f"dst.growth={name}"] for name in registry.growths),
    *([f"dst.drop={name}"] for name in registry.drops),
    ["dst.growth={name:momentum,observes:steps,decay:0.5}"],
    ["dst.state=mean"],
    ["dst.update_every=1", f"dst.update_steps={2 * STEPS + 1}"],
    ["model.distribution=erk"],
]


class Save(Checkpoint):
    """The state after each epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.current_epoch}.ckpt")


def train(
    folder: Path, overrides: list[str], checkpoint: Path | None = None
) -> tuple[dict[str, Any], History]:
    small = ("model.width=3", "model.kernel_size=9", "model.depth=2", "dst.update_every=2")
    cfg = composed(*small, f"trainer.max_epochs={EPOCHS}", *overrides)
    folder.mkdir()
    history = History()
    dst = registry.sparse_training.make(cfg.dst)
    callbacks = [BestWeights(), dst, history, Save(folder)]
    task, _ = fit(cfg, callbacks, time=12, batch_size=5, checkpoint=checkpoint)
    assert all(m.observer is None for m in task.modules() if isinstance(m, SparseConv1d))
    state: dict[str, Any] = torch.load(folder / f"{EPOCHS - 1}.ckpt", weights_only=True)
    state["callbacks"]["History"].pop("seconds")
    return state, history


def updated(history: History) -> list[int]:
    key = "topology/layer1/group1/active"
    return [epoch for epoch, row in enumerate(history.rows, start=1) if key in row]


@pytest.mark.parametrize("overrides", RULES, ids=" ".join)
def test_a_resumed_training_ends_with_the_same_bits(tmp_path: Path, overrides: list[str]) -> None:
    whole, history = train(tmp_path / "whole", overrides)
    # After an epoch without an update and before one.
    resumed, again = train(tmp_path / "resumed", overrides, tmp_path / "whole" / "4.ckpt")
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "global_step"):
        require_equal(whole[part], resumed[part], part)
    assert history.rows == again.rows
    assert updated(history) == ([3, 6] if "dst.update_every=1" in overrides else [2, 4, 6, 8])


def test_states_of_the_first_format_are_loaded() -> None:
    first = Path(__file__).parents[1] / "fixtures" / "format0" / "ItalyPowerDemand"
    path = first / "dsn-dsn-S0.8-13060664" / "fold0-seed0" / "last.ckpt"
    state = torch.load(path, weights_only=True)["callbacks"]["DynamicSparseTraining"]
    dst = registry.sparse_training.make({"name": "dynamic_sparse_training"})
    dst.load_state_dict(state)
    require_equal(state, {key: dst.state_dict()[key] for key in ("generator", "explored")})


@pytest.mark.parametrize(
    ("growth", "steps"),
    [
        ("random", 0),
        ("gradient", len([2, 4, 6, 8])),
        ("momentum", EPOCHS),
        ("{name:momentum,observes:steps}", EPOCHS * STEPS),
    ],
)
def test_steps_are_dense_for_rules_that_observe_them_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, growth: str, steps: int
) -> None:
    observed: list[SparseConv1d] = []
    forward = SparseConv1d.forward

    def watched(layer: SparseConv1d, x: torch.Tensor) -> torch.Tensor:
        observed.extend([layer] if layer.observer is not None else [])
        return forward(layer, x)

    monkeypatch.setattr(SparseConv1d, "forward", watched)
    train(tmp_path / "out", [f"dst.growth={growth}"])
    assert [observed.count(layer) for layer in set(observed)] == ([steps] * 2 if steps else [])
