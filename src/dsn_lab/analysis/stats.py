"""Comparing classifiers over datasets: one family of tests, which tables and figures all show.

Friedman's test over the datasets that every method has, once; if it finds a difference, two-sided
Wilcoxon tests of every two methods, with Holm's correction for all of them; if not, no pair counts
as different. Beside the p-values stands the Bayesian signed-rank test (:mod:`.bayes`).
"""

import itertools
from collections.abc import Sequence

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import friedmanchisquare, rankdata, wilcoxon

from dsn_lab.analysis.bayes import signed_rank

ALPHA = 0.05
# On fewer pairs Wilcoxon's test cannot reach 5 %.
FEW = 6
# Up to as many differences SciPy counts tied ranks exactly, too, but takes seconds a pair.
SMALL = 13
# Results and published tables hold six digits: what differs by less is a tie.
DIGITS = 5


def wilcoxon_p(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test; 1 if no pair differs.

    Pairs without a difference are left out (``zero_method="wilcox"``).

    Args:
        first: one method's score on each dataset.
        second: the other's, on the same datasets.
    """
    difference = (np.asarray(first, dtype=float) - np.asarray(second, dtype=float)).round(DIGITS)
    if not np.isfinite(difference).all():
        raise ValueError("a score is missing: compare on datasets that both methods have")
    difference = difference[difference != 0]
    if len(difference) <= SMALL:
        return _exact_p(difference)
    return float(wilcoxon(difference, zero_method="wilcox", alternative="two-sided").pvalue)


def _exact_p(differences: NDArray[np.float64]) -> float:
    """The same by counting the sums of ranks of all patterns of signs; tied ranks are halves."""
    ranks = (2 * rankdata(abs(differences))).astype(int)
    patterns = np.ones(1)
    for rank in ranks:
        with_it = np.concatenate([np.zeros(rank), patterns])
        patterns = np.pad(patterns, (0, rank)) + with_it
    lower = min(ranks[differences > 0].sum(), ranks[differences < 0].sum())
    return float(min(1.0, 2 * patterns[: lower + 1].sum() / patterns.sum()))


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


def friedman_p(scores: pd.DataFrame) -> float | None:
    """p-value of Friedman's test over the datasets that all methods have.

    Args:
        scores: a dataset a row, a method a column, NaN where there is none.

    Returns:
        None for fewer than three methods, or fewer than two datasets that all have.
    """
    common = scores.dropna().round(DIGITS)
    if len(common.columns) < 3 or len(common) < 2:
        return None
    if (common.nunique(axis=1) == 1).all():
        return 1.0
    return float(friedmanchisquare(*(common[method] for method in common.columns)).pvalue)


def compare(scores: pd.DataFrame, pairs: Sequence[tuple[str, str]] | None = None) -> pd.DataFrame:
    """Compare methods pairwise, each pair on the datasets that both have.

    Args:
        scores: a dataset a row, a method a column, higher is better, NaN where there is none.
        pairs: the pairs to compare, all corrected together, without Friedman's test; None compares
            every two after it.

    Returns:
        A row a pair with a dataset in common: ``first``, ``second``, number of ``datasets``,
        mean of each on them, mean ``difference`` (first - second), ``wins``, ``ties`` and
        ``losses`` of the first, ``p``, ``p_holm``, and whether the two are ``different`` by these
        tests.
    """
    omnibus = friedman_p(scores) if pairs is None else None
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
    adjusted = np.array(holm([row["p"] for row in rows]))
    rejected = omnibus is None or omnibus <= ALPHA
    return pd.DataFrame(rows).assign(p_holm=adjusted, different=rejected & (adjusted <= ALPHA))


def beliefs(compared: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Add Bayesian signed-rank tests to pairs that are compared.

    Returns:
        ``compared`` with ``p_first``, ``p_rope`` and ``p_second``: the probabilities that the first
        is better, that there is no practical difference, and that the second is better; NaN on
        fewer than six datasets.
    """
    found = []
    for first, second in compared[["first", "second"]].itertuples(index=False):
        difference = (scores[first] - scores[second]).dropna().round(DIGITS)
        found.append(signed_rank(difference) if len(difference) >= FEW else (np.nan,) * 3)
    columns = pd.DataFrame(found, columns=["p_first", "p_rope", "p_second"])
    return compared.reset_index(drop=True).join(columns)


def cliques(compared: pd.DataFrame, methods: Sequence[str]) -> list[list[str]]:
    """The largest groups of methods of which no two are different.

    Two methods share a group exactly if they are compared and not ``different``.

    Args:
        compared: of :func:`compare`.
        methods: in the order wanted, by mean rank for a diagram.

    Returns:
        Groups of two methods at least, each in that order, and the groups in it, too.
    """
    alike = compared.loc[~compared["different"], ["first", "second"]]
    graph = nx.Graph(list(alike.itertuples(index=False, name=None)))
    place = {method: i for i, method in enumerate(methods)}
    groups = (sorted(group, key=place.__getitem__) for group in nx.find_cliques(graph))
    return sorted(groups, key=lambda group: [place[method] for method in group])
