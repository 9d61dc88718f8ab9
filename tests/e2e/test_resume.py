"""A command that was killed ends as one that was not (at any moment: tests/faults/test_kills)."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import SMALL, lasting
from tests.faults.cells import PRUNED

ROOT = Path(__file__).parents[2]
EPOCHS = 40


CELLS = {
    "dsn": ("dst=dsn", *SMALL),
    "lite": (
        *("model=lite", "model.widths=[[4,4,4],[4],[4]]", *PRUNED),
        # Enough to be killed among.
        *(f"dsp.finetune_epochs={EPOCHS}", f"dsp.scratch_epochs={2 * EPOCHS}"),
    ),
}


def command(folder: Path, cell: str) -> list[str]:
    settings = ("dataset=ItalyPowerDemand", f"trainer.max_epochs={EPOCHS}", *CELLS[cell])
    return [sys.executable, str(ROOT / "run.py"), *settings, f"output_dir={folder}"]


def start(folder: Path, cell: str) -> "subprocess.Popen[bytes]":
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command(folder, cell), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def final_state(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "last.ckpt", weights_only=True)
    state["callbacks"]["History"].pop("seconds")
    return state


def require_equal(left: Any, right: Any, where: str = "") -> None:
    assert type(left) is type(right), where
    if isinstance(left, torch.Tensor):
        assert left.equal(right), where
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for key in left:
            require_equal(left[key], right[key], f"{where}/{key}")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), where
        for index, pair in enumerate(zip(left, right, strict=True)):
            require_equal(*pair, f"{where}/{index}")
    else:
        assert left == right, where


def epochs_written(folder: Path) -> int:
    metrics = folder / "metrics.csv"
    written = metrics.exists() and (folder / "last.ckpt").exists()
    return len(metrics.read_text().splitlines()) - 1 if written else 0


@pytest.mark.parametrize(
    ("cell", "after"),
    [
        ("dsn", 0),
        ("lite", EPOCHS),
    ],
)
def test_killed_runs_end_with_the_same_bits(tmp_path: Path, cell: str, after: int) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert start(undisturbed, cell).wait() == 0
    total = epochs_written(undisturbed)

    process = start(killed, cell)
    while process.poll() is None and epochs_written(killed) <= after:
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "result.json").exists()
    assert after < epochs_written(killed) < total

    process = start(killed, cell)
    _, log = process.communicate()
    assert process.returncode == 0
    assert b"resuming after epoch" in log
    left, right = final_state(undisturbed), final_state(killed)
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "global_step"):
        require_equal(left[part], right[part], part)
    rows = [(folder / "metrics.csv").read_bytes() for folder in (undisturbed, killed)]
    assert rows[0] == rows[1]
    results = [json.loads((f / "result.json").read_text()) for f in (undisturbed, killed)]
    assert lasting(results[0]) == lasting(results[1])


def test_two_processes_do_not_work_on_one_cell(tmp_path: Path) -> None:
    first = start(tmp_path, "dsn")
    while first.poll() is None and not (tmp_path / "last.ckpt").exists():
        time.sleep(0.01)
    second = start(tmp_path, "dsn")
    _, log = second.communicate()
    first.kill()
    first.wait()
    assert second.returncode == 2
    assert b"another process is working on this cell" in log


def test_a_full_disk_is_one_line_and_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("as it was\n")
    # No file may grow beyond 20 kB, which the checkpoint exceeds.
    limited = 'ulimit -f 20; trap \'\' XFSZ; exec "$0" "$@"'
    done = subprocess.run(
        ["bash", "-c", limited, *command(tmp_path, "dsn")], capture_output=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"error: cannot write" in done.stderr
    assert not (tmp_path / "last.ckpt").exists()
    assert not list(tmp_path.glob("*.tmp"))
