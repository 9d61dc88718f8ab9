"""Growth and drop rules on tables of eight elements that can be checked by hand."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from dsn_lab.errors import UserError
from dsn_lab.nn import SparseConv1d
from dsn_lab.registry import drops, growths
from dsn_lab.sparse.growth.base import Group, Growth
from dsn_lab.sparse.moments import DenseMoments, MeanMoments
from dsn_lab.sparse.topology import Region
from dsn_lab.sparse.update import Moves, apply

# Two kernels of four taps; the region is each kernel's first three.
GROUP = Group(0, Region(first=0, kernels=2, kernel_size=4, taps=3), active=4)
HELD = torch.tensor([1, 0, 0, 0, 0, 1, 0, 0], dtype=torch.bool)
GRADIENTS = torch.tensor(
    [
        [9.0, 0.5, -3.0, 9.0, 2.0, 8.0, -2.5, 9.0],
        [9.0, 0.5, 3.0, 9.0, 2.0, 8.0, 2.5, 9.0],
    ]
)

# Of the free positions 1, 2, 4 and 6, the two of largest |gradient| in the last step; and those
# of largest average: |0.9 x 0.1 x first + 0.1 x second| is about 0.1, 0.03, 0.38 and 0.03.
GROWN = {"gradient": [2, 6], "momentum": [4, 1]}


def grown(rule: Growth, count: int = 2) -> list[int]:
    for gradient in GRADIENTS:
        rule.observe(gradient, [GROUP])
    positions: list[int] = rule.grow(GROUP, HELD, count, np.random.default_rng(0)).tolist()
    return positions


@pytest.mark.parametrize("name", GROWN)
def test_where_weights_grow(name: str) -> None:
    assert grown(growths.make({"name": name})) == GROWN[name]


def test_no_growth_is_nowhere() -> None:
    assert grown(growths.make({"name": "none"}), 0) == []


def test_random_growth_takes_other_positions_with_another_seed() -> None:
    rule: Growth = growths.make({"name": "random"})
    draws = [rule.grow(GROUP, HELD, 2, np.random.default_rng(seed)).tolist() for seed in range(20)]
    assert {position for draw in draws for position in draw} == {1, 2, 4, 6}
    assert rule.grow(GROUP, HELD, 2, np.random.default_rng(3)).tolist() == draws[3]


def test_momentum_without_memory_is_the_last_gradient() -> None:
    assert grown(growths.make({"name": "momentum", "decay": 0.0})) == GROWN["gradient"]


def test_momentum_goes_on_from_its_state() -> None:
    rule, other = (growths.make({"name": "momentum"}) for _ in range(2))
    rule.observe(GRADIENTS[0], [GROUP])
    other.load_state_dict(rule.state_dict())
    for each in (rule, other):
        each.observe(GRADIENTS[1], [GROUP])
    assert rule.average.equal(other.average)
    torch.testing.assert_close(rule.average, 0.09 * GRADIENTS[0] + 0.1 * GRADIENTS[1])


VALUES = torch.tensor([0.3, -0.1, 0.2, -0.4, 0.5, 0.6, 2.0, -0.25])
GRADIENT = torch.tensor([0.0, 1.0, -0.1, 1.0, 0.1, 1.0, 0.01, 0.0])
SCORES = {
    "magnitude": torch.tensor([0.3, 0.1, 0.2, 0.4, 0.5, 0.6, 2.0, 0.25]),
    "saliency": torch.tensor([0.0, 0.1, 0.02, 0.4, 0.05, 0.6, 0.02, 0.0]),
}


@pytest.mark.parametrize("name", SCORES)
def test_what_weights_are_worth(name: str) -> None:
    torch.testing.assert_close(drops[name](VALUES, GRADIENT), SCORES[name])


def moved(state: dict[str, Tensor], moved: list[int]) -> None:
    layer = SparseConv1d(1, 1, 8, sparsity=0.5)
    moves = Moves(torch.tensor(moved), torch.arange(4, 4 + len(moved)), (0.0,))
    apply(moves, layer, state, MeanMoments())


def test_second_moments_of_grown_weights_may_start_at_the_mean_of_the_others() -> None:
    first, second = torch.tensor([1.0, 2, 3, 4]), torch.tensor([1.0, 5, 3, 7])
    moved({"exp_avg": first, "exp_avg_sq": second}, [0, 2])
    assert first.tolist() == [2, 4, 0, 0]
    assert second.tolist() == [5, 7, 6, 6]


def test_if_every_weight_moves_there_is_no_mean_of_others() -> None:
    second = torch.tensor([1.0, 5, 3, 7])
    moved({"exp_avg_sq": second}, [0, 1, 2, 3])
    assert second.tolist() == [0, 0, 0, 0]


def test_an_optimizer_without_second_moments_has_no_mean_of_them() -> None:
    with pytest.raises(UserError, match=r"dst\.state=mean: the optimizer keeps no exp_avg_sq"):
        moved({"momentum_buffer": torch.ones(4)}, [0])


def test_dense_moments_are_those_of_a_dense_adam() -> None:
    weight = torch.nn.Parameter(torch.zeros(8))
    adam = torch.optim.Adam([weight], lr=1e-3, betas=(0.8, 0.9))
    moments, resumed = DenseMoments(), DenseMoments()
    for step, gradient in enumerate(torch.randn(6, 8, generator=torch.Generator().manual_seed(1))):
        weight.grad = gradient
        for each in (moments, resumed):
            each.observe(gradient, adam.param_groups[0])
        adam.step()
        if step == 2:
            resumed = DenseMoments()
            resumed.load_state_dict(moments.state_dict())
    grown = torch.tensor([1, 6])
    for each in (moments, resumed):
        for name, begins in each.of({}, torch.tensor([0, 2]), grown).items():
            torch.testing.assert_close(begins, adam.state[weight][name][grown])


def test_dense_moments_need_two_averages() -> None:
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    with pytest.raises(UserError, match=r"dst\.state=dense: needs Adam's two averages"):
        DenseMoments().observe(torch.ones(1), sgd.param_groups[0])


def test_with_dense_moments_weights_go_as_masked_dense_ones_do() -> None:
    torch.manual_seed(0)
    layer = SparseConv1d(2, 3, 5, sparsity=0.6, backend="dense", padding="zeros")
    weight = torch.nn.Parameter(layer.weight.detach().clone())
    mask, moments = layer.mask, DenseMoments()
    adam, dense = torch.optim.Adam([layer.values]), torch.optim.Adam([weight])
    layer.observer = partial(moments.observe, options=adam.param_groups[0])
    for step in range(8):
        x, target = torch.randn(4, 2, 9), torch.randn(4, 3, 9)
        for optimizer in (adam, dense):
            optimizer.zero_grad()
        for y in (layer(x), torch.nn.functional.conv1d(x, weight, padding=2)):
            torch.autograd.backward(torch.nn.functional.mse_loss(y, target))
        for optimizer in (adam, dense):
            optimizer.step()
        weight.data *= mask
        if step in (3, 5):  # the first two weights move to free positions, and back again
            grown = (~mask).view(-1).nonzero().view(-1)[:1]
            dropped = layer.positions[:2].long()
            moves = Moves(torch.tensor([0, 1]), torch.cat([grown, dropped[:1]]), (0.0,))
            apply(moves, layer, dict(list(adam.state[layer.values].items())[1:]), moments)
            weight.data.view(-1)[dropped] = 0
            mask = layer.mask
        torch.testing.assert_close(layer.weight, weight)
