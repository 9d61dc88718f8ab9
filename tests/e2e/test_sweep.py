"""Sweeps on one machine: nothing runs twice, nothing is lost, failures are listed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from dsn_lab.data import names
from tests.conftest import SMALL, Run, lasting

ROOT = Path(__file__).parents[2]
TINY = (*SMALL, "trainer.max_epochs=2", "threads=1")


def table(folder: Path) -> dict[str, dict[str, Any]]:
    """Every result below a folder, by its cell, without what may differ."""
    results = {}
    for path in sorted(folder.rglob("result.json")):
        record = json.loads(path.read_text())
        cell = str(path.parent.relative_to(folder))
        results[cell] = lasting(record)
    return results


def written(folder: Path) -> dict[str, int]:
    """When each result below a folder was written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("result.json")}


def start(*overrides: str, cwd: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, str(ROOT / "run.py"), "-m", *overrides]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_finished_cells_are_not_run_again(run: Run, tmp_path: Path) -> None:
    sweep = ("-m", "dataset=ItalyPowerDemand", *TINY, "hydra.sweep.dir=out")
    assert run(*sweep, "seed=0") == 0
    before = written(tmp_path / "out")
    assert len(before) == 1
    assert run(*sweep, "seed=0,1") == 0
    after = written(tmp_path / "out")
    assert len(after) == 2
    assert before.items() <= after.items()
    assert run(*sweep, "seed=0,1", "force=true") == 0
    forced = written(tmp_path / "out")
    assert forced.keys() == after.keys()
    assert all(forced[path] > after[path] for path in after)


def test_single_runs_and_sweeps_share_their_cells(run: Run, tmp_path: Path) -> None:
    cell = ("dataset=ItalyPowerDemand", *TINY, "seed=3")
    assert run(*cell) == 0
    before = written(tmp_path)
    assert run("-m", *cell) == 0
    assert written(tmp_path) == before


