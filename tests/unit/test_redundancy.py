"""Redundancy of feature maps, against numbers worked out by hand."""

import pytest
import torch

from dsn_lab.analysis.redundancy import cosine_sum, mean_correlation


def test_cosines_between_active_channels_are_summed_by_hand() -> None:
    one = [3.0, 0.0], [3.0, 3.0], [0.0, 4.0], [0.1, 0.0], [0.0, 0.0]
    # Norms 3, 4.24, 4, .1, 0: their sum over 4 + 1 is 2.27, so the first three are active.
    # Cosines: 1/sqrt 2, 0, 1/sqrt 2.
    assert cosine_sum(torch.tensor([one])).tolist() == pytest.approx([2**0.5])


def test_every_series_has_its_own_active_channels() -> None:
    maps = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 5.0]], [[0.0, 0.0]] * 2])
    assert cosine_sum(maps).tolist() == pytest.approx([1, 0, 0])


def test_more_channels_that_are_alike_have_a_larger_sum_and_the_same_correlation() -> None:
    series = torch.randn(3, 1, 20, generator=torch.Generator().manual_seed(0))
    few, many = series.repeat(1, 3, 1), series.repeat(1, 6, 1)
    assert cosine_sum(few).tolist() == pytest.approx([3] * 3, abs=1e-5)
    assert cosine_sum(many).tolist() == pytest.approx([15] * 3, abs=1e-5)
    assert mean_correlation(few) == pytest.approx(mean_correlation(many)) == pytest.approx(1)


def test_correlation_is_absolute_and_constant_channels_have_none() -> None:
    rising = torch.arange(4.0)
    assert mean_correlation(torch.stack([rising, -rising])[None]) == pytest.approx(1)
    assert mean_correlation(torch.stack([rising, 0 * rising])[None]) == 0
