"""What makes runs runs of one method, and its label."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsn_lab.analysis.methods import labels
from tests.synthetic import record

OTHER = [
    {"dst": "rigl"},
    {"sparsity": 0.5},
    {"model": "lite"},
    {"dsp": "default"},
    {"config__model__groups": 1},
    {"config__trainer__max_epochs": 2},
    {"config__optimizer__lr": 1e-3},
    {"config__dataset__scaling": "none"},
    {"config__model__width": 59},
    {"config__new": [1, 2]},
]


@pytest.mark.parametrize("other", OTHER, ids=lambda other: next(iter(other)))
def test_any_setting_that_decides_a_result_makes_another_method(other: dict[str, Any]) -> None:
    (one, two), said = labels([record("GunPoint"), record("GunPoint", **other)])
    assert one != two
    assert set(said) == {one, two}


def test_dataset_seed_and_fold_do_not() -> None:
    runs = [record("GunPoint"), record("Coffee", seed=3), record("BME", fold=2)]
    assert labels(runs)[0] == ["DSN"] * 3


def test_each_archives_own_defaults_are_one_method() -> None:
    runs = [record("GunPoint"), record("HAR"), record("BasicMotions")]
    assert labels(runs)[0] == ["DSN"] * 3


def test_once_a_width_is_swept_every_width_is_told() -> None:
    wide = record("GunPoint", config__model__width=59)
    given_labels, _ = labels([record("GunPoint"), wide, record("BasicMotions")])
    assert given_labels == ["DSN width=47", "DSN width=59", "DSN width=59"]


def test_labels_say_only_what_differs() -> None:
    runs = [
        record("HAR", sparsity=0.5),
        record("HAR"),
        record("HAR", config__model__groups=1),
        record("HAR", dst="dense", sparsity=0.0, config__model__groups=1),
    ]
    expected = ["DSN S=0.5 groups=3", "DSN S=0.8 groups=3", "DSN S=0.8 groups=1", "DSN dense"]
    assert labels(runs)[0] == expected


def test_pruning_is_named() -> None:
    runs = [
        record("Coffee", model="lite", dst="none", dsp=dsp)
        for dsp in ("none", "default", "scratch")
    ]
    assert labels(runs)[0] == ["LITE", "LITE DSP", "LITE DSP-scratch"]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "model": st.sampled_from(["dsn", "lite"]),
                "dst": st.sampled_from(["dsn", "rigl", "dense"]),
                "sparsity": st.sampled_from([0.0, 0.5, 0.8]),
            },
            optional={
                "dsp": st.sampled_from(["none", "default"]),
                "config__model__groups": st.sampled_from([1, 3]),
                "config__a__b": st.sampled_from([1, "1", None, True]),
            },
        ),
        min_size=1,
        max_size=8,
    )
)
def test_labels_are_equal_exactly_for_equal_settings(chosen: list[dict[str, Any]]) -> None:
    given_labels, _ = labels([record("GunPoint", **other) for other in chosen])
    said = [repr(sorted({"config__model__groups": 3, **other}.items())) for other in chosen]
    for i, one in enumerate(given_labels):
        for j, two in enumerate(given_labels):
            assert (one == two) == (said[i] == said[j])
