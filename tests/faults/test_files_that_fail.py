"""Every call that touches a file of a cell fails once, in turn: a line, and the work goes on."""

import builtins
import errno
import io
import json
import logging
import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from dsn_lab.errors import UserError
from dsn_lab.explain import explain
from dsn_lab.records.cell import Cell
from dsn_lab.run import experiment
from tests.e2e.test_resume import require_equal
from tests.faults.cells import cell_in, left_by, quick

PATCHED = (
    *((builtins, "open"), (io, "open"), (os, "open"), (os, "mkdir"), (os, "replace")),
    *((os, "rename"), (os, "unlink"), (os, "scandir")),
)
FULL = "/dev/full"


class Faults:
    """Fails one call on a file below a folder: it is refused, or finds that the disk is full."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = str(folder), monkeypatch

    def arm(self, known: Collection[str], *, full: bool) -> None:
        """Have the first call fail that is not known to have failed before."""
        self.known, self.full, self.failed = known, full, ""
        for module, name in PATCHED:
            self.monkeypatch.setattr(module, name, self._failing(getattr(module, name), name))

    def _failing(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def failing(path: Any = ".", *args: Any, **kwargs: Any) -> Any:
            if not str(path).startswith(self.folder):
                return call(path, *args, **kwargs)
            writes = name == "open" and str((*args, "r")[0]).startswith(("w", "a"))
            this = f"{name} {Path(str(path)).name}"
            if self.failed or this in self.known or (self.full and not writes):
                return call(path, *args, **kwargs)
            self.failed = this
            if self.full:
                return call(FULL, *args, **kwargs)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

        return failing


def refusal(cell: Cell) -> str:
    """What a user is told, if it is anything; other errors would end in a traceback."""
    try:
        experiment.run(cell)
    except (UserError, OSError) as error:
        return explain(error)
    return ""


@pytest.mark.parametrize("full", [False, True], ids=["refused", "disk full"])
def test_each_call_fails_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, full: bool
) -> None:
    # As the command line does.
    monkeypatch.setattr(logging, "raiseExceptions", False)
    quick(monkeypatch)
    undisturbed = cell_in(tmp_path / "undisturbed")
    experiment.run(undisturbed)
    expected = left_by(undisturbed.folder)
    # The same command after each failure, of which the next call fails; nothing is ever lost.
    cell, failed = cell_in(tmp_path / "out" / "cell"), list[str]()
    for _ in range(100):
        with monkeypatch.context() as patched:
            faults = Faults(tmp_path / "out", patched)
            faults.arm(failed, full=full)
            said = refusal(cell)
        if not faults.failed:
            break
        failed.append(faults.failed)
        assert len(said.splitlines()) <= 1
        if not said or cell.result.exists():  # it can do without, as without its log
            shutil.rmtree(cell.folder)
    assert not said
    require_equal(left_by(cell.folder), expected)
    touched = {name.split()[-1] for name in failed}
    assert {"run.log", ".last.ckpt.tmp", ".predictions.npz.tmp", ".result.json.tmp"} <= touched
    assert full or {"cell", ".lock", "figures"} <= touched


@pytest.mark.parametrize("name", ["run.log", "last.ckpt", "result.json"])
@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_something_else_where_a_file_should_be_is_named(
    tmp_path: Path, name: str, kind: str
) -> None:
    cell = cell_in(tmp_path)
    (tmp_path / name).mkdir() if kind == "folder" else os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match=f"{name} is not a file"):
        experiment.run(cell)


def test_a_finished_cell_in_a_place_to_read_only_is_shown(tmp_path: Path) -> None:
    cell = cell_in(tmp_path / "out")
    record = experiment.run(cell)
    (tmp_path / "out" / "run.log").unlink()
    (tmp_path / "out" / "run.log").mkdir()
    (tmp_path / "out").chmod(0o500)
    assert experiment.run(cell) == json.loads(json.dumps(record))
    (tmp_path / "out").chmod(0o700)
