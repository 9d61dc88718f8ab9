"""The cleaning policy on tables small enough to check by hand."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dsn_lab.data.split import Split, encode, label_names, resample
from dsn_lab.data.transforms import clean, cleaned, learn, observed_lengths, stack
from dsn_lab.errors import UserError

N = np.nan


def one_channel(*rows: list[float]) -> NDArray[np.float64]:
    return np.array(rows, dtype=np.float64)[:, None, :]


def labelled(x: NDArray[np.float64], labels: str) -> Split:
    return Split(x, np.array(labels.split(), dtype=np.str_), "")


def test_a_trailing_nan_ends_a_series_only_if_all_channels_share_it() -> None:
    x = np.array([[[1, 2, N, N], [1, N, 3, N]], [[N, 2, 3, 4], [N, N, N, N]]], dtype=float)
    assert observed_lengths(x).tolist() == [3, 4]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([0, N, N, 3], [0, 1, 2, 3]),  # linear between neighbours
        ([N, N, 2, 5], [2, 2, 2, 5]),  # a gap at the start: the nearest observation
        ([1, 2, N, N], [1, 2, 0, 0]),  # the end of the series: padding
    ],
)
def test_missing_values_and_padding_without_scaling(
    row: list[float], expected: list[float]
) -> None:
    x, _, facts = clean(one_channel(row, [4, 4, 4, 4]), one_channel([1, 1, 1, 1]), "none")
    assert x[0, 0].tolist() == expected
    assert facts["n_missing_train"] == (0 if expected[2:] == [0, 0] else 2)
    assert facts["n_padded_train"] == (1 if expected[2:] == [0, 0] else 0)


def test_missing_values_may_be_zero_after_scaling() -> None:
    train = one_channel([4, N, N, 8])
    x, _, facts = cleaned(train, train, learn(train, "train", "zero"))
    assert x[0, 0].tolist() == [-1, 0, 0, 1]
    assert facts["n_missing_train"] == 2


def test_a_gap_at_the_end_of_one_channel_takes_the_nearest_observation() -> None:
    x, _, _ = clean(np.array([[[1, 2, N], [5, 6, 7]]], dtype=float), np.ones((1, 2, 3)), "none")
    assert x[0].tolist() == [[1, 2, 2], [5, 6, 7]]


def test_an_unobserved_channel_takes_the_training_mean_of_that_channel() -> None:
    train = np.array([[[1, 3], [N, N]], [[0, 0], [6, 8]]], dtype=float)
    test = np.array([[[N, N], [100, 100]]], dtype=float)
    x_train, x_test, facts = clean(train, test, "none")
    assert x_train[0, 1].tolist() == [7, 7]
    assert x_test[0, 0].tolist() == [1, 1]
    assert (facts["n_missing_train"], facts["n_missing_test"]) == (2, 2)


def test_a_channel_never_observed_in_training_takes_the_overall_mean() -> None:
    train = np.array([[[1, 3], [N, N]]], dtype=float)
    x_train, x_test, _ = clean(train, np.array([[[1, 1], [N, 9]]], dtype=float), "train")
    assert x_train[0].tolist() == [[-1, 1], [0, 0]]
    assert x_test[0].tolist() == [[-1, -1], [7, 7]]


def test_lengths_follow_the_longest_training_series() -> None:
    train = one_channel([1, 2, 3, N], [1, N, N, N])
    test = one_channel([1, 2, 3, 4, 5], [1, 2, N, N, N])
    x_train, x_test, facts = clean(train, test, "none")
    assert x_train[:, 0].tolist() == [[1, 2, 3], [1, 0, 0]]
    assert x_test[:, 0].tolist() == [[1, 2, 3], [1, 2, 0]]
    assert facts["unequal_length"] is True
    counts = [facts[key] for key in ("n_padded_train", "n_padded_test", "n_truncated")]
    assert counts == [1, 1, 1]


def test_a_test_split_shorter_than_training_is_padded() -> None:
    _, x_test, facts = clean(one_channel([1, 2, 3]), one_channel([4, 5]), "none")
    assert x_test[0, 0].tolist() == [4, 5, 0]
    assert facts["n_padded_test"] == 1


def test_scaling_uses_the_overall_training_moments_and_pads_with_their_mean() -> None:
    train = np.array([[[1, 3], [5, 7]], [[4, N], [4, N]]], dtype=float)
    x_train, x_test, facts = clean(train, np.full((1, 2, 2), 4.0), "train")
    std = np.std([1, 3, 5, 7, 4, 4])
    assert facts["train_mean"] == 4
    assert facts["train_std"] == pytest.approx(std)
    assert x_train[0].ravel() == pytest.approx(np.array([-3, -1, 1, 3]) / std)
    assert x_train[1].tolist() == [[0, 0], [0, 0]]
    assert not x_test.any()
    assert x_train.dtype == x_test.dtype == np.float32
    assert x_train.flags.c_contiguous


def test_cleaning_leaves_its_input_alone() -> None:
    train, test = one_channel([1, N, 3, N]), one_channel([N, 2, 3, 4])
    before = train.copy(), test.copy()
    clean(train, test, "train")
    assert np.array_equal(train, before[0], equal_nan=True)
    assert np.array_equal(test, before[1], equal_nan=True)


@pytest.mark.parametrize(
    ("train", "test", "scaling", "told"),
    [
        (one_channel([1, 2], [N, N]), one_channel([1, 2]), "none", "train series 1 has no obs"),
        (one_channel([1, 2]), one_channel([N, N]), "none", "test series 0 has no observation"),
        (one_channel([1, N]), one_channel([N, 5]), "none", "in its first 1 steps"),
        (one_channel([1, np.inf]), one_channel([1, 2]), "none", "train series 0 is infinite"),
        (one_channel([1, 2]), one_channel([0, -np.inf]), "train", "test series 0 is infinite"),
        (one_channel([1, 2]), one_channel([1e39, 1]), "none", "beyond float32"),
        (one_channel([1e-30, 0]), one_channel([1e38, 1]), "train", "test series 0 is infinite"),
        (one_channel([2, 2]), one_channel([1, 2]), "train", "constant"),
        (one_channel([1, 2]), np.ones((1, 3, 2)), "none", "train has 1 channels but test has 3"),
        (one_channel([1, 2]), one_channel([1, 2]), "minmax", "'minmax' is unknown: expected none"),
    ],
)
def test_unusable_series_are_named(
    train: NDArray[Any], test: NDArray[Any], scaling: str, told: str
) -> None:
    with pytest.raises(UserError, match=told):
        clean(train, test, scaling)


def test_stack_pads_ragged_lists_and_names_bad_series() -> None:
    x = stack([np.ones((2, 3)), np.ones((2, 1))], "train")
    assert x.shape == (2, 2, 3)
    assert observed_lengths(x).tolist() == [3, 1]
    with pytest.raises(UserError, match="test series 1"):
        stack([np.ones((2, 3)), np.ones((1, 3))], "test")
    with pytest.raises(UserError, match="train series 0"):
        stack([np.ones((2, 0))], "train")
    with pytest.raises(UserError, match="holds no series"):
        stack([], "train")


def test_labels_are_sorted_by_value_when_all_are_numbers() -> None:
    train, test = np.array(["10", "-1", "1", "10"]), np.array(["1", "10"])
    y_train, y_test, classes = encode(train, test)
    assert classes == ("-1", "1", "10")
    assert y_train.tolist() == [2, 0, 1, 2]
    assert y_test.tolist() == [1, 2]
    assert y_train.dtype == np.int64


@pytest.mark.parametrize("labels", [["b", "a", "10"], ["nan", "2", "10"]])
def test_labels_are_sorted_by_text_otherwise(labels: list[str]) -> None:
    assert encode(np.array(labels), np.array(labels))[2] == tuple(sorted(labels))


def test_labels_are_encoded_by_training_classes_only() -> None:
    with pytest.raises(UserError, match="never seen in train: 3, 20"):
        encode(np.array(["1", "2"]), np.array(["20", "1", "3"]))
    with pytest.raises(UserError, match="only class 'a'"):
        encode(np.array(["a", "a"]), np.array(["a"]))


def test_label_names_are_text() -> None:
    assert label_names(np.array([1.0, -1.0, 2.5])).tolist() == ["1", "-1", "2.5"]
    assert label_names(np.array([3, 0])).tolist() == ["3", "0"]
    assert label_names(np.array([" walking", "sit "])).tolist() == ["walking", "sit"]


def test_resampling_is_aeons_and_keeps_sizes_pairs_and_lengths() -> None:
    from aeon.benchmarking.resampling import stratified_resample_data

    x = np.arange(24, dtype=float).reshape(12, 1, 2)
    y = np.array([*"aabbbb", *"aaabbb"])
    train, test = Split(x[:6], y[:6], ""), Split(stack(list(x[6:]), "test"), y[6:], "")
    new_train, new_test = resample(train, test, 3)
    expected = stratified_resample_data(x[:6], y[:6], x[6:], y[6:], random_state=3)
    found = (new_train.x, new_train.y, new_test.x, new_test.y)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert sorted(new_train.y) == sorted(train.y)
    assert not np.array_equal(new_train.x, train.x)
    assert resample(train, test, 0) == (train, test)


def test_resampling_pools_splits_of_unequal_width() -> None:
    train = labelled(one_channel([1, 1], [2, 2]), "a b")
    test = labelled(one_channel([3, 3, 3], [4, 4, 4]), "a b")
    for fold in range(1, 5):
        new = resample(train, test, fold)
        pooled = np.concatenate([split.x for split in new])
        order = np.argsort(pooled[:, 0, 0])
        assert observed_lengths(pooled[order]).tolist() == [2, 2, 3, 3]


def test_resampling_needs_every_class_in_both_splits() -> None:
    train, test = labelled(one_channel([1], [2]), "a b"), labelled(one_channel([1]), "a")
    with pytest.raises(UserError, match="holds b: use fold 0"):
        resample(train, test, 1)
