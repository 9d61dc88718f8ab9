"""What a sweep says while it runs: how far it is, what runs, how good it is, how long it takes."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from statistics import fmean
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from dsn_lab.errors import UserError
from dsn_lab.records import results
from dsn_lab.sweep.durations import spelled
from dsn_lab.sweep.plan import Planned

log = logging.getLogger(__name__)

# Between two lines in a file, and between two looks at the cells for somebody who watches.
LINE_SECONDS, LOOK_SECONDS = 60.0, 2.0
WIDTH = 79  # columns
# A cell whose log or metrics were not written for as long is not running.
QUIET_SECONDS = 300.0


class Watch:
    """Looks at the cells' files from a thread of its own, whoever works on them.

    On a terminal one line is kept up to date; elsewhere a line is logged each minute.

    Args:
        cells: all of the sweep.
        live: whether nothing else is written to the terminal meanwhile.
    """

    def __init__(self, cells: Sequence[Planned], *, live: bool) -> None:
        self.cells, self.began = cells, time.time()
        self.accuracies: dict[Planned, float] = {}
        self._look()
        self.at_first = len(self.accuracies)
        self.epochs_at_first = self._epochs()
        console = Console(stderr=True)
        self._live = (
            Live(console=console, auto_refresh=False) if live and console.is_terminal else None
        )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watch":
        if self._live is not None:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self._live is not None:
            self._live.stop()

    def _watch(self) -> None:
        show, seconds = self._show()
        while not self._ended.wait(seconds):
            try:
                self._look()
                show(self.line())
            except OSError as error:  # a folder that is away for a moment
                log.debug("nothing to be seen: %s", error)

    def _show(self) -> tuple[Callable[[str], None], float]:
        live = self._live
        if live is None:
            return log.info, LINE_SECONDS
        return (lambda text: live.update(Text(text), refresh=True)), LOOK_SECONDS

    def _look(self) -> None:
        for cell in self.cells:
            if cell not in self.accuracies and (accuracy := _accuracy(cell)) is not None:
                self.accuracies[cell] = accuracy

    def line(self) -> str:
        """``12/45 done, mean 0.9137, about 14 min left; runs: GunPoint seed 1 at 40 %``."""
        done = len(self.accuracies)
        parts = [f"{done}/{len(self.cells)} done"]
        if done:
            parts.append(f"mean {fmean(self.accuracies.values()):.4f}")
        if (left := self._seconds_left()) is not None:
            parts.append(f"about {spelled(left)} left")
        running = [self._said(cell) for cell in self.cells if self._runs(cell)]
        text = ", ".join(parts) + (f"; runs: {', '.join(running)}" if running else "")
        return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."

    def _runs(self, cell: Planned) -> bool:
        if cell in self.accuracies or not cell.log.exists():
            return False
        latest = max(p.stat().st_mtime for p in (cell.log, cell.metrics) if p.exists())
        return latest >= max(self.began, time.time() - QUIET_SECONDS)

    @staticmethod
    def _said(cell: Planned) -> str:
        share = cell.epochs_done() / max(1, cell.config.epochs)
        return f"{cell.config.dataset.name} seed {cell.config.seed} at {share:.0%}"

    def _epochs(self) -> int:
        """Epochs of all cells that are over, as far as they have been written."""
        return sum(
            cell.config.epochs if cell in self.accuracies else cell.epochs_done()
            for cell in self.cells
        )

    def _seconds_left(self) -> float | None:
        """By the epochs since this sweep began, whatever they were of."""
        done = self._epochs()
        since = done - self.epochs_at_first
        left = sum(cell.config.epochs for cell in self.cells) - done
        return left * (time.time() - self.began) / since if since > 0 else None


def _accuracy(cell: Planned) -> float | None:
    try:
        record = None if cell.anew.exists() else results.read(cell)
        return None if record is None else float(record["test_accuracy"])
    except (UserError, OSError, KeyError, TypeError, ValueError):
        return None


def summary(cells: Sequence[Planned]) -> list[str]:
    """A line a dataset and method: how many cells are finished, and their mean accuracy."""
    found: dict[str, list[float | None]] = {}
    for cell in cells:
        key = f"{cell.config.dataset.name}  {cell.folder.parent.name}"
        found.setdefault(key, []).append(_accuracy(cell))
    lines = []
    for key, values in found.items():
        known = [value for value in values if value is not None]
        mean = f"{fmean(known):.4f}" if known else "-"
        lines.append(f"{mean:>6}  {len(known)}/{len(values)}  {key}")
    return lines
