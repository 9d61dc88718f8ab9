"""Methods against each other and against published results, over the datasets all have."""

import itertools

import pandas as pd

from dsn_lab.analysis import aggregate, stats
from dsn_lab.report import figures
from dsn_lab.report.inputs import SPLIT, Inputs, count, p_value, signed
from dsn_lab.report.parts import Picture, Section, Table, picture

SHOWN_SCATTERS = 6
# Wilcoxon's test cannot reach 5 % on fewer pairs.
FEW = 6
TESTS = (
    "p: two-sided Wilcoxon signed-rank test over datasets; Holm: corrected for all tests of this "
    f"table; bold: below {stats.ALPHA:g}."
)


def section(inputs: Inputs) -> Section | str:
    """Our methods pairwise."""
    if len(inputs.methods) < 2:
        return "Needs runs of two methods; there is one."
    if not inputs.folds:
        return "No fold has been run by every method."
    if (inputs.scores.notna().sum(axis=1) < 2).all():
        return "No dataset has every expected run of two methods."
    common = inputs.scores.dropna()
    items = _pairwise("pairwise", inputs.scores, inputs, None)
    items += _pictures("ours", common, inputs)
    return Section("comparison", "Comparison of methods", _said(inputs, common), items)


def published(inputs: Inputs) -> Section | str:
    """Our methods against published results on the archive's split."""
    if inputs.published is None:
        return "Needs reference_dir=PATH with published results by dataset."
    if SPLIT not in inputs.folds:
        return "Published results are on the archive's split (fold 0), which not every method has."
    ours = aggregate.complete(inputs.on_split)
    theirs = inputs.published.scores.rename(columns=_beside)
    both = ours.join(theirs[[c for c in theirs if theirs[c].reindex(ours.index).notna().any()]])
    pairs = [
        (a, b)
        for a, b in itertools.product(
            ours.columns, both.columns.difference(ours.columns, sort=False)
        )
        if len(both[[a, b]].dropna())
    ]
    if not pairs:
        return "No dataset is both complete here and in the published results."
    items = _pairwise("published", both, inputs, pairs)
    known = [_beside(name) for name in inputs.published.known if _beside(name) in both]
    # Figures show those known ones that have the most of our datasets: all of one archive.
    covered = both.loc[ours.dropna().index, known].notna().sum()
    shown = [name for name in known if covered[name] == covered.max() > 0]
    if shown:
        items += _pictures("published", both[[*ours.columns, *shown]].dropna(), inputs)
    text = (
        "† published. Published accuracies are on the archive's own split, and so are ours here. "
        "Ours are means of single networks; of the published, "
        + "; ".join(f"{name} is a {inputs.published.runs[name]}" for name in inputs.published.known)
        + "; all others are single runs."
    )
    return Section("published", "Comparison with published results", text, items)


def _beside(name: str) -> str:
    return f"{name} †"


def _said(inputs: Inputs, common: pd.DataFrame) -> str:
    out = sorted(set(inputs.scores.index) - set(common.index))
    names = f": {', '.join(out[:8])}{', ...' * (len(out) > 8)}"
    return (
        "The table compares two methods on the datasets for which both have every expected run; "
        f"figures compare all {len(common.columns)} methods over the "
        f"{count(len(common), 'dataset')} for which all have. "
        f"{count(len(out), 'other')} left out{names}."
        if out
        else f"Over {count(len(common), 'dataset')}, for which every method has every expected run."
    )


def _pairwise(
    name: str, scores: pd.DataFrame, inputs: Inputs, pairs: list[tuple[str, str]] | None
) -> list[Table | Picture]:
    data = stats.compare(scores, pairs)
    display = pd.DataFrame(
        {
            "method": data["first"],
            "against": data["second"],
            "datasets": data["datasets"].astype(str),
            "mean %": [f"{100 * x:.2f}" for x in data["mean_first"]],
            "against, mean %": [f"{100 * x:.2f}" for x in data["mean_second"]],
            "difference": [signed(100 * x) for x in data["difference"]],
            "wins": data["wins"].astype(str),
            "ties": data["ties"].astype(str),
            "losses": data["losses"].astype(str),
            "p": data["p"].map(p_value),
            "p, Holm": data["p_holm"].map(p_value),
        }
    )
    marks = {(i, 10): "best" for i, p in enumerate(data["p_holm"]) if p < stats.ALPHA}
    few = (data["datasets"] < FEW).any()
    summary = inputs.summary if pairs is None else inputs.on_split
    caption = (
        f"Test accuracy, wins, ties and losses of the first method. {TESTS} "
        f"{inputs.basis(summary, scores.index)}."
        + f" With fewer than {FEW} datasets no difference can be significant."
        * bool(few)
    )
    return [Table(name, caption, display, data, ("against",), marks)]


def _pictures(name: str, common: pd.DataFrame, inputs: Inputs) -> list[Table | Picture]:
    """Critical difference from three methods on, matrix, and scatters; none for one dataset."""
    if len(common) < 2:
        return []
    summary = inputs.summary if name == "ours" else inputs.on_split
    basis = inputs.basis(summary, common.index)
    table = common.reset_index(names="dataset")
    items: list[Table | Picture] = []
    if len(common.columns) > 2:
        caption = (
            "Critical difference diagram: mean ranks, 1 is best; a bar joins methods between which "
            "Friedman's test, then two-sided Wilcoxon tests with Holm's correction, find no "
            f"difference at {stats.ALPHA:g}. {basis}."
        )
        ranks = common.rank(axis=1, ascending=False).mean().sort_values()
        alt = "Mean ranks: " + ", ".join(f"{m} {rank:.2f}" for m, rank in ranks.items())
        drawn = figures.critical_difference(common)
        items.append(picture(f"critical_difference_{name}", caption, alt, drawn, table))
    caption = (
        "Multi-comparison matrix: in a cell, row's mean accuracy minus column's, row's "
        "wins / ties / losses, and the p-value of the two-sided Wilcoxon test; bold if significant "
        f"after Holm's correction at {stats.ALPHA:g}. {basis}."
    )
    alt = f"Matrix of {len(common.columns)} methods, best mean accuracy first"
    ours = [m for m in common.columns if m in inputs.methods]
    drawn = figures.comparison_matrix(common, ours)
    items.append(picture(f"multi_comparison_{name}", caption, alt, drawn, table))
    best = common[ours].mean().idxmax()
    published = [m for m in common.columns if m not in ours]
    others = (published or [m for m in ours if m != best])[:SHOWN_SCATTERS]
    caption = (
        f"Test accuracy of {best} against others, a dot a dataset; above the diagonal {best} is "
        f"better. {basis}."
    )
    wins = stats.compare(common, [(best, other) for other in others])
    alt = "; ".join(
        f"{best} against {w.second}: {w.wins} wins, {w.ties} ties, {w.losses} losses"
        for w in wins.itertuples()
    )
    drawn = figures.scatters(common, best, others)
    items.append(picture(f"scatter_{name}", caption, alt, drawn, table))
    return items
