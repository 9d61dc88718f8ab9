import pytest
import torch

from dsn_lab.errors import UserError
from dsn_lab.nn import LITE
from dsn_lab.prune.activity import activity, kept_filters, threshold
from dsn_lab.prune.feature_maps import FeatureMaps
from dsn_lab.prune.surgery import prune, require_prunable


def test_activity_is_the_same_in_one_batch_or_in_many() -> None:
    network, x = LITE(1, 2), torch.randn(11, 1, 30)
    whole = activity(network, [(x,)])
    streamed = activity(network, [(part,) for part in torch.split(x, 3)])
    for one, many in zip(whole, streamed, strict=True):
        torch.testing.assert_close(one, many)
    assert network.training


def test_activity_is_the_largest_root_mean_square_over_series() -> None:
    network, x = LITE(1, 2).eval(), torch.randn(5, 1, 30)
    maps = FeatureMaps(network)
    network(x)
    for scores, feature_map in zip(activity(network, [(x,)]), maps.latest, strict=True):
        expected = feature_map.square().mean(dim=-1).sqrt().amax(dim=0)
        torch.testing.assert_close(scores, expected)


def test_the_default_cut_is_a_share_of_the_layers_largest() -> None:
    assert threshold(torch.tensor([0.0, 1.0, 5.0]), 0.01) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("scores", "idle"),
    [
        ([1.0, 0.9, 1e-5, 2e-5, 1e-6], 3),
        ([1.0, 0.9, 0.05, 0.04, 0.03], 3),
        ([1.0, 0.9, 0.6, 0.2], 0),
        ([1.0, 0.5, 0.0], 1),
        ([0.0, 0.0], 2),
    ],
)
def test_auto_cuts_in_the_widest_gap_below_a_tenth(scores: list[float], idle: int) -> None:
    cut = threshold(torch.tensor(scores), "auto")
    assert sum(score <= cut for score in scores) == idle


def test_a_branch_keeps_its_most_active_filter() -> None:
    network = LITE(1, 2, widths=((2, 2, 2), (1,), (1,)))
    scores = [torch.tensor([0.0, 0.0, 0.1, 0.2, 5.0, 4.0]), torch.zeros(1), torch.ones(1)]
    kept = kept_filters(scores, [1.0, 0.0, 0.5], network)
    assert [[branch.tolist() for branch in layer] for layer in kept] == [
        [[0], [1], [0, 1]],
        [[0]],
        [[0]],
    ]


def test_losing_every_filter_and_undescribed_networks_are_refused() -> None:
    network = LITE(1, 2, widths=((2, 2, 2), (1,), (1,)))
    nothing = torch.tensor([], dtype=torch.long)
    one = torch.tensor([0])
    with pytest.raises(UserError, match="layer 1, branch 2 would lose every filter"):
        prune(network, [[one, nothing, one], [one], [one]])
    with pytest.raises(UserError, match=r"model=Linear: .* describes its channels"):
        require_prunable(torch.nn.Linear(1, 1))