def test_a_failed_cell_stops_no_other_and_is_listed(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ("-m", "dataset=ItalyPowerDemand", *TINY, "hydra.sweep.dir=out")
    assert run(*sweep, "optimizer.lr=1e30,1e-3", "seed=0") == 2
    assert len(written(tmp_path / "out")) == 1
    printed = capsys.readouterr()
    assert "1 of 2 cells failed" in printed.err
    assert "Traceback" not in printed.err
    listed = printed.out.partition("failed: ")[2]
    assert "optimizer.lr=1e+30" in listed
    assert "lower optimizer.lr" in listed
    log = Path(listed.partition("log: ")[2].splitlines()[0])
    assert "lower optimizer.lr" in log.read_text()


def test_a_mistake_is_refused_before_anything_runs(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-m", "seed=0,1", "sparsity=0.5,1.5") == 2
    assert "sparsity=1.5: must be less than 1" in capsys.readouterr().err
    assert not written(tmp_path)


def test_a_dry_run_shows_cells_states_and_hours(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ("-m", *TINY, "hydra.sweep.dir=out", "seed=0,1,2")
    assert run(*sweep, "dataset=ItalyPowerDemand", "seed=0") == 0
    (result,) = (tmp_path / "out").rglob("result.json")
    record = json.loads(result.read_text())
    record["fit_seconds"] = 3600.0
    result.write_text(json.dumps(record))
    capsys.readouterr()
    assert run(*sweep, "dataset=ItalyPowerDemand,GunPoint", "dry_run=true") == 0
    printed = capsys.readouterr().out
    assert f"done   {result.parent}" in printed
    assert f"to do  {result.parent.with_name('fold0-seed1')}" in printed
    assert "6 cells: 1 done, 5 to do" in printed
    # Two epochs took an hour, by the forged record.
    assert "5 of them: about " in printed
    assert "by finished cells of their kind" in printed
    assert run(*sweep, "dataset=GunPoint", "dst=rigl", "dry_run=true") == 0
    assert "by what a step usually takes" in capsys.readouterr().out
    assert run(*sweep, "dataset=HAR", "dst=rigl", "dry_run=true") == 0
    assert "3 of them: unknown" in capsys.readouterr().out
    assert len(written(tmp_path / "out")) == 1


def test_a_job_that_slurm_refuses_is_one_line(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sbatch", "srun"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\necho 'sbatch: error: Invalid account' >&2\nexit 1\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    sweep = ("-m", "dataset=ItalyPowerDemand", *TINY, "seed=0,1", "hydra.sweep.dir=out")
    assert run(*sweep, "hydra/launcher=slurm") == 2
    said = "sbatch: error: Invalid account"
    assert capsys.readouterr().err.splitlines() == [said, f"error: {said}"]  # sbatch's, and ours
    assert not written(tmp_path)


# With one dataset and one seed in place of those of the sweep.
SIZES = {
    "table1": 7,
    "table2": 7,
    "b9": 10,
    "table3": 4,
    "table4": 6,
    "fig5": 6,
    "fig6": 2,
    "fig7": 3,
    "fig8": 1,
    "small": 3,
}


@pytest.mark.parametrize("name", SIZES)
def test_every_sweep_has_its_cells(run: Run, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert run("-m", f"+sweep={name}", "dataset=HAR", "seed=0", "dry_run=true") == 0
    assert f"{SIZES[name]} cells: 0 done" in capsys.readouterr().out


@pytest.mark.parametrize(("archive", "size"), [("_ucr85", 85), ("_ucr128", 128)])
def test_the_archives_are_complete(archive: str, size: int) -> None:
    loaded = OmegaConf.load(ROOT / "sweeps" / f"{archive}.yaml")
    members = [name.strip() for name in loaded.hydra.sweeper.params.dataset.split(",")]
    assert len(set(members)) == len(members) == size
    assert set(members) <= set(names.UCR)


def workers_of(process: "subprocess.Popen[str]") -> list[int]:
    """The processes in which joblib runs cells."""
    command = ["pgrep", "--parent", str(process.pid), "--full", "loky"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(pid) for pid in found.stdout.split()]


def require_gone(workers: list[int]) -> None:
    """Within a few seconds; none is left to work for a sweep that is no more."""
    deadline = time.monotonic() + 20
    while left := [pid for pid in workers if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_a_killed_joblib_sweep_ends_as_one_never_killed(run: Run, tmp_path: Path) -> None:
    sweep = ("dataset=ItalyPowerDemand", *TINY, "seed=range(4)")
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    process = start(*sweep, "hydra/launcher=joblib", f"hydra.sweep.dir={killed}", cwd=tmp_path)
    while process.poll() is None and not written(killed):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = written(killed)
    assert 1 <= len(before) < 4

    process = start(*sweep, "hydra/launcher=joblib", f"hydra.sweep.dir={killed}", cwd=tmp_path)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    after = written(killed)
    assert len(after) == 4
    assert before.items() <= after.items()

    assert run("-m", *sweep, f"hydra.sweep.dir={undisturbed}") == 0
    assert table(undisturbed) == table(killed)


@pytest.mark.parametrize("signal_", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_sweep(tmp_path: Path, signal_: signal.Signals) -> None:
    sweep = ("dataset=ItalyPowerDemand", *SMALL, "trainer.max_epochs=10000", "threads=1")
    process = start(*sweep, "hydra/launcher=joblib", "seed=0,1", cwd=tmp_path)
    while process.poll() is None and len(list(tmp_path.rglob("metrics.csv"))) < 2:
        time.sleep(0.05)
    workers = workers_of(process)
    process.send_signal(signal_)
    process.communicate()
    assert workers
    require_gone(workers)
    assert not written(tmp_path)


def test_a_killed_worker_costs_no_cell(tmp_path: Path) -> None:
    sweep = ("dataset=ItalyPowerDemand", *SMALL, "trainer.max_epochs=40", "seed=range(3)")
    out = tmp_path / "out"
    process = start(
        *sweep,
        "hydra/launcher=joblib",
        f"hydra.sweep.dir={out}",
        "hydra.launcher.n_jobs=2",
        cwd=tmp_path,
    )
    logs: list[Path] = []
    while process.poll() is None and not logs:
        time.sleep(0.05)
        logs = [path for path in out.rglob("run.log") if path.stat().st_size]
    os.kill(workers_of(process)[-1], signal.SIGKILL)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert "was killed" in printed
    assert len(written(out)) == 3
