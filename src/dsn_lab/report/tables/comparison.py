"""Methods against each other: one family of tests, shown as a table, a diagram and a matrix."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from dsn_lab.analysis import stats
from dsn_lab.report import diagrams, figures
from dsn_lab.report.inputs import Inputs, count, p_value, probability, signed
from dsn_lab.report.parts import Picture, Section, Table, picture

SHOWN_SCATTERS = 6
METHODS, ENSEMBLES = "Comparison of methods", "Comparison of ensembles"
HOLM = "p, Holm"
TESTS = (
    "p: two-sided Wilcoxon signed-rank test over datasets; Holm: corrected for all {tests} of this "
    f"family. Bold: different at {stats.ALPHA:g}{{gate}}. Better, equivalent, worse: probabilities "
    "for the first by the Bayesian signed-rank test, where a difference of up to one point is "
    "equivalence."
)


def section(inputs: Inputs) -> Section | str:
    """Our methods pairwise: single networks, or ensembles of them, never both."""
    whole = inputs.are_ensembles
    if whole and not inputs.methods:
        return "No method has two seeds or more with stored predictions on one dataset."
    if len(inputs.methods) < 2:
        return f"Needs {'ensembles' if whole else 'runs'} of two methods; there is one."
    if not inputs.folds:
        return "No fold has been run by every method."
    if (inputs.scores.notna().sum(axis=1) < 2).all():
        return "No dataset has every expected run of two methods."
    said = inputs.basis(inputs.summary, inputs.scores.index)
    name = "ensembles" if whole else "ours"
    items = family(name, inputs.scores, inputs.methods, said, inputs.chosen)
    key, title = ("ensembles", ENSEMBLES) if whole else ("comparison", METHODS)
    return Section(key, title, overlap(inputs.scores), items)


def overlap(scores: pd.DataFrame) -> str:
    """Which datasets tests and figures are over."""
    common = scores.dropna()
    out = sorted(set(scores.index) - set(common.index))
    if not out:
        return (
            f"Over {count(len(common), 'dataset')}, for which every method has every expected run."
        )
    names = f": {', '.join(out[:8])}{', ...' * (len(out) > 8)}"
    return (
        "Two methods are tested on the datasets for which both have every expected run; "
        f"figures place all {len(common.columns)} methods over the "
        f"{count(len(common), 'dataset')} for which all have. "
        f"{count(len(out), 'other')} left out{names}."
    )


def family(
    name: str,
    scores: pd.DataFrame,
    ours: Sequence[str],
    basis: str,
    chosen: Sequence[tuple[str, str]],
) -> list[Table | Picture]:
    """Table, diagram, matrix and scatters of the tests between every two methods.

    Args:
        name: part of the files' names.
        scores: a dataset a row, a method a column, NaN where there is none.
        ours: methods of which the table has a row and the matrix a column for every other one.
        basis: what the scores rest on, for captions.
        chosen: pairs for scatters; those of other methods are left out.
    """
    compared = stats.compare(scores)
    friedman = stats.friedman_p(scores)
    rows = compared[compared["first"].isin(ours) | compared["second"].isin(ours)]
    rows = stats.beliefs(rows, scores)
    gate = _gate(friedman)
    tests = TESTS.format(tests=count(len(compared), "test"), gate=gate)
    items: list[Table | Picture] = [pairwise(f"pairwise_{name}", rows, tests, basis)]
    common = scores.dropna()
    if len(common) < 2:
        return items
    data = common.reset_index(names="dataset")
    if friedman is not None and len(common) >= stats.FEW:  # of fewer, ranks say nothing
        caption = (
            "Critical difference diagram: mean ranks, 1 is best. A bar joins methods (dots) of "
            f"which no two differ by the tests of the table{gate}. {basis}."
        )
        placed = diagrams.ranks(common).items()
        alt = "Mean ranks: " + ", ".join(f"{method} {rank:.2f}" for method, rank in placed)
        drawn = diagrams.critical_difference(common, compared)
        items.append(picture(f"critical_difference_{name}", caption, alt, drawn, data))
    caption = (
        "Multi-comparison matrix: in a cell, row's mean accuracy minus column's, row's "
        "wins / ties / losses, and the corrected p-value, as in the table; bold where the table "
        f"is{gate}. {basis}."
    )
    alt = f"Matrix of {len(common.columns)} methods, best mean accuracy first"
    drawn = diagrams.comparison_matrix(common, compared, ours)
    items.append(picture(f"multi_comparison_{name}", caption, alt, drawn, data))
    if pairs := _pairs(list(common.columns), ours, chosen):
        items.append(_scatters(name, common, pairs, basis))
    return items


def pairwise(name: str, data: pd.DataFrame, tests: str, basis: str) -> Table:
    """A row a pair; what is different in bold."""
    display = pd.DataFrame(
        {
            "method": data["first"],
            "against": data["second"],
            "datasets": data["datasets"].astype(str),
            "mean %": [f"{100 * x:.2f}" for x in data["mean_first"]],
            "against, mean %": [f"{100 * x:.2f}" for x in data["mean_second"]],
            "difference": [signed(100 * x) for x in data["difference"]],
            "wins / ties / losses": _slashed(data[["wins", "ties", "losses"]], str),
            "p": data["p"].map(p_value),
            HOLM: data["p_holm"].map(p_value),
            "better / equivalent / worse": _slashed(
                data[["p_first", "p_rope", "p_second"]], probability
            ),
        }
    )
    column = list(display.columns).index(HOLM)
    marks = {(i, column): "best" for i, different in enumerate(data["different"]) if different}
    few = (data["datasets"] < stats.FEW).any()
    caption = (
        f"Test accuracy, wins, ties and losses of the first method. {tests} {basis}."
        + f" With fewer than {stats.FEW} datasets no difference can be significant, and there are "
        "no probabilities." * bool(few)
    )
    return Table(name, caption, display, data, ("against",), marks)


def _slashed(columns: pd.DataFrame, form: Callable[[Any], str]) -> list[str]:
    return [" / ".join(map(form, row)) for row in columns.itertuples(index=False)]


def _gate(friedman: float | None) -> str:
    """What Friedman's test has to say in a caption, after a word like bold."""
    if friedman is None:
        return ""
    said = f"Friedman's test (p {p_value(friedman)})"
    if friedman <= stats.ALPHA:
        return f", after {said}"
    return f"; none is, for {said} finds no difference between the methods"


def _pairs(
    methods: Sequence[str], ours: Sequence[str], chosen: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Up and across: those chosen, else others against the first of ours."""
    if chosen:
        return [pair for pair in chosen if set(pair) <= set(methods)]
    first = next(method for method in methods if method in ours)
    published = [(first, method) for method in methods if method not in ours]
    others = [(method, first) for method in methods if method in ours and method != first]
    return (published or others)[:SHOWN_SCATTERS]


def _scatters(
    name: str, common: pd.DataFrame, pairs: Sequence[tuple[str, str]], basis: str
) -> Picture:
    wins = stats.compare(common, pairs)
    alt = "; ".join(
        f"{w.first} against {w.second}: {w.wins} wins, {w.ties} ties, {w.losses} losses"
        for w in wins.itertuples()
    )
    caption = (
        "Test accuracy, a dot a dataset; above the diagonal the method named at the side is "
        f"better. {basis}."
    )
    data = common.reset_index(names="dataset")
    return picture(f"scatter_{name}", caption, alt, figures.scatters(common, pairs), data)
