"""Comparing classifiers over datasets: wins, two-sided Wilcoxon tests, Holm's correction."""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

ALPHA = 0.05
# Results and published tables hold six digits: what differs by less is a tie.
DIGITS = 5


def wilcoxon_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test; 1 if no pair differs.

    Pairs without a difference are left out (``zero_method="wilcox"``).

    Args:
        first: one method's score on each dataset.
        second: the other's, on the same datasets.
    """
    difference = (np.asarray(first, dtype=float) - np.asarray(second, dtype=float)).round(DIGITS)
    if not np.isfinite(difference).all():
        raise ValueError("a score is missing: compare on datasets that both methods have")
    if not difference.any():
        return 1.0
    return float(wilcoxon(difference, zero_method="wilcox", alternative="two-sided").pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given.

    The i-th smallest of m is multiplied by m - i + 1; none is smaller than its predecessor.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    stepped = np.maximum.accumulate(np.minimum(1.0, factors * p[order]))
    adjusted = np.empty(len(p))
    adjusted[order] = stepped
    return [float(value) for value in adjusted]


def compare(scores: pd.DataFrame, pairs: Sequence[tuple[str, str]] | None = None) -> pd.DataFrame:
    """Compare methods pairwise, each pair on the datasets that both have.

    Args:
        scores: a dataset a row, a method a column, higher is better, NaN where there is none.
        pairs: the pairs to compare, all corrected together; None compares every two.

    Returns:
        A row a pair with a dataset in common: ``first``, ``second``, number of ``datasets``,
        mean of each on them, mean ``difference`` (first - second), ``wins``, ``ties`` and
        ``losses`` of the first, ``p`` and ``p_holm``.
    """
    rows = []
    for first, second in pairs or itertools.combinations(scores.columns, 2):
        both = scores[[first, second]].dropna()
        if both.empty:
            continue
        a, b = both[first], both[second]
        difference = (a - b).round(DIGITS)
        rows.append(
            {
                "first": first,
                "second": second,
                "datasets": len(both),
                "mean_first": a.mean(),
                "mean_second": b.mean(),
                "difference": (a - b).mean(),
                "wins": int((difference > 0).sum()),
                "ties": int((difference == 0).sum()),
                "losses": int((difference < 0).sum()),
                "p": wilcoxon_p(a, b),
            }
        )
    return pd.DataFrame(rows).assign(p_holm=holm([row["p"] for row in rows]))


def clique_level(p_values: Sequence[float]) -> float:
    """The one-sided level at which single tests reject what Holm's procedure rejects.

    Holm rejects the smallest p-values; a one-sided p-value, in the direction of the difference,
    is half of the two-sided one. The level lies just below the smallest that is not rejected.
    """
    kept = [p for p, adj in zip(p_values, holm(p_values), strict=True) if adj > ALPHA]
    return min(kept, default=2 * ALPHA) / 2 * (1 - 1e-9)
