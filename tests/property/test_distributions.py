"""How a network's active weights are spread over its exploration regions."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsn_lab.nn import DSN, SparseConv1d
from dsn_lab.registry import distributions
from dsn_lab.sparse.distribution import Shape, sizes

small = st.integers(1, 12)
networks = st.lists(st.tuples(small, small, small), min_size=1, max_size=8)
sparsities = st.integers(0, 99).map(lambda percent: percent / 100)


@pytest.mark.parametrize("name", list(distributions))
@given(shapes=networks, sparsity=sparsities)
def test_every_distribution_has_the_same_total_and_fits(
    name: str, shapes: list[Shape], sparsity: float
) -> None:
    counts = distributions[name](shapes, sparsity)
    assert sum(counts) == sum(distributions["uniform"](shapes, sparsity))
    assert all(0 <= count <= size for count, size in zip(counts, sizes(shapes), strict=True))


@given(networks, sparsities)
def test_erk_is_in_proportion_to_the_sums_of_the_shapes_but_for_full_regions(
    shapes: list[Shape], sparsity: float
) -> None:
    counts = distributions["erk"](shapes, sparsity)
    partly = [
        (count, sum(shape))
        for count, shape, size in zip(counts, shapes, sizes(shapes), strict=True)
        if count < size
    ]
    # Each is its share, rounded up or down.
    for one, other in pairwise(sorted(partly, key=lambda each: each[0] / each[1])):
        assert (other[0] - 1) / other[1] < (one[0] + 1) / one[1]


def test_erk_by_hand() -> None:
    # Sums 8, 14 and 3: of 23 weights 7.36, 12.88 and 2.76, but the last region has 1 position.
    # So 22 for the others: 8 and 14.
    assert distributions["erk"]([(1, 2, 5), (4, 5, 5), (1, 1, 1)], 0.79) == (8, 14, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_has_as_many_active_weights_distributed_otherwise(channels: int) -> None:
    uniform, erk = (
        [
            module.active
            for module in DSN(channels, 2, width=8, kernel_size=9, distribution=name).modules()
            if isinstance(module, SparseConv1d)
        ]
        for name in ("uniform", "erk")
    )
    assert sum(map(sum, uniform)) == sum(map(sum, erk))
    assert uniform != erk
    layer = SparseConv1d(8, 24, 9, groups=3, sparsity=0.8)
    assert uniform[1:] == [layer.active] * 3
