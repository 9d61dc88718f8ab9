"""Laws of cleaning, over random series with missing values and unequal lengths."""

from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
from hypothesis import assume, given, settings
from numpy.typing import NDArray

from dsn_lab.data.split import encode
from dsn_lab.data.transforms import SCALINGS, clean

Floats = NDArray[np.floating[Any]]
values = st.one_of(st.just(np.nan), st.floats(-1e6, 1e6, width=32), st.integers(-3, 3).map(float))


def arrays(channel: int) -> st.SearchStrategy[Floats]:
    shapes = st.tuples(st.integers(1, 4), st.just(channel), st.integers(1, 6))
    return hnp.arrays(np.float64, shapes, elements=values).filter(
        lambda x: not np.isnan(x[:, :, 0]).all(axis=1).any()
    )


pairs = st.integers(1, 3).flatmap(lambda channel: st.tuples(arrays(channel), arrays(channel)))
scalings = st.sampled_from(SCALINGS)


def usable(train: Floats, scaling: str) -> bool:
    return scaling == "none" or float(np.nanstd(train)) > 1e-3


@settings(deadline=None, max_examples=50)
@given(pairs, scalings)
def test_cleaned_arrays_are_finite_float32_of_one_shape(
    pair: tuple[Floats, Floats], scaling: str
) -> None:
    train, test = pair
    assume(usable(train, scaling))
    x_train, x_test, facts = clean(train, test, scaling)
    assert x_train.dtype == x_test.dtype == np.float32
    assert np.isfinite(x_train).all()
    assert np.isfinite(x_test).all()
    assert x_train.shape[:2] == train.shape[:2]
    assert x_test.shape == (len(test), *x_train.shape[1:])
    assert all(isinstance(value, str | int | float) for value in facts.values())


@settings(deadline=None, max_examples=50)
@given(pairs, scalings, st.data())
def test_training_arrays_never_depend_on_the_test_split(
    pair: tuple[Floats, Floats], scaling: str, data: st.DataObject
) -> None:
    train, test = pair
    assume(usable(train, scaling))
    other = data.draw(arrays(train.shape[1]))
    assert np.array_equal(clean(train, test, scaling)[0], clean(train, other, scaling)[0])


@settings(deadline=None, max_examples=50)
@given(pairs)
def test_observed_values_survive_without_scaling(pair: tuple[Floats, Floats]) -> None:
    train, test = pair
    for raw, cleaned in zip(pair, clean(train, test, "none")[:2], strict=True):
        time = min(raw.shape[2], cleaned.shape[2])
        seen = ~np.isnan(raw[:, :, :time])
        assert np.array_equal(cleaned[:, :, :time][seen], raw[:, :, :time][seen].astype(np.float32))


@settings(deadline=None, max_examples=50)
@given(pairs)
def test_complete_training_values_are_standardised(pair: tuple[Floats, Floats]) -> None:
    train, test = np.nan_to_num(pair[0]), pair[1]
    assume(usable(train, "train"))
    x_train = clean(train, test, "train")[0].astype(np.float64)
    assert abs(x_train.mean()) < 1e-4
    assert abs(x_train.std() - 1) < 1e-4


@settings(deadline=None, max_examples=50)
@given(pairs)
def test_padding_beyond_the_end_changes_nothing(pair: tuple[Floats, Floats]) -> None:
    train, test = pair
    longer = np.pad(train, ((0, 0), (0, 0), (0, 3)), constant_values=np.nan)
    x_train, x_test, facts = clean(train, test, "none")
    y_train, y_test, same_facts = clean(longer, test, "none")
    assert np.array_equal(x_train, y_train)
    assert np.array_equal(x_test, y_test)
    assert facts == same_facts


labels = st.lists(st.sampled_from(["-1", "1", "2", "10", "x"]), min_size=2, max_size=8).filter(
    lambda drawn: len(set(drawn)) > 1
)


@given(labels)
def test_codes_name_the_labels_they_came_from(drawn: list[str]) -> None:
    y, again, classes = encode(np.array(drawn), np.array(drawn[::-1]))
    assert [classes[code] for code in y] == drawn
    assert y[::-1].tolist() == again.tolist()
    assert len(classes) == len(set(drawn)) == y.max() + 1
