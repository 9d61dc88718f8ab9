"""Drop and grow on tables of eight elements that can be checked by hand."""

import numpy as np
import torch

from dsn_lab.sparse import topology

# Two kernels of four taps; the region is each kernel's first three.
REGION = torch.tensor([0, 1, 2, 4, 5, 6])


def test_region_is_the_first_taps_of_each_kernel() -> None:
    assert topology.region(kernels=2, kernel_size=4, taps=3).equal(REGION)


def test_tap_first_fills_tap_after_tap_over_all_kernels() -> None:
    assert topology.tap_first(kernels=2, kernel_size=4, count=3).tolist() == [0, 1, 4]
    assert topology.tap_first(kernels=2, kernel_size=4, count=4).tolist() == [0, 1, 4, 5]


def test_uniform_start_is_distinct_and_in_the_region() -> None:
    torch.manual_seed(0)
    positions = topology.uniform(REGION, 4)
    assert len(set(positions.tolist())) == 4
    assert torch.isin(positions, REGION).all()


def test_drop_count_rounds_up_so_that_at_least_one_moves() -> None:
    assert topology.drop_count(8, 0.5) == 4
    assert topology.drop_count(8, 0.001) == 1
    assert topology.drop_count(8, 0.0) == 0


def test_smallest_takes_exactly_as_many_on_ties_the_earlier_first() -> None:
    values = torch.tensor([0.3, -0.1, 0.1, -0.1, 0.5, 0.0, 2.0, -0.2])
    assert topology.smallest(values, 3).tolist() == [5, 1, 2]


def test_free_is_the_region_without_survivors() -> None:
    survivors = torch.tensor([5, 0], dtype=torch.int32)
    assert topology.free(REGION, survivors).tolist() == [1, 2, 4, 6]


def test_grow_random_is_uniform_over_the_free_positions() -> None:
    free = torch.tensor([1, 2, 4, 6])
    generator = np.random.default_rng(0)
    drawn = torch.cat([topology.grow_random(free, 2, generator) for _ in range(2000)])
    shares = (drawn.unsqueeze(1) == free).float().mean(dim=0)
    assert (shares - 0.25).abs().max() < 0.02


def test_grow_by_gradient_takes_the_largest_magnitudes() -> None:
    gradient = torch.tensor([9.0, 0.1, -3.0, 9.0, 2.0, 9.0, -2.0, 9.0])
    free = torch.tensor([1, 2, 4, 6])
    assert topology.grow_by_gradient(free, 3, gradient).tolist() == [2, 4, 6]
