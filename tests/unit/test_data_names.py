"""The literal lists against aeon's own, and the answer to an unknown name."""

import pytest

from dsn_lab.data.names import UCI, UCR, UEA, archive_of
from dsn_lab.errors import UserError


def test_lists_equal_those_of_aeon() -> None:
    from aeon.datasets.tsc_datasets import multivariate, univariate

    assert len(UCR) == len(set(UCR)) == 128
    assert len(UEA) == len(set(UEA)) == 30
    assert set(UCR) == set(univariate)
    assert set(UEA) == set(multivariate)
    assert not set(UCI) & (set(UCR) | set(UEA))


@pytest.mark.parametrize(
    ("name", "archive"),
    [("GunPoint", "UCR"), ("PEMS-SF", "UEA"), ("HAR", "UCI"), ("UWaveGestureLibrary", "UEA")],
)
def test_archive_of_a_known_name(name: str, archive: str) -> None:
    assert archive_of(name) == archive


@pytest.mark.parametrize(
    ("wrong", "near"), [("gunpoint", "GunPoint"), ("HARR", "HAR"), ("eeg2", "EEG2")]
)
def test_an_unknown_name_is_answered_by_near_ones(wrong: str, near: str) -> None:
    with pytest.raises(UserError, match=f"'{wrong}' is not one of the 161 known.*{near}"):
        archive_of(wrong)


def test_a_name_like_no_other_still_gets_one_line() -> None:
    with pytest.raises(UserError) as caught:
        archive_of("qqqqqqqq")
    assert "161" in str(caught.value)
    assert "\n" not in str(caught.value)
