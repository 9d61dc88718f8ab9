"""From results to a report: its parts, the page, and the files of each part."""

import difflib
import itertools
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape

from dsn_lab.analysis import aggregate, prediction_files
from dsn_lab.analysis.collect import collect, write_parquet
from dsn_lab.analysis.published import load
from dsn_lab.errors import UserError
from dsn_lab.report.inputs import Inputs
from dsn_lab.report.parts import Section
from dsn_lab.report.tables import accuracy_cost as cost
from dsn_lab.report.tables import (
    choice,
    comparison,
    fields,
    headline,
    overview,
    paper,
    pruning,
    published,
    redundancy,
    sensitivity,
    wins,
)
from dsn_lab.storage import written_whole

PAGE = "report.html"
# What the page says of how its runs were made, by a record's key; and of each no more than so much.
MADE = {
    "finished": "finished", "version": "version", "commit": "commit", "processor": "cpu",
    "device": "device", "threads": "threads", "backend": "backend", "torch": "torch",
    "lightning": "lightning", "Python": "python",
}  # fmt: skip
LONGEST = 40


def build(
    results: Path,
    out: Path,
    reference_dir: Path | None,
    scatter: Sequence[tuple[str, str]] = (),
    mixed: bool = False,
    where: Mapping[str, str] | None = None,
) -> Path:
    """Write the page, and below ``parts/`` PNG, CSV and LaTeX of each of its parts.

    Args:
        results: the folder of runs.
        out: made if it is not there; gets ``report.html``, ``runs.parquet``, ``parts/`` and
            ``tsml-eval/``.
        reference_dir: a folder of published results, or None.
        scatter: pairs of methods to draw against each other, up and across.
        mixed: test single networks and ensembles against published results of either kind.
        where: values that runs must have (:mod:`dsn_lab.records.where`).

    Returns:
        The page.

    Raises:
        UserError: there is nothing to report on, or the reference folder cannot be used.
    """
    collection = collect(results, where)
    inputs = Inputs(collection, load(reference_dir) if reference_dir else None, scatter, mixed)
    _require_known(scatter, inputs)
    sections, absent = parts(inputs)
    folder = out / "parts"
    folder.mkdir(parents=True, exist_ok=True)
    for section in sections:
        for item in section.items:
            item.write(folder)
    write_parquet(collection.runs, out / "runs.parquet")
    aggregate.write_csvs(collection.runs, out / "tsml-eval")
    prediction_files.write(collection.runs, results, out / "tsml-eval")
    page = out / PAGE
    with written_whole(page) as temporary:
        place = quote(os.path.relpath(results, out))
        temporary.write_text(render(inputs, sections, absent, place), encoding="utf-8")
    return page


def _require_known(scatter: Sequence[tuple[str, str]], inputs: Inputs) -> None:
    known = [*inputs.methods, *inputs.networks.methods]
    known += [*inputs.ensembles.methods, *inputs.networks.ensembles.methods]
    if inputs.published is not None:
        known += [published.beside(name) for name in inputs.published.scores]
    for name in itertools.chain(*scatter):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0) or known
            raise UserError(
                f"scatter: there is no method {name}; did you mean {' or '.join(near)}?"
            )


def parts(inputs: Inputs) -> tuple[list[Section], list[tuple[str, str]]]:
    """The sections whose data is there; of the others, title and reason."""
    printed = paper.load()
    network = printed["paper"]
    candidates = [
        (headline.TITLE, headline.section(inputs)),
        ("Methods and accuracy", overview.section(inputs)),
        ("Missing and damaged", overview.gaps(inputs)),
        (printed["table1"]["title"], wins.section(inputs, printed["table1"], network)),
        *((table["title"], paper.section(inputs, table, network)) for table in printed["tables"]),
        (comparison.METHODS, comparison.section(inputs)),
        (comparison.ENSEMBLES, comparison.section(inputs.ensembles)),
        (published.TITLE, published.section(inputs)),
        (published.ENSEMBLES, published.section(inputs.ensembles)),
        (cost.FLOPS, cost.section(inputs)),
        (cost.MEASURED, cost.measured(inputs)),
        ("Receptive fields with and without groups", fields.section(inputs)),
        ("Structured pruning", pruning.section(inputs)),
        (choice.TITLE, choice.section(inputs)),
        (sensitivity.TITLE, sensitivity.section(inputs)),
        (redundancy.TITLE, redundancy.section(inputs)),
    ]
    sections = [part for _, part in candidates if isinstance(part, Section)]
    return sections, [(title, part) for title, part in candidates if isinstance(part, str)]


def render(
    inputs: Inputs, sections: list[Section], absent: list[tuple[str, str]], results: str
) -> str:
    """The page, with everything it needs within it; ``results`` is where its links begin."""
    loader = PackageLoader("dsn_lab.report", ".")
    environment = Environment(loader=loader, autoescape=select_autoescape(), trim_blocks=True)
    runs = inputs.runs
    lacking = aggregate.missing(inputs.collection)
    facts = {
        "runs": len(runs),
        "datasets": runs["dataset"].nunique(),
        "methods": len(inputs.methods),
        "seeds": runs["seed"].nunique(),
        "folds": runs["fold"].nunique(),
        "runs missing": len(lacking),
    }
    return environment.get_template("page.html").render(
        style=files("dsn_lab.report").joinpath("style.css").read_text(),
        script=files("dsn_lab.report").joinpath("tables.js").read_text(),
        results=results,
        made=_made(runs),
        facts=facts,
        shortened=int((runs["epochs"] != runs["protocol_epochs"]).sum()),
        missing=len(lacking),
        problems=len(inputs.collection.problems),
        sections=sections,
        absent=absent,
    )


def _made(runs: pd.DataFrame) -> dict[str, str]:
    """By which versions, when and on what the runs were made, as far as they say."""
    said = {}
    for title, column in MADE.items():
        values = runs[column].dropna().astype(str) if column in runs else pd.Series(dtype=str)
        if column == "finished" and len(values):
            said[title] = " to ".join(sorted({values.min()[:10], values.max()[:10]}))
        elif len(values):
            counts = values.str[:LONGEST].value_counts()
            said[title] = ", ".join(f"{value} ({n})" for value, n in counts.items())
    return said
