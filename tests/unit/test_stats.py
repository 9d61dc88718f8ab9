"""Tests over datasets, against numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from dsn_lab.analysis import bayes
from dsn_lab.analysis.stats import beliefs, cliques, compare, friedman_p, holm, wilcoxon_p


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


@pytest.mark.parametrize("seed", range(6))
def test_wilcoxon_of_few_tied_differences_is_scipys(seed: int) -> None:
    difference = np.random.default_rng(seed).integers(-4, 6, size=8) / 100
    expected = scipy.stats.wilcoxon(difference, zero_method="wilcox").pvalue
    assert wilcoxon_p(difference, np.zeros(8)) == pytest.approx(expected)


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


def test_friedman_by_hand() -> None:
    # Ranks 1, 2, 3 on each of four datasets: chi2 = 12 / 48 * (4^2 + 8^2 + 12^2) - 48 = 8, df 2.
    scores = pd.DataFrame({"a": [0.9] * 4, "b": [0.8] * 4, "c": [0.7] * 4})
    assert friedman_p(scores) == pytest.approx(0.018316, abs=1e-6)
    assert friedman_p(scores * 0) == 1.0
    assert friedman_p(scores[["a", "b"]]) is None
    assert friedman_p(scores[:1]) is None


def test_without_a_difference_by_friedman_no_pair_differs() -> None:
    # b loses narrowly but everywhere to a; c, beside them, hides it from Friedman's test.
    a = [0.8 + 0.001 * i for i in range(7)]
    scores = pd.DataFrame({"a": a, "b": [x - 0.002 for x in a], "c": [0.9] * 3 + [0.5] * 4})
    compared = compare(scores)
    assert compared["p_holm"].min() < 0.05 < (friedman_p(scores) or 0)
    assert not compared["different"].any()
    assert cliques(compared, ["a", "b", "c"]) == [["a", "b", "c"]]
    assert compare(scores[["a", "b"]])["different"].all()


def test_cliques_are_the_largest_groups_and_may_leave_one_out_between() -> None:
    pairs = [("a", "b", True), ("a", "c", False), ("b", "c", False), ("c", "d", False),
             ("a", "d", True), ("b", "d", True)]  # fmt: skip
    compared = pd.DataFrame(pairs, columns=["first", "second", "different"])
    assert cliques(compared, ["a", "b", "c", "d"]) == [["a", "c"], ["b", "c"], ["c", "d"]]


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (0.0, (0, 1, 0)),
        (0.05, (1, 0, 0)),
        (-0.05, (0, 0, 1)),
        (0.01, (0, 1, 0)),
        (-0.011, (0, 0, 1)),
    ],
)
def test_signed_rank_where_all_agree(difference: float, expected: tuple[float, ...]) -> None:
    found = bayes.signed_rank([difference] * 20)
    assert found == pytest.approx(expected, abs=1e-3)


def test_signed_rank_is_a_function_of_its_arguments_and_symmetric() -> None:
    differences = [0.03, -0.02, 0.04, 0.0, 0.015, -0.01, 0.02, 0.05]
    first, equivalent, second = bayes.signed_rank(differences)
    assert bayes.signed_rank(differences) == (first, equivalent, second)
    assert first + equivalent + second == pytest.approx(1)
    mirrored = bayes.signed_rank([-x for x in differences])
    assert mirrored == pytest.approx((second, equivalent, first))
    assert bayes.signed_rank(differences, rope=0.5)[1] == 1
    assert bayes.signed_rank(differences, seed=1)[0] == pytest.approx(first, abs=0.02)


def test_signed_rank_of_one_observation_by_hand() -> None:
    # Above unless both draws are the prior's: first wins if w0^2 < 1/2, with w0 ~ Beta(1/2, 1),
    # whose distribution function is sqrt(w): (1/2)^(1/4).
    assert bayes.signed_rank([0.05], draws=200_000)[0] == pytest.approx(0.5**0.25, abs=0.005)


def test_probabilities_are_given_from_six_datasets_on() -> None:
    scores = pd.DataFrame({"a": [0.9] * 6, "b": [0.8] * 6})
    assert beliefs(compare(scores), scores)["p_first"].item() > 0.99
    few = scores[:5]
    assert beliefs(compare(few), few)[["p_first", "p_rope", "p_second"]].isna().all(axis=None)
