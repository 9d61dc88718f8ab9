"""When the topology moves, and which steps are dense for it."""

from pathlib import Path

import pytest
import torch

from dsn_lab import registry
from dsn_lab.nn import SparseConv1d
from tests.contract.training import checked, train
from tests.e2e.test_resume import require_equal

EPOCHS, STEPS = 9, 5
SMALL = ("model.width=3", "model.kernel_size=9", "model.depth=2", "dst.update_every=2")


def updates(*overrides: str) -> list[int]:
    """After which epochs the topology has moved."""
    settings = checked(*SMALL, f"trainer.max_epochs={EPOCHS}", *overrides)
    ended = train(settings, time=12, batch_size=5)
    key = "topology/layer1/group1/active"
    assert all(m.observer is None for m in ended.task.modules() if isinstance(m, SparseConv1d))
    return [epoch for epoch, row in enumerate(ended.history.rows, start=1) if key in row]


def test_the_topology_moves_every_so_many_epochs_but_after_the_last() -> None:
    assert updates() == [2, 4, 6, 8]
    assert updates("dst.update_every=1", f"dst.update_steps={2 * STEPS + 1}") == [3, 6]


def test_states_of_the_first_format_are_loaded() -> None:
    first = Path(__file__).parents[1] / "fixtures" / "format0" / "ItalyPowerDemand"
    path = first / "dsn-dsn-S0.8-d749aba8" / "fold0-seed2" / "last.ckpt"
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
    monkeypatch: pytest.MonkeyPatch, growth: str, steps: int
) -> None:
    observed: list[SparseConv1d] = []
    forward = SparseConv1d.forward

    def watched(layer: SparseConv1d, x: torch.Tensor) -> torch.Tensor:
        observed.extend([layer] if layer.observer is not None else [])
        return forward(layer, x)

    monkeypatch.setattr(SparseConv1d, "forward", watched)
    updates(f"dst.growth={growth}")
    assert [observed.count(layer) for layer in set(observed)] == ([steps] * 2 if steps else [])
