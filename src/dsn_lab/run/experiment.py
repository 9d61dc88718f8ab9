"""One cell: skip it if it is finished, resume it if it is not, record it when it is."""

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from filelock import Timeout

from dsn_lab.errors import PostponedError, UserError
from dsn_lab.records import identity, results
from dsn_lab.records.cell import Cell
from dsn_lab.records.checked import require_record
from dsn_lab.records.provenance import circumstances, provenance
from dsn_lab.registry import import_modules
from dsn_lab.storage import clear_temporaries, exists

log = logging.getLogger(__name__)


def _training(cell: Cell) -> ModuleType:
    """The module that trains, or fits.

    Torch and Lightning take seconds to import, and a finished cell needs neither.

    What they make is no garbage: to look for some among it would take a tenth longer, and again
    and again while the network trains.
    """
    gc.disable()
    try:
        if cell.config.fitted:
            from dsn_lab.run import fitting

            return fitting
        from dsn_lab.run import training

        return training
    finally:
        gc.freeze()
        gc.enable()


def run(cell: Cell) -> results.Record:
    """Train, test and record a cell, or return what is recorded in its folder.

    The folder is made, and an old result marked as one to be replaced, once all that can be
    refused has been tried.

    Raises:
        UserError: the folder holds a run with other settings or on other data, another process
            works in it, or a setting cannot be used.
    """
    import_modules(cell.config.imports)
    if (record := _finished(cell)) is not None:
        log.info("%s is finished; force=true runs it anew", cell.folder)
        return record
    if cell.busy():
        raise _busy(cell)
    training = _training(cell)
    prepared = training.prepare_and_try(cell)
    made = _make(cell.folder)
    try:
        with cell.lock:
            # Whoever held the lock a moment ago may have finished the cell.
            record = _finished(cell)
            return record if record is not None else _trained(cell, training, prepared)
    except Timeout as error:
        raise _busy(cell) from error
    except UserError:
        _leave_as_it_was(cell, made)
        raise


def _busy(cell: Cell) -> PostponedError:
    return PostponedError(f"{cell.folder}: another process is working on this cell")


def _finished(cell: Cell) -> results.Record | None:
    """The record, unless there is none or it is to be replaced; nothing is written."""
    if cell.config.force or cell.anew.exists():
        return None
    record = results.read(cell)
    if record is not None:
        require_record(record, cell.result)
        results.require_same(identity.recorded(record), cell.settings, cell.folder)
        results.require_data(record, cell)
    return record


def _trained(cell: Cell, training: ModuleType, prepared: object) -> results.Record:
    if cell.config.force:
        results.begin_anew(cell)
    clear_temporaries(cell.folder, cell.figures)
    with _logged(cell.log):
        try:
            record: results.Record = {
                "dataset": cell.config.dataset.name,
                **cell.names,
                **training.train_and_test(cell, prepared),
                **provenance(),
                **circumstances(),
                **cell.recorded,
            }
            results.write(record, cell)
        except Exception as error:
            log.info("failed: %s", error, exc_info=not isinstance(error, UserError | OSError))
            raise
    return record


def _make(folder: Path) -> list[Path]:
    """Make a folder; return what was made, the innermost first."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _leave_as_it_was(cell: Cell, made: list[Path]) -> None:
    """After a refusal: what there was counts again, and a folder that was made for nothing goes."""
    if cell.anew.exists():
        if results.resumable(cell):
            cell.checkpoint.unlink()
        cell.anew.unlink()
    if results.resumable(cell):
        return
    if cell.folder in made:
        for path in (cell.log, Path(cell.lock.lock_file)):
            path.unlink(missing_ok=True)
        for folder in made:
            try:
                folder.rmdir()
            except OSError:  # it holds something of others
                return


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Write what is logged to a file, too."""
    exists(path)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
