"""Our methods against published results on the archive's split."""

import itertools

import pandas as pd

from dsn_lab.analysis import aggregate, stats
from dsn_lab.analysis.published import Published
from dsn_lab.report.inputs import SPLIT, Inputs, count
from dsn_lab.report.parts import Picture, Section, Table
from dsn_lab.report.tables import comparison

TITLE = "Comparison with published results"
ENSEMBLES = "Comparison of ensembles with published results"


def section(inputs: Inputs) -> Section | str:
    """Those that cover most of our datasets as one family, the others in a table of their own.

    Single networks are compared with single networks and ensembles with ensembles, unless mixed.
    """
    if inputs.are_ensembles and not inputs.methods:
        return "There is no ensemble."
    if inputs.published is None:
        return "Needs reference_dir=PATH with published results by dataset."
    if SPLIT not in inputs.folds:
        return "Published results are on the archive's split (fold 0), which not every method has."
    ours = aggregate.complete(inputs.on_split)
    unit = "ensemble" if inputs.are_ensembles else "network"
    wanted = inputs.published.of_unit(None if inputs.mixed else unit)
    theirs = inputs.published.scores[wanted].rename(columns=beside).reindex(ours.index)
    theirs = theirs.dropna(axis=1, how="all")
    both = ours.join(theirs)
    known = [beside(name) for name in inputs.published.known if beside(name) in both]
    # Figures show those known ones that have the most of our datasets: all of one archive.
    covered = both.loc[ours.dropna().index, known].notna().sum()
    shown = [name for name in known if covered[name] == covered.max() > 0]
    others = [name for name in theirs if name not in shown]
    pairs = [(a, b) for a, b in itertools.product(ours, others) if len(both[[a, b]].dropna())]
    basis = inputs.basis(inputs.on_split, ours.index)
    key = "published_ensembles" if inputs.are_ensembles else "published"
    items: list[Table | Picture] = []
    if shown:
        scores = both[[*ours.columns, *shown]]
        items += comparison.family(key, scores, list(ours), basis, inputs.chosen)
    if pairs:
        items.append(_others(f"pairwise_{key}_others", both, pairs, basis))
    if not items:
        return "No dataset is both complete here and in the published results."
    text = (
        "† published. Published accuracies are on the archive's own split, and so are ours here. "
        f"Ours are {'ensembles' if inputs.are_ensembles else 'means of single networks'}. What a "
        "published number is: "
        + _kinds(inputs.published, [name for name in wanted if beside(name) in both])
    )
    return Section(key, ENSEMBLES if inputs.are_ensembles else TITLE, text, items)


def beside(name: str) -> str:
    """What a published method is called beside ours."""
    return f"{name} †"


def _kinds(published: Published, names: list[str]) -> str:
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(published.runs[name], []).append(name)
    return "; ".join(f"{kind}: {', '.join(of_kind)}" for kind, of_kind in kinds.items()) + "."


def _others(name: str, both: pd.DataFrame, pairs: list[tuple[str, str]], basis: str) -> Table:
    data = stats.beliefs(stats.compare(both, pairs), both)
    tests = comparison.TESTS.format(tests=count(len(data), "test"), gate="")
    return comparison.pairwise(name, data, tests, basis)
