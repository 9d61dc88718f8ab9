"""What every update must keep, whatever growth and drop rule, of all that are registered."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dsn_lab.nn import SparseConv1d
from dsn_lab.registry import drops, growths
from dsn_lab.sparse import topology
from dsn_lab.sparse.growth.base import groups_of
from dsn_lab.sparse.update import apply, drop_and_grow


@st.composite
def trained_layers(draw: st.DrawFn) -> SparseConv1d:
    """A layer after a training step; values and gradients repeat, for ties."""
    groups = draw(st.integers(1, 3))
    torch.manual_seed(draw(st.integers(0, 1000)))
    layer = SparseConv1d(
        draw(st.integers(1, 3)),
        groups * draw(st.integers(1, 3)),
        groups * draw(st.integers(1, 3)) + draw(st.integers(0, 2)),
        groups=groups,
        sparsity=draw(st.sampled_from([0.0, 0.3, 0.5, 0.9])),
        start="random",
    )
    levels = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])
    with torch.no_grad():
        layer.values.copy_(levels[torch.randint(5, layer.values.shape)])
    layer.values.grad = levels[torch.randint(5, layer.values.shape)]
    return layer


@pytest.mark.parametrize("drop", list(drops))
@pytest.mark.parametrize("growth", list(growths))
@given(layer=trained_layers(), fraction=st.floats(0, 1), seed=st.integers(0, 1000))
def test_an_update_keeps_counts_regions_and_the_best_weights(
    growth: str, drop: str, layer: SparseConv1d, fraction: float, seed: int
) -> None:
    groups = groups_of(layer.regions, layer.active)
    rule, generator = growths.make({"name": growth}), np.random.default_rng(seed)
    rule.observe(torch.from_numpy(generator.integers(-2, 3, layer.mask.numel())).float(), groups)
    fraction = fraction if rule.moves else 0.0
    old, values = layer.positions.clone(), layer.values.detach().clone()
    assert layer.values.grad is not None
    numbers = torch.arange(1.0, len(values) + 1)
    state = numbers.clone()
    moves = drop_and_grow(layer, groups, drops[drop], rule, fraction, generator)
    assert layer.positions.equal(old)
    apply(moves, layer, {"exp_avg": state})

    held = [set(part.tolist()) for part in torch.split(layer.positions, list(layer.active))]
    survived = np.ones(len(values), dtype=bool)
    survived[moves.moved.numpy()] = False
    survivors, grown = set(old[survived].tolist()), moves.grown.tolist()
    scores, first = drops[drop](values, layer.values.grad), 0
    for group, positions, replaced in zip(groups, held, moves.replaced, strict=True):
        everywhere = set(group.region.positions(torch.arange(group.region.size)).tolist())
        assert len(positions) == group.active
        assert positions <= everywhere
        part = torch.from_numpy(survived[first : first + group.active])
        gone, stay = (scores[first : first + group.active][which] for which in (~part, part))
        assert len(gone) == topology.drop_count(group.active, fraction)
        if len(gone) and len(stay):
            assert gone.max() <= stay.min()
        new = positions - set(old[first : first + group.active].tolist())
        assert replaced * group.active == pytest.approx(len(new))
        first += group.active
    assert set.union(*held) == survivors | set(grown)
    assert not survivors & set(grown)
    assert len(set(grown)) == len(grown) == len(moves.moved)
    assert layer.positions.equal(layer.positions.sort().values)
    kept = sorted(survivors)
    for before, after in ((values, layer.values.detach()), (numbers, state)):
        assert _dense(layer, old, before)[kept].equal(_dense(layer, layer.positions, after)[kept])
        assert not _dense(layer, layer.positions, after)[grown].any()
    if fraction == 0:
        assert layer.positions.equal(old)
        assert layer.values.equal(values)


def _dense(layer: SparseConv1d, positions: Tensor, values: Tensor) -> Tensor:
    return torch.zeros(layer.mask.numel()).index_put((positions.long(),), values)


@given(st.integers(1, 6), st.integers(1, 8), st.data())
def test_tap_first_leaves_no_lower_tap_free(kernels: int, taps: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, kernels * taps))
    region = topology.Region(0, kernels, taps, taps)
    held = topology.tap_first(region, count)
    assert len(set(held.tolist())) == count
    free = set(range(region.size)) - set(held.tolist())
    if len(held) and free:
        assert max(held % taps) <= min(position % taps for position in free)
