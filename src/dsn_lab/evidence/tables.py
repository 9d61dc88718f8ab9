"""The tables of README and docs, in Markdown, made of the ledger.

A document holds them between ``<!-- evidence: NAME -->`` and ``<!-- end -->``; what stands there is
replaced. Beside our own numbers are published ones, from the excerpt in the ledger's folder.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from dsn_lab.analysis import published, stages
from dsn_lab.analysis.collect import collect
from dsn_lab.errors import UserError
from dsn_lab.records.ledger import Ledger
from dsn_lab.report.inputs import Inputs, percent
from dsn_lab.report.parts import NONE
from dsn_lab.storage import written_whole

DOCUMENTS = (Path("README.md"), Path("docs/results.md"))
BLOCK = re.compile(r"(<!-- evidence: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
EXCERPT = "published"
BESIDE = ("ResNet", "Inception", "OS-CNN")


class Evidence:
    """What tables are made from, read when it is first asked for."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    @cached_property
    def inputs(self) -> Inputs:
        """All runs, and published results if there is an excerpt of them."""
        excerpt = self.ledger.folder / EXCERPT
        known = published.load(excerpt) if excerpt.is_dir() else None
        return Inputs(collect(self.ledger.folder), known)


def write(document: Path, ledger: Ledger, *, check: bool = False) -> bool:
    """Write a document's tables anew.

    Args:
        document: Markdown; nothing but its tables changes.
        ledger: what they are made of.
        check: leave the document as it is.

    Returns:
        Whether it changed, or with ``check`` would change.

    Raises:
        UserError: the document asks for a table that there is not.
    """
    text = document.read_text(encoding="utf-8")
    evidence = Evidence(ledger)

    def made(match: re.Match[str]) -> str:
        if match[2] not in TABLES:
            raise UserError(f"{document}: no table {match[2]!r}; there are {', '.join(TABLES)}")
        return f"{match[1]}{TABLES[match[2]](evidence)}{match[3]}"

    now = BLOCK.sub(made, text)
    if now != text and not check:
        with written_whole(document) as temporary:
            temporary.write_text(now, encoding="utf-8")
    return now != text


def accuracy(evidence: Evidence) -> str:
    """Test accuracy of networks that are not pruned, by dataset and method, beside published."""
    inputs = evidence.inputs
    methods = sorted(set(inputs.runs[inputs.runs["dsp"] == "none"]["method"]))
    cells = {
        (str(dataset), str(method)): percent(row["mean"], row["std"], int(row["n"]), int(row["n"]))
        for (dataset, method), row in inputs.on_split.iterrows()
        if method in methods
    }
    datasets = sorted({dataset for dataset, _ in cells}, key=str.lower)
    rows = [
        [dataset]
        + [cells.get((dataset, method), NONE) for method in methods]
        + [_published(inputs, name, dataset) for name in BESIDE]
        for dataset in datasets
    ]
    return _table(["", *methods, *(f"{name}, published" for name in BESIDE)], rows)


def pruning(evidence: Evidence) -> str:
    """What pruning by the authors' rule removes and costs, by model and dataset, beside theirs."""
    inputs = evidence.inputs
    rows = []
    for family in inputs.families:
        runs = inputs.runs[inputs.runs["method"] == family.method]
        theirs = inputs.published.pruning.get(family.model) if inputs.published else None
        for dataset, own in runs.groupby("dataset"):
            cells = [_mean(1 - own["params_pruned"] / own["params_base"], digits=1)]
            cells += _removed_by_authors(theirs, str(dataset), own)
            cells += [
                _mean(own[key]) if (key := f"accuracy_{stage}") in own else NONE
                for stage in stages.STAGES
            ]
            rows.append([family.method, str(dataset), str(len(own)), *cells])
    counted = ["removed %", "as authors count", "theirs"]
    heads = ["", "dataset", "seeds", *counted, *stages.STAGES.values()]
    return _table(heads, rows)


def _removed_by_authors(
    theirs: pd.DataFrame | None, dataset: str, own: pd.DataFrame
) -> tuple[str, str]:
    """Our share as the authors count it, with frozen weights, and theirs."""
    if theirs is None or dataset not in theirs.index or "params_pruned" not in theirs:
        return NONE, NONE
    row = theirs.loc[dataset]
    if pd.isna(row["params_pruned"]):
        return NONE, NONE
    frozen = row["params_base"] - own["params_base"]
    ours = 1 - (own["params_pruned"] + frozen) / row["params_base"]
    share = 1 - row["params_pruned"] / row["params_base"]
    return _mean(ours, digits=1), f"{100 * share:.1f}"


def _published(inputs: Inputs, name: str, dataset: str) -> str:
    known = inputs.published
    if known is None or name not in known.scores or dataset not in known.scores.index:
        return NONE
    score = known.scores.loc[dataset, name]
    return NONE if pd.isna(score) else f"{100 * score:.2f}"


def _mean(values: pd.Series, digits: int = 2) -> str:
    mean = values.mean()
    return NONE if pd.isna(mean) else f"{100 * mean:.{digits}f}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


TABLES: dict[str, Callable[[Evidence], str]] = {"accuracy": accuracy, "pruning": pruning}
