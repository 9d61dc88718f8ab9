"""Workers of a sweep that end when the sweep does, whatever ended it."""

import multiprocessing
import os
import threading
import time
from functools import cache

POLL_SECONDS = 0.5
STATUS = 143  # as of SIGTERM


@cache
def end_with_parent() -> None:
    """In a worker process of joblib's, watch for the end of the process that started it.

    What it trains is resumed by the same command, as after any kill. Elsewhere the parent is the
    user's shell, which may well end before a sweep does: nothing is watched.
    """
    if "Loky" in multiprocessing.current_process().name:
        threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(STATUS)
