"""Killed at random moments, again and again, a run ends with the same bits."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from dsn_lab.records.cell import Cell
from dsn_lab.run import experiment
from tests.e2e.test_resume import require_equal
from tests.faults.cells import cell_in, left_by, quick

EPOCHS = {"dsn": 30, "rigl": 30, "validated": 90, "lite": 10, "dsn-dsp": 10}


@pytest.mark.parametrize(
    ("kind", "times"), [("dsn", 6), ("rigl", 2), ("validated", 3), ("lite", 6), ("dsn-dsp", 6)]
)
def test_killed_at_any_moment_it_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, times: int
) -> None:
    quick(monkeypatch)
    undisturbed = cell_in(tmp_path / "undisturbed", kind, EPOCHS[kind])
    for _ in range(2):  # the first run imports and compiles, too
        shutil.rmtree(undisturbed.folder, ignore_errors=True)
        began = time.monotonic()
        experiment.run(undisturbed)
        takes = time.monotonic() - began
    expected = left_by(undisturbed.folder)
    chance, cell = random.Random(kind), cell_in(tmp_path / "cell", kind, EPOCHS[kind])
    kills = 0
    while kills < times:
        if _killed(cell, chance.uniform(0, takes)):
            kills += 1
        else:
            require_equal(left_by(cell.folder), expected)
            shutil.rmtree(cell.folder)
    experiment.run(cell)
    require_equal(left_by(cell.folder), expected)


def _killed(cell: Cell, seconds: float) -> bool:
    """Run in a copy of this process and kill that; whether it had not ended before."""
    if (child := os.fork()) == 0:
        try:
            experiment.run(cell)
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)
