"""Diagram, matrix and table say the same of every pair, and what textbook tests say."""

import itertools

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import friedmanchisquare, wilcoxon

from dsn_lab.analysis import stats
from dsn_lab.report import diagrams
from dsn_lab.report.tables.comparison import HOLM, pairwise


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Accuracies of 3 to 6 methods on up to 40 datasets, with ties and gaps, some far apart."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    methods, datasets = draw(st.integers(3, 6)), draw(st.integers(16, 40))
    apart = draw(st.sampled_from([0.0, 0.005, 0.02, 0.1]))
    level = random.uniform(0.6, 0.9, size=(datasets, 1)) + apart * random.normal(size=(1, methods))
    scores = (level + 0.03 * random.normal(size=(datasets, methods))).clip(0, 1)
    steps = draw(st.sampled_from([20, 150, 10**6]))  # as many test series: few make ties
    scores = np.round(scores * steps) / steps
    gaps = random.random(scores.shape) < draw(st.sampled_from([0.0, 0.02, 0.1]))
    gaps[:2] = False  # two datasets that all have, or there is no diagram
    scores[gaps] = np.nan
    return pd.DataFrame(scores, columns=[f"m{i}" for i in range(methods)])


def different(scores: pd.DataFrame) -> set[frozenset[str]]:
    """The pairs that Friedman's test, then Holm's procedure as he wrote it, reject."""
    common = scores.dropna()
    columns = [common[m].round(stats.DIGITS) for m in common]
    if (common.round(stats.DIGITS).nunique(axis=1) == 1).all():
        return set()
    if friedmanchisquare(*columns).pvalue > 0.05:
        return set()
    p = {}
    for a, b in itertools.combinations(scores, 2):
        both = scores[[a, b]].dropna()
        z = (both[a] - both[b]).round(stats.DIGITS)
        few = (z != 0).sum() <= stats.SMALL  # compared with SciPy's in the unit tests
        textbook = stats.wilcoxon_p if few else lambda x, y: wilcoxon(x - y).pvalue
        p[frozenset((a, b))] = textbook(z, 0 * z)
    rejected: set[frozenset[str]] = set()
    for i, (pair, value) in enumerate(sorted(p.items(), key=lambda item: item[1])):
        if value > 0.05 / (len(p) - i):
            break
        rejected.add(pair)
    return rejected


def in_table(compared: pd.DataFrame) -> set[frozenset[str]]:
    """The pairs whose corrected p-value the table has in bold."""
    table = pairwise("t", compared.assign(p_first=0.1, p_rope=0.2, p_second=0.7), "", "")
    rows = [frozenset(pair) for pair in compared[["first", "second"]].itertuples(index=False)]
    column = list(table.display.columns).index(HOLM)
    return {rows[i] for (i, j), mark in table.marks.items() if (j, mark) == (column, "best")}


def not_joined(groups: list[list[str]], methods: list[str]) -> set[frozenset[str]]:
    """The pairs that no group holds."""
    return {
        frozenset(pair)
        for pair in itertools.combinations(methods, 2)
        if not any(set(group).issuperset(pair) for group in groups)
    }


@settings(max_examples=500, deadline=None)
@given(tables())
def test_table_and_cliques_say_what_the_tests_say(scores: pd.DataFrame) -> None:
    expected = different(scores)
    compared = stats.compare(scores)
    assert in_table(compared) == expected
    groups = stats.cliques(compared, list(diagrams.ranks(scores).index))
    assert not_joined(groups, list(scores)) == expected


@settings(max_examples=50, deadline=None)
@given(tables())
def test_diagram_and_matrix_show_what_the_table_says(scores: pd.DataFrame) -> None:
    compared = stats.compare(scores)
    (axes,) = diagrams.critical_difference(scores, compared).axes
    bars = [line for line in axes.lines if line.get_gid() == diagrams.CLIQUE]
    groups = [str(bar.get_label()).split("|") for bar in bars]
    assert not_joined(groups, list(scores)) == in_table(compared)
    placed = diagrams.ranks(scores)
    for bar, group in zip(bars, groups, strict=True):
        assert list(np.asarray(bar.get_xdata())) == [placed[method] for method in group]
    (axes,) = diagrams.comparison_matrix(scores, compared, list(scores)).axes
    bold = [text.get_gid() for text in axes.texts if text.get_fontweight() == "bold"]
    assert {frozenset(str(pair).split("|")) for pair in bold} == in_table(compared)


def test_published_case_that_contradicted_the_table_is_joined() -> None:
    """Five methods, of which two have corrected p of .17: a bar joins these."""
    random = np.random.default_rng(5)
    base = random.uniform(0.6, 0.95, 85)
    scores = pd.DataFrame(
        {f"m{i}": base + 0.004 * i + random.normal(0, 0.02, 85) for i in range(5)}
    )
    compared = stats.compare(scores)
    close = compared[(compared["p"] < 0.05) & (compared["p_holm"] > 0.05)]
    assert len(close) > 0
    groups = stats.cliques(compared, list(diagrams.ranks(scores).index))
    for pair in close.itertuples():
        assert any({pair.first, pair.second} <= set(group) for group in groups)
