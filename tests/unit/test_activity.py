"""Rules of what is redundant, worked out by hand."""

import pytest
import torch

from dsn_lab.errors import UserError
from dsn_lab.nn import LITE, Inception
from dsn_lab.prune.activity import analyse, kept_filters
from dsn_lab.prune.feature_maps import FeatureMaps
from dsn_lab.prune.rules.base import at_least
from dsn_lab.prune.rules.instance_mean import InstanceMean
from dsn_lab.prune.rules.largest_activity import LargestActivity
from dsn_lab.prune.surgery import prune, require_prunable
from dsn_lab.registry import rules


@pytest.mark.parametrize("name", list(rules))
def test_scores_are_the_same_in_one_batch_or_in_many(name: str) -> None:
    network, x, rule = LITE(1, 2), torch.randn(11, 1, 30), rules.make({"name": name})
    whole = analyse(network, rule, [(x,)])
    streamed = analyse(network, rule, [(part,) for part in torch.split(x, 3)])
    for one, many in zip(whole, streamed, strict=True):
        torch.testing.assert_close(one, many)
    assert network.training


def test_series_above_the_mean_are_counted() -> None:
    # Norms of three filters on two series: 5, 1, 0 with mean 6 / 3; 2, 2, 2 with mean 6 / 4.
    feature_map = torch.tensor([[[3.0, 4], [0, 1], [0, 0]], [[2.0, 0], [0, 2], [2, 0]]])
    rule = InstanceMean(min_series=2)
    scores = rule.add(rule.add(torch.zeros(3), feature_map), feature_map[:1])
    assert scores.tolist() == [3, 1, 1]
    assert [each.tolist() for each in rule.kept(scores, rule.cut(scores), [3], (1, 1))] == [[0]]
    assert (scores > InstanceMean().cut(scores)).all()
    # Nothing is above the mean of nothing.
    assert rule.add(torch.zeros(3), torch.zeros(4, 3, 5)).tolist() == [0, 0, 0]


def test_activity_is_the_largest_root_mean_square_over_series() -> None:
    network, x = LITE(1, 2).eval(), torch.randn(5, 1, 30)
    maps = FeatureMaps(network)
    network(x)
    scored = analyse(network, LargestActivity(), [(x,)])
    for scores, feature_map in zip(scored, maps.latest, strict=True):
        expected = feature_map.square().mean(dim=-1).sqrt().amax(dim=0)
        torch.testing.assert_close(scores, expected)


def test_the_default_cut_is_a_share_of_the_layers_largest() -> None:
    assert LargestActivity(0.01).cut(torch.tensor([0.0, 1.0, 5.0])) == pytest.approx(0.05)


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
    cut = LargestActivity("auto").cut(torch.tensor(scores))
    assert sum(score <= cut for score in scores) == idle


SCORES = [torch.tensor([0.0, 0.0, 0.1, 0.2, 5.0, 4.0]), torch.zeros(1), torch.ones(1)]


@pytest.mark.parametrize(("rule", "second"), [(LargestActivity(), 1), (InstanceMean(), 0)])
def test_a_branch_keeps_its_most_active_or_its_first_filter(
    rule: LargestActivity | InstanceMean, second: int
) -> None:
    network = LITE(1, 2, widths=((2, 2, 2), (1,), (1,)))
    kept = kept_filters(SCORES, [1.0, 0.0, 0.5], rule, network)
    assert [[branch.tolist() for branch in layer] for layer in kept] == [
        [[0], [second], [0, 1]],
        [[0]],
        [[0]],
    ]


@pytest.mark.parametrize(
    ("stay", "widths", "kept"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 0], [2, 2, 2, 2], [[0], [0], [], []]),
        ([0, 0, 0, 0, 0, 1, 0, 0], [2, 2, 2, 2], [[0], [], [1], []]),
        ([1, 0, 0, 0, 0, 0, 0, 0], [2, 2, 2, 2], [[0], [0], [], []]),
        ([0, 1, 0, 0, 0, 0, 0, 0], [2, 2, 2, 2], [[0, 1], [], [], []]),
        ([0, 0, 0, 0, 0, 1, 0, 1], [2, 2, 2, 2], [[], [], [1], [1]]),
        ([0, 0, 0, 0], [0, 3, 0, 1], [[], [0], [], [0]]),
        ([0, 0, 0], [0, 3, 0, 0], [[], [0, 1], [], []]),
    ],
)
def test_branches_of_inception_may_vanish_but_two_filters_stay(
    stay: list[int], widths: list[int], kept: list[list[int]]
) -> None:
    least = Inception.least_of_branch, Inception.least_of_layer
    found = at_least(torch.tensor(stay).bool(), widths, least)
    assert [branch.tolist() for branch in found] == kept


def test_losing_too_many_filters_and_undescribed_networks_are_refused() -> None:
    network = LITE(1, 2, widths=((2, 2, 2), (1,), (1,)))
    nothing = torch.tensor([], dtype=torch.long)
    one = torch.tensor([0])
    with pytest.raises(UserError, match="layer 1, branch 2 would lose every filter"):
        prune(network, [[one, nothing, one], [one], [one]])
    inception = Inception(1, 2, widths=((1, 1, 1, 1),))
    with pytest.raises(UserError, match="layer 1 would lose all but 1 of its filters: at least 2"):
        prune(inception, [[one, nothing, nothing, nothing]])
    with pytest.raises(UserError, match=r"model=Linear: .* describes its channels"):
        require_prunable(torch.nn.Linear(1, 1))
