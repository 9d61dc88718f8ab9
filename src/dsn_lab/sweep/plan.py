"""The cells of a sweep: which are finished, how far the others are, how long they will take."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console

from dsn_lab.errors import UserError
from dsn_lab.records import results
from dsn_lab.records.cell import Cell, Files
from dsn_lab.records.checked import require_record

# What tells how long an epoch took, and of what.
TIMED = {"dst", "dsp", "fit_seconds", "sparsity"}


@dataclass(frozen=True, eq=False)
class Planned(Cell):
    """A cell before it runs.

    Args:
        overrides: what the command line of this cell alone would hold.
    """

    overrides: Sequence[str] = ()

    def finished(self) -> bool:
        """Whether there is a result, not to be replaced, of the data that a run would use now."""
        try:
            if self.anew.exists():
                return False
            record = results.read(self)
            if record is not None:
                results.require_data(record, self)
        except UserError:
            return False
        return record is not None

    def epochs_done(self) -> int:
        """Epochs whose metrics were written, which is what a resume need not repeat."""
        try:
            return len(self.metrics.read_text().splitlines()) - 1
        except FileNotFoundError:
            return 0

    def state(self) -> str:
        """In words."""
        if self.finished():
            return "done"
        done = self.epochs_done()
        return f"epoch {done} of {self.config.epochs}" if done else "to do"


def seconds_per_epoch(records: Iterable[results.Record]) -> dict[tuple[str, ...], float]:
    """Median training seconds of an epoch, by (dataset, names, sparsity) and without the last.

    Args:
        records: records of finished cells.
    """
    measured: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    for record in records:
        key = (record["dataset"], record["model"], record["dst"], record["dsp"])
        seconds = record["fit_seconds"] / record["epochs"]
        measured[key].append(seconds)
        measured[*key, str(record["sparsity"])].append(seconds)
    return {key: median(seconds) for key, seconds in measured.items()}


def remaining_seconds(cell: Planned, rates: dict[tuple[str, ...], float]) -> float | None:
    """Training seconds that a cell still needs; None if nothing like it was measured."""
    similar = (cell.config.dataset.name, *(cell.names[g] for g in ("model", "dst", "dsp")))
    exact = (*similar, str(float(cell.config.model.get("sparsity", 0.0))))
    rate = rates.get(exact, rates.get(similar))
    if rate is None:
        return None
    return rate * (cell.config.epochs - cell.epochs_done())


def show(cells: Sequence[Planned], folder: Path) -> None:
    """Print the cells, how many are done, and an estimate of the hours.

    Args:
        cells: all cells of the sweep.
        folder: below which finished cells are looked for, to estimate the others.
    """
    console = Console()
    states = [cell.state() for cell in cells]
    width = max(map(len, states), default=0)
    for cell, state in zip(cells, states, strict=True):
        console.print(f"{state:{width}}  {cell.folder}", soft_wrap=True, highlight=False)
    todo = [cell for cell, state in zip(cells, states, strict=True) if state != "done"]
    records = filter(None, map(_readable, results.below(folder)))
    rates = seconds_per_epoch(records)
    needed = [remaining_seconds(cell, rates) for cell in todo]
    known = [seconds for seconds in needed if seconds is not None]
    console.print(f"{len(cells)} cells: {len(cells) - len(todo)} done, {len(todo)} to do")
    if known:
        hours = f"{sum(known) / 3600:.2g} hours of training, one after the other"
        console.print(f"{len(known)} of them: {hours}, by finished cells of the same kind")
    if unknown := len(todo) - len(known):
        console.print(f"{unknown} of them: unknown, no cell of the same kind is finished")


def _readable(folder: Files) -> results.Record | None:
    try:
        if (record := results.read(folder)) is not None:
            require_record(record, folder.result)
        return record if record and record.keys() >= TIMED and record["epochs"] else None
    except (UserError, OSError):
        return None
