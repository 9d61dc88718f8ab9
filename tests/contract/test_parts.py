"""What every registered metric and penalty must keep."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dsn_lab.prune.penalties import Reduction
from dsn_lab.registry import metrics, penalties
from tests.contract.training import checked, small, train

REDUCTIONS = st.sampled_from(["sum", "mean"])
Penalty = Callable[[Tensor, Reduction], Tensor]


@pytest.mark.parametrize("name", list(penalties))
@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**16), st.floats(0.01, 100), REDUCTIONS)
def test_penalties_are_homogeneous_permutation_invariant_and_zero_only_for_nothing(
    name: str, seed: int, factor: float, reduction: Reduction
) -> None:
    penalty: Penalty = penalties[name]
    generator = torch.Generator().manual_seed(seed)
    feature_map = torch.randn(3, 4, 5, generator=generator)
    value = penalty(feature_map, reduction)
    assert value.shape == ()
    assert value > 0
    assert penalty(torch.zeros(3, 4, 5), reduction) == 0
    torch.testing.assert_close(penalty(factor * feature_map, reduction), factor * value)
    for dim in range(3):
        order = torch.randperm(feature_map.shape[dim], generator=generator)
        permuted = penalty(feature_map.index_select(dim, order), reduction)
        torch.testing.assert_close(permuted, value)


@pytest.mark.parametrize("name", list(penalties))
def test_penalties_have_finite_gradients_where_a_channel_is_silent(name: str) -> None:
    feature_map = torch.zeros(1, 2, 3, requires_grad=True)
    torch.autograd.backward(penalties[name](feature_map, "sum"))
    assert feature_map.grad is not None
    assert feature_map.grad.isfinite().all()


@pytest.mark.parametrize("name", list(penalties))
def test_penalties_are_trained_with(name: str) -> None:
    cell = (*small("lite"), "dsp=default", f"dsp.loss={name}", "trainer.max_epochs=2")
    rows = train(checked(*cell)).history.rows
    assert rows[0]["penalty/layer1"] > 0
    assert "penalty/layer1" not in rows[2]


@pytest.mark.parametrize("name", list(metrics))
@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**16), st.integers(2, 5), st.integers(1, 19))
def test_metrics_do_not_depend_on_batches(name: str, seed: int, n_classes: int, cut: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(20, n_classes, generator=generator)
    labels = torch.randint(n_classes, (20,), generator=generator)
    whole, parts = metrics[name](n_classes), metrics[name](n_classes)
    whole.update(logits, labels)
    parts.update(logits[:cut], labels[:cut])
    parts.update(logits[cut:], labels[cut:])
    value = whole.compute()
    assert value.numel() == 1
    assert value.isfinite().all()
    torch.testing.assert_close(parts.compute(), value)
