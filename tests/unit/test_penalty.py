import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dsn_lab.nn import DSN, LITE, Inception
from dsn_lab.prune.channels import Prunable
from dsn_lab.prune.feature_maps import FeatureMaps
from dsn_lab.prune.penalties import Reduction
from dsn_lab.prune.penalties.instance_l21 import instance_l21

REDUCTIONS = st.sampled_from(["sum", "mean"])


def test_a_penalty_worked_out_by_hand() -> None:
    feature_map = torch.tensor([[[3.0, 4.0], [0.0, 0.0]], [[0.0, 1.0], [2.0, 0.0]]])
    assert instance_l21(feature_map, "sum") == 5 + 0 + 1 + 2
    assert instance_l21(feature_map, "mean") == 4


@settings(deadline=None)
@given(st.integers(0, 2**16), st.floats(0.01, 100), REDUCTIONS)
def test_homogeneous_permutation_invariant_and_zero_only_for_nothing(
    seed: int, factor: float, reduction: Reduction
) -> None:
    generator = torch.Generator().manual_seed(seed)
    feature_map = torch.randn(3, 4, 5, generator=generator)
    value = instance_l21(feature_map, reduction)
    assert value > 0
    assert instance_l21(torch.zeros(3, 4, 5), reduction) == 0
    torch.testing.assert_close(instance_l21(factor * feature_map, reduction), factor * value)
    for dim in range(3):
        order = torch.randperm(feature_map.shape[dim], generator=generator)
        permuted = instance_l21(feature_map.index_select(dim, order), reduction)
        torch.testing.assert_close(permuted, value)


def test_its_gradient_is_finite_where_a_channel_is_silent() -> None:
    feature_map = torch.zeros(1, 2, 3, requires_grad=True)
    torch.autograd.backward(instance_l21(feature_map, "sum"))
    assert feature_map.grad is not None
    assert feature_map.grad.eq(0).all()


@pytest.mark.parametrize(
    ("network", "filters"),
    [
        (LITE(1, 2), [96, 32, 32]),
        (LITE(3, 2), [96, 32, 32]),
        (Inception(1, 2), [128] * 6),
        (DSN(2, 2, width=3, kernel_size=9, backend="dense"), [9] * 4),
        (DSN(2, 2, width=3, kernel_size=9, backend="packed"), [9] * 4),
    ],
)
def test_feature_maps_are_those_of_the_filters_that_can_go(
    network: Prunable, filters: list[int]
) -> None:
    maps = FeatureMaps(network)
    x = torch.randn(4, network.arguments["in_channels"], 20)
    network(x)
    assert [tuple(each.shape) for each in maps.latest] == [(4, width, 20) for width in filters]
    assert all((each >= 0).all() for each in maps.latest)
    before = maps.latest[0]
    maps.remove()
    network(x)
    assert maps.latest[0] is before
