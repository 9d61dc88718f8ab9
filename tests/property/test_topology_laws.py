import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from dsn_lab.sparse import topology


@st.composite
def groups(draw: st.DrawFn) -> tuple[topology.Region, torch.Tensor, torch.Tensor]:
    """A region, and positions and values of active weights in it; values repeat, for ties."""
    kernels, taps, first = draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.integers(0, 9))
    region = topology.Region(first, kernels, taps + draw(st.integers(0, 3)), taps)
    everywhere = region.positions(torch.arange(region.size)).tolist()
    active = draw(st.lists(st.sampled_from(everywhere), min_size=1, unique=True))
    values = draw(
        st.lists(
            st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]),
            min_size=len(active),
            max_size=len(active),
        )
    )
    return region, torch.tensor(active), torch.tensor(values)


@given(groups(), st.floats(0, 1), st.booleans(), st.integers(0, 1000))
def test_an_update_keeps_the_count_the_region_and_the_largest_weights(
    group: tuple[topology.Region, torch.Tensor, torch.Tensor],
    fraction: float,
    by_gradient: bool,
    seed: int,
) -> None:
    region, positions, values = group
    generator = np.random.default_rng(seed)
    held = torch.zeros(region.first + region.kernels * region.kernel_size, dtype=torch.bool)
    held[positions] = True
    moved = topology.smallest(values, topology.drop_count(len(values), fraction))
    kept = torch.ones(len(values), dtype=torch.bool)
    kept[moved] = False
    held[positions[moved]] = False
    if by_gradient:
        gradient = torch.from_numpy(generator.standard_normal(len(held)))
        ranking = topology.rank_by_gradient(region, gradient, len(values))
        grown = topology.grow_by_ranking(ranking, held, len(moved))
    else:
        grown = topology.grow_random(region, held, len(moved), generator)

    everywhere = set(region.positions(torch.arange(region.size)).tolist())
    assert len(set(grown.tolist())) == len(grown) == len(moved)
    assert set(grown.tolist()) <= everywhere - set(positions[kept].tolist())
    if len(moved) and kept.any():
        assert values[moved].abs().max() <= values[kept].abs().min()
    if fraction == 0:
        assert len(moved) == 0


@given(st.integers(1, 6), st.integers(1, 8), st.data())
def test_tap_first_leaves_no_lower_tap_free(kernels: int, taps: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, kernels * taps))
    region = topology.Region(0, kernels, taps, taps)
    held = topology.tap_first(region, count)
    assert len(set(held.tolist())) == count
    free = set(range(region.size)) - set(held.tolist())
    if len(held) and free:
        assert max(held % taps) <= min(position % taps for position in free)
