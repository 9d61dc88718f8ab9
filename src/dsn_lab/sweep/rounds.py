"""Run the cells of a sweep until each is finished or has failed for good."""

import logging
import shlex
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from dsn_lab.errors import DiedError, PostponedError, UserError
from dsn_lab.records import results
from dsn_lab.sweep.plan import Planned
from dsn_lab.sweep.watch import Watch, summary

log = logging.getLogger(__name__)

# A process may die of its machine; one that dies this often dies of its cell.
ATTEMPTS = 3
# Between two looks at cells that another sweep is working on.
POLL_SECONDS = 5.0
# Of the table at the end; the report has all.
TABLE_LINES = 40

Launch = Callable[[Sequence[Planned]], Sequence[Exception | None]]


def run(
    cells: Sequence[Planned], launch: Launch, folder: Path, *, force: bool, live: bool = False
) -> None:
    """Run all cells that are not finished; a failure stops none of the others.

    Args:
        cells: all cells of the sweep.
        launch: runs cells and returns why each is not finished, None for those that are.
        folder: where the cells are, for the message.
        live: whether the cells themselves write nothing to the terminal.
        force: whether finished cells are run anew; what is begun then is resumed, as always.

    Raises:
        UserError: some cells failed; all are listed, with reason and log.
    """
    if force:
        for cell in cells:
            results.begin_anew(cell)
    todo = [cell for cell in cells if not cell.finished()]
    log.info("%d of %d cells are finished already", len(cells) - len(todo), len(cells))
    with Watch(cells, live=live):
        failures = run_all(todo, launch)
    for cell, reason in failures.items():
        log.error("failed: %s\n  %s\n  log: %s", " ".join(cell.overrides), reason, cell.log)
    if failures:
        raise UserError(f"{len(failures)} of {len(cells)} cells failed; the others are in {folder}")
    lines = summary(cells)
    log.info("mean accuracy, cells, dataset and method:\n%s", "\n".join(lines[:TABLE_LINES]))
    log.info("all %d cells are finished, in %s", len(cells), folder)
    log.info("their report: python -m dsn_lab.report %s", shlex.quote(str(folder)))


def run_all(todo: Sequence[Planned], launch: Launch) -> dict[Planned, str]:
    """Launch cells again and again until none is left; return why which failed.

    A cell that is in another process's hands is waited for; one whose process died is launched
    again, up to ``ATTEMPTS`` times.
    """
    failures: dict[Planned, str] = {}
    deaths: Counter[Planned] = Counter()
    while todo:
        free = [cell for cell in todo if not cell.busy()]
        again = [cell for cell in todo if cell not in free]
        for cell, error in zip(free, launch(free) if free else (), strict=True):
            if isinstance(error, DiedError):
                deaths[cell] += 1
                log.warning("%s: %s", cell.folder, error)
                if deaths[cell] < ATTEMPTS:
                    again.append(cell)
                else:
                    failures[cell] = f"{error}, {ATTEMPTS} times"
            elif isinstance(error, PostponedError):
                again.append(cell)
            elif error is not None:
                failures[cell] = str(error)
        if again and not free:
            log.info("waiting for %d cells that other processes work on", len(again))
            time.sleep(POLL_SECONDS)
        # Whoever worked on a cell that was waited for may have finished it.
        todo = [cell for cell in again if not cell.finished()]
    return failures
