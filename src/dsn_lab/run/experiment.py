"""One cell: skip it if it is finished, resume it if it is not, record it when it is."""

import logging
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from dsn_lab.errors import PostponedError
from dsn_lab.records import results
from dsn_lab.run.config import Config, cell_settings

log = logging.getLogger(__name__)


def run(config: Config, folder: Path, names: Mapping[str, str]) -> results.Record:
    """Train, test and record a cell in ``folder``, or return what is recorded there.

    Args:
        config: the cell's checked settings.
        folder: the cell's output folder, which exists.
        names: names of the ``model``, ``dst`` and ``dsp``, for the record.

    Raises:
        UserError: the folder holds a run with other settings, another process works in it, or
            a setting cannot be used.
    """
    settings = results.flat(cell_settings(config), "config.")
    try:
        with FileLock(folder / results.LOCK, timeout=0):
            if config.force:
                results.discard(folder)
            record = results.read(folder)
            if record is not None:
                results.require_same(record, settings, folder)
                log.info("%s is finished; force=true runs it anew", folder)
            else:
                # Torch and Lightning take seconds to import; a finished cell needs neither.
                from dsn_lab.run.training import train_and_test

                measured = train_and_test(config, folder, settings)
                record = {"dataset": config.dataset.name, **names} | measured | settings
                results.write(record, folder)
    except Timeout as error:
        raise PostponedError(f"{folder}: another process is working on this cell") from error
    return record
