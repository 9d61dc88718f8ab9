"""One cell: skip it if it is finished, resume it if it is not, record it when it is."""

import gc
import logging
from collections.abc import Callable

from filelock import Timeout

from dsn_lab.errors import PostponedError
from dsn_lab.records import identity, results
from dsn_lab.records.cell import Cell
from dsn_lab.records.provenance import provenance
from dsn_lab.registry import import_modules

log = logging.getLogger(__name__)


def _running(cell: Cell) -> Callable[[Cell], results.Record]:
    """What trains and tests, or fits and tests.

    Torch and Lightning take seconds to import, and a finished cell needs neither.

    What they make is no garbage: to look for some among it would take a tenth longer, and again
    and again while the network trains.
    """
    gc.disable()
    try:
        if cell.config.fitted:
            from dsn_lab.run import fitting

            return fitting.fit_and_test
        from dsn_lab.run import training

        return training.train_and_test
    finally:
        gc.freeze()
        gc.enable()


def run(cell: Cell) -> results.Record:
    """Train, test and record a cell, or return what is recorded in its folder, which exists.

    Raises:
        UserError: the folder holds a run with other settings or on other data, another process
            works in it, or a setting cannot be used.
    """
    import_modules(cell.config.imports)
    try:
        with cell.lock:
            if cell.config.force:
                results.discard(cell)
            record = results.read(cell)
            if record is not None:
                results.require_same(identity.recorded(record), cell.settings, cell.folder)
                results.require_data(record, cell)
                log.info("%s is finished; force=true runs it anew", cell.folder)
            else:
                measured = _running(cell)(cell)
                record = {
                    "dataset": cell.config.dataset.name,
                    **cell.names,
                    **measured,
                    **provenance(),
                    **cell.recorded,
                }
                results.write(record, cell)
    except Timeout as error:
        raise PostponedError(f"{cell.folder}: another process is working on this cell") from error
    return record
