import pytest
import torch

from dsn_lab.nn import DSN, LITE, Inception
from dsn_lab.prune.channels import Prunable
from dsn_lab.prune.feature_maps import FeatureMaps
from dsn_lab.prune.penalties.instance_l21 import instance_l21


def test_a_penalty_worked_out_by_hand() -> None:
    feature_map = torch.tensor([[[3.0, 4.0], [0.0, 0.0]], [[0.0, 1.0], [2.0, 0.0]]])
    assert instance_l21(feature_map, "sum") == 5 + 0 + 1 + 2
    assert instance_l21(feature_map, "mean") == 4


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
