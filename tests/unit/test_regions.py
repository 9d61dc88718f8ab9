import pytest

from dsn_lab.nn import SparseConv1d
from dsn_lab.sparse.regions import active_counts, group_widths, region_taps


def test_group_i_of_n_uses_the_first_i_nths_of_the_taps() -> None:
    assert region_taps(39, 3) == (13, 26, 39)
    assert region_taps(40, 3) == (13, 26, 39)
    assert region_taps(39, 1) == (39,)


def test_region_sizes_and_active_counts_of_a_paper_layer() -> None:
    conv = SparseConv1d(47, 141, 39, groups=3, sparsity=0.8)
    sizes = (28717, 57434, 86151)
    assert conv.region_sizes == sizes
    assert conv.active == (5743, 11486, 17230)
    assert active_counts(sizes, 0.8) == (5743, 11486, 17230)


def test_active_counts_read_the_sparsity_as_the_decimal_it_is_written_as() -> None:
    assert active_counts((100, 10), 0.9) == (10, 1)
    assert active_counts((7,), 0.5) == (3,)
    assert active_counts((7,), 0.0) == (7,)


@pytest.mark.parametrize("groups", [2, 4, 5])
def test_groups_that_do_not_divide_are_refused(groups: int) -> None:
    with pytest.raises(ValueError, match=f"groups={groups}: does not divide the 141"):
        group_widths(141, groups)


def test_more_groups_than_taps_are_refused() -> None:
    with pytest.raises(ValueError, match="groups=4: must be from 1 to kernel_size=3"):
        region_taps(3, 4)
