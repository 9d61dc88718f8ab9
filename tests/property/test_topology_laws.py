import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from dsn_lab.sparse import topology


@st.composite
def groups(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A region, and positions and values of active weights in it; values repeat, for ties."""
    kernels, taps = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    region = topology.region(kernels, taps + draw(st.integers(0, 3)), taps)
    active = draw(st.lists(st.sampled_from(region.tolist()), min_size=1, unique=True))
    values = draw(
        st.lists(
            st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]),
            min_size=len(active),
            max_size=len(active),
        )
    )
    return region, torch.tensor(active, dtype=torch.int32), torch.tensor(values)


@given(groups(), st.floats(0, 1), st.booleans(), st.integers(0, 1000))
def test_an_update_keeps_the_count_the_region_and_the_largest_weights(
    group: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    fraction: float,
    by_gradient: bool,
    seed: int,
) -> None:
    region, positions, values = group
    moved = topology.smallest(values, topology.drop_count(len(values), fraction))
    kept = torch.ones(len(values), dtype=torch.bool)
    kept[moved] = False
    free = topology.free(region, positions[kept])
    generator = np.random.default_rng(seed)
    if by_gradient:
        gradient = torch.from_numpy(generator.standard_normal(int(region[-1]) + 1))
        grown = topology.grow_by_gradient(free, len(moved), gradient)
    else:
        grown = topology.grow_random(free, len(moved), generator)

    assert len(grown) == len(moved)
    assert torch.isin(grown, region).all()
    assert not torch.isin(grown, positions[kept].long()).any()
    assert len(set(grown.tolist())) == len(grown)
    if len(moved) and kept.any():
        assert values[moved].abs().max() <= values[kept].abs().min()
    if fraction == 0:
        assert len(moved) == 0


@given(st.integers(1, 6), st.integers(1, 8), st.data())
def test_tap_first_leaves_no_lower_tap_free(kernels: int, taps: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, kernels * taps))
    held = topology.tap_first(kernels, taps, count)
    assert len(set(held.tolist())) == count
    free = topology.free(topology.region(kernels, taps, taps), held)
    if len(held) and len(free):
        assert (held % taps).max() <= (free % taps).min()
