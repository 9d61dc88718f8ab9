"""What the parts of a report are made from, and the words every caption carries."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from dsn_lab.analysis import aggregate, ensembles, stages
from dsn_lab.analysis.collect import Collection
from dsn_lab.analysis.published import Published

SPLIT = 0  # The archive's own split, on which published results are.


@dataclass(frozen=True)
class Inputs:
    """Runs, and what is published on their datasets, if a folder of that was given.

    Attributes:
        collection: the runs.
        published: accuracies on their datasets.
        chosen: pairs of methods to draw against each other; none: each against the first.
        mixed: compare single networks and ensembles with published results of either kind.
    """

    collection: Collection
    published: Published | None
    chosen: Sequence[tuple[str, str]] = ()
    mixed: bool = False

    @property
    def runs(self) -> pd.DataFrame:
        """A row a run."""
        return self.collection.runs

    @cached_property
    def methods(self) -> list[str]:
        """The labels of the methods with a result."""
        return sorted(set(self.runs["method"]))

    @property
    def are_ensembles(self) -> bool:
        """Whether a row is an ensemble, not a single network."""
        return "members" in self.runs

    @cached_property
    def networks(self) -> "Inputs":
        """The same with a row a network: the stages of pruned runs are methods of their own."""
        return replace(self, collection=stages.networks(self.collection))

    @cached_property
    def ensembles(self) -> "Inputs":
        """Ensembles of the methods' networks that differ in their seeds; maybe none."""
        return replace(self, collection=ensembles.ensembles(self.collection))

    @cached_property
    def families(self) -> list[stages.Family]:
        """The ways of pruning that there are."""
        return stages.families(self.collection)

    @cached_property
    def folds(self) -> list[int]:
        """The folds that all methods have, on which they are compared."""
        return aggregate.shared_folds(self.collection)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Mean and so on by dataset and method, over the shared folds."""
        return aggregate.summarise(self.collection, self.folds)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Mean accuracy of complete cells over the shared folds, dataset by method."""
        return aggregate.complete(self.summary)

    @cached_property
    def on_split(self) -> pd.DataFrame:
        """Mean and so on by dataset and method, on the archive's split."""
        return aggregate.summarise(self.collection, [SPLIT])

    def basis(self, summary: pd.DataFrame, datasets: Iterable[str] | None = None) -> str:
        """What numbers rest on: datasets, folds, seeds, epochs, and whether any is shortened."""
        rows = summary.reset_index()
        if datasets is not None:
            rows = rows[rows["dataset"].isin(list(datasets))]
        seeds = f"seeds {joined(rows['seeds'])}"
        if self.are_ensembles:
            of = self.runs[self.runs["method"].isin(rows["method"])]["members"]
            seeds = f"ensembles of {aggregate.ranges(of)} networks"
        return (
            f"{count(rows['dataset'].nunique(), 'dataset')}; fold {joined(rows['folds'])}; "
            f"{seeds}; {epochs(rows)}"
        )


def epochs(rows: pd.DataFrame) -> str:
    """The epochs of rows of a summary, and how many the protocol asks for if they are fewer."""
    said = [
        f"{row.epochs} epoch{'s' * (row.epochs != '1')}"
        + (
            f" (shortened: the protocol has {row.protocol_epochs})"
            if row.epochs != row.protocol_epochs
            else ""
        )
        for row in rows[["epochs", "protocol_epochs"]].drop_duplicates().itertuples()
    ]
    return " or ".join(sorted(said))


def joined(values: Sequence[str]) -> str:
    """Different texts of a column, each once."""
    return " or ".join(sorted(set(values)))


def count(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def percent(mean: float, std: float, n: int, expected: int) -> str:
    """Mean and standard deviation in percent with the number of runs, ``97.33 ± 0.52 (5)``.

    Of a cell with runs missing the number is ``3/5``; of a single run there is no deviation.
    """
    spread = "" if pd.isna(std) else f" ± {100 * std:.2f}"
    return f"{100 * mean:.2f}{spread} ({n if n == expected else f'{n}/{expected}'})"


def signed(value: float, digits: int = 2) -> str:
    """A difference with its sign."""
    # Adding zero turns minus zero into zero.
    return f"{round(value, digits) + 0:+.{digits}f}".replace("-", "−")


def p_value(value: float) -> str:
    """A p-value in three digits."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def probability(value: float) -> str:
    """A probability in two digits; a dash where there is none."""
    return "–" if pd.isna(value) else f"{value:.2f}"
