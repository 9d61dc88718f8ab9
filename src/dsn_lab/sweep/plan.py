"""The cells of a sweep: which are finished, how far the others are, how long they will take."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from dsn_lab.errors import UserError
from dsn_lab.records import results
from dsn_lab.records.cell import Cell, Files
from dsn_lab.records.checked import require_record
from dsn_lab.sweep.cost import rates, remaining_seconds
from dsn_lab.sweep.durations import spelled

ROUGHLY = "by what a step usually takes, on one thread of a server; rather half or twice as much"
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


def estimates(cells: Sequence[Planned], folder: Path) -> list[float | None]:
    """Training seconds that each cell still needs; None where nobody knows.

    Args:
        cells: not finished.
        folder: below which finished cells are looked for, to estimate the others.
    """
    known = rates(filter(None, map(_readable, results.below(folder))))
    found = [remaining_seconds(cell, known) for cell in cells]
    return [None if each is None else each[0] for each in found]


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
    known = rates(filter(None, map(_readable, results.below(folder))))
    needed = [remaining_seconds(cell, known) for cell in todo]
    console.print(f"{len(cells)} cells: {len(cells) - len(todo)} done, {len(todo)} to do")
    for measured, by in ((True, "by finished cells of their kind"), (False, ROUGHLY)):
        found = [each[0] for each in needed if each is not None and each[1] == measured]
        if found:
            hours = f"about {spelled(sum(found))} of training, one after the other"
            console.print(f"{len(found)} of them: {hours}, {by}", soft_wrap=True, highlight=False)
    if unknown := needed.count(None):
        console.print(f"{unknown} of them: unknown, no cell of the kind is finished")


def _readable(folder: Files) -> results.Record | None:
    try:
        if (record := results.read(folder)) is not None:
            require_record(record, folder.result)
        return record if record and record.keys() >= TIMED and record["epochs"] else None
    except (UserError, OSError):
        return None
