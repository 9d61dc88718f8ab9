"""Drop and grow on tables of eight elements that can be checked by hand."""

import numpy as np
import torch

from dsn_lab.sparse import topology

# Two kernels of four taps; the region is each kernel's first three.
REGION = topology.Region(first=0, kernels=2, kernel_size=4, taps=3)
HELD = torch.tensor([1, 0, 0, 0, 0, 1, 0, 0], dtype=torch.bool)


def test_region_is_the_first_taps_of_each_kernel() -> None:
    assert REGION.size == 6
    assert REGION.positions(torch.arange(6)).tolist() == [0, 1, 2, 4, 5, 6]


def test_tap_first_fills_tap_after_tap_over_all_kernels() -> None:
    assert topology.tap_first(REGION, 3).tolist() == [0, 1, 4]
    assert topology.tap_first(REGION, 4).tolist() == [0, 1, 4, 5]


def test_uniform_start_is_distinct_and_in_the_region() -> None:
    torch.manual_seed(0)
    positions = topology.uniform(REGION, 4).tolist()
    assert len(set(positions)) == 4
    assert set(positions) <= {0, 1, 2, 4, 5, 6}


def test_drop_count_rounds_up_so_that_at_least_one_moves() -> None:
    assert topology.drop_count(8, 0.5) == 4
    assert topology.drop_count(8, 0.001) == 1
    assert topology.drop_count(8, 0.0) == 0


def test_lowest_takes_exactly_as_many_on_ties() -> None:
    scores = torch.tensor([0.3, 0.1, 0.1, 0.1, 0.5, 0.0, 2.0, 0.2])
    taken = topology.lowest(scores, 3).tolist()
    assert len(set(taken)) == 3
    assert 5 in taken
    assert set(taken) <= {1, 2, 3, 5}


def test_draws_are_uniform_over_the_free_positions() -> None:
    generator = np.random.default_rng(0)
    drawn = torch.cat([topology.draw_free(REGION, HELD, 2, generator) for _ in range(2000)])
    shares = (drawn.unsqueeze(1) == torch.tensor([1, 2, 4, 6])).float().mean(dim=0)
    assert (shares - 0.25).abs().max() < 0.02


def test_a_draw_finds_the_last_free_position() -> None:
    region = topology.Region(first=0, kernels=1000, kernel_size=39, taps=39)
    held = torch.ones(39000, dtype=torch.bool)
    held[[7, 20000]] = False
    drawn = topology.draw_free(region, held, 2, np.random.default_rng(0))
    assert sorted(drawn.tolist()) == [7, 20000]


def test_a_ranking_is_of_the_region_and_gives_its_first_free_positions() -> None:
    scores = torch.tensor([9.0, 0.1, 3.0, 9.0, 2.0, 8.0, 2.5, 9.0])
    ranking = topology.rank(REGION, scores, 5)
    assert ranking.tolist() == [0, 5, 2, 6, 4]
    assert topology.first_free(ranking, HELD, 2).tolist() == [2, 6]


def test_moved_weights_start_anew_and_the_others_travel_with_their_positions() -> None:
    positions = torch.tensor([1, 3, 4, 8, 9], dtype=torch.int32)
    values, state = torch.tensor([1.0, 3, 4, 8, 9]), torch.tensor([10.0, 30, 40, 80, 90])
    weights = ((values, torch.tensor(0.0)), (state, torch.tensor([7.0, 6.0])))
    topology.move(positions, weights, torch.tensor([3, 1]), torch.tensor([0, 6]))
    assert positions.tolist() == [0, 1, 4, 6, 9]
    assert values.tolist() == [0, 1, 4, 0, 9]
    assert state.tolist() == [7, 10, 40, 6, 90]
