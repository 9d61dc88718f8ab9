"""Tests over datasets, against numbers worked out by hand."""

import pandas as pd
import pytest

from dsn_lab.analysis.stats import clique_level, compare, holm, wilcoxon_p


def test_wilcoxon_is_two_sided_and_exact() -> None:
    # Six differences of one sign: 2 of the 2^6 sign patterns are as extreme.
    better = [0.61, 0.72, 0.83, 0.94, 0.75, 0.86]
    worse = [0.60, 0.70, 0.80, 0.90, 0.70, 0.80]
    assert wilcoxon_p(better, worse) == pytest.approx(2 / 64)
    assert wilcoxon_p(worse, better) == pytest.approx(2 / 64)


def test_wilcoxon_with_one_small_difference_against() -> None:
    # Rank 1 against, ranks 2 to 5 for: W = 1, reached by 2 patterns on each side of 2^5.
    assert wilcoxon_p([0.5, 0.5, 0.5, 0.5, 0.5], [0.51, 0.48, 0.47, 0.46, 0.45]) == pytest.approx(
        4 / 32
    )


def test_equal_scores_have_p_one() -> None:
    assert wilcoxon_p([0.5, 0.6], [0.5, 0.6]) == 1


def test_what_differs_only_by_rounding_is_a_tie() -> None:
    scores = pd.DataFrame({"a": [0.986667, 0.5], "b": [0.9866666666, 0.4]})
    (row,) = compare(scores).to_dict("records")
    assert (row["wins"], row["ties"], row["losses"]) == (1, 1, 0)


def test_a_missing_score_is_refused() -> None:
    with pytest.raises(ValueError, match="missing"):
        wilcoxon_p([0.5, float("nan")], [0.5, 0.6])


def test_holm_by_hand() -> None:
    # Sorted: .01 x 4, .02 x 3, .03 x 2 = .06 which is not less than .06, .04 x 1 raised to .06.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_holm_never_exceeds_one_and_keeps_the_order_given() -> None:
    assert holm([0.9, 0.001, 0.8]) == pytest.approx([1.0, 0.003, 1.0])


def test_compare_uses_the_datasets_of_both_only() -> None:
    nan = float("nan")
    scores = pd.DataFrame(
        {"a": [0.9, 0.8, 0.7, nan], "b": [0.8, 0.8, nan, 0.5], "c": [nan, nan, nan, 0.1]},
        index=["w", "x", "y", "z"],
    )
    rows = compare(scores).set_index(["first", "second"])
    assert list(rows.index) == [("a", "b"), ("b", "c")]
    assert rows.loc[("a", "b"), "datasets"] == 2
    assert rows.loc[("a", "b"), "mean_first"] == pytest.approx(0.85)
    assert rows.loc[("a", "b"), "difference"] == pytest.approx(0.05)
    assert list(rows.loc[("a", "b"), ["wins", "ties", "losses"]]) == [1, 1, 0]


@pytest.mark.parametrize(
    "p_values",
    [[0.001, 0.02, 0.04], [0.2, 0.3, 0.9], [0.001, 0.002, 0.003], [0.01, 0.02, 0.04]],
)
def test_the_cliques_level_rejects_one_sided_what_holm_rejects(p_values: list[float]) -> None:
    level = clique_level(p_values)
    rejected = [adjusted <= 0.05 for adjusted in holm(p_values)]
    assert [p / 2 <= level for p in p_values] == rejected
