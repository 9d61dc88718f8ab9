"""A sweep through a real SLURM, with jobs killed, pre-empted and out of time."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dsn_lab.storage import read_torch
from tests.conftest import SMALL, Run
from tests.e2e.test_sweep import start, table

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

SCRIPT = Path(__file__).with_name("one_node.sh")
TOOLS = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "sacct")
# Three cells that differ as little as they can.
EPOCHS = (400, 401, 402)
SWEEP = ("dataset=ItalyPowerDemand", *SMALL, f"trainer.max_epochs={','.join(map(str, EPOCHS))}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cluster of this machine; without SLURM the tests are skipped, but in CI they fail."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0:
        missing.append("root")
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"needs {', '.join(missing)}")
    assert not missing, f"CI has to provide {', '.join(missing)}"
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run([SCRIPT, "start", folder], check=True)
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    yield
    del os.environ["SLURM_CONF"]
    subprocess.run([SCRIPT, "stop", folder], check=True)


def slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def fact(job: str, name: str) -> int:
    found = re.search(rf"{name}=(\d+)", slurm("scontrol", "show", "job", job))
    assert found is not None
    return int(found[1])


def restarts(job: str) -> int:
    return fact(job, "Restarts")


def process_of(job: str) -> int:
    processes = slurm("scontrol", "listpids", str(fact(job, "JobId"))).splitlines()
    (pid,) = (line.split()[0] for line in processes if line.split()[2:4] == ["0", "0"])
    return int(pid)


def warned(pid: int) -> bool:
    """Whether a process has had submitit's signal, which it gets when its time is up."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True
    pending = re.search(r"ShdPnd:\s*(\w+)", status)
    assert pending is not None
    return bool(int(pending[1], 16) >> (signal.SIGUSR2 - 1) & 1)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < end, f"waited too long for {what}"
        time.sleep(0.1)


def saved(folder: Path, epochs: int, since: float = 0.0) -> bool:
    """Whether the cell of so many epochs has written a state to resume from."""
    found = (path for path in folder.rglob("last.ckpt") if path.stat().st_mtime > since)
    kept = (read_torch(path)["callbacks"]["LastState"]["settings"] for path in found)
    return any(settings["config.trainer.max_epochs"] == epochs for settings in kept)


@pytest.mark.usefixtures("cluster")
def test_disturbed_jobs_leave_the_same_table(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "slurm"
    launcher = ("signal_delay_s=30", "mem_gb=1")
    process = start(
        *SWEEP,
        "logger=wandb",
        "hydra/launcher=slurm",
        *(f"hydra.launcher.{setting}" for setting in launcher),
        f"hydra.sweep.dir={out}",
        cwd=tmp_path,
    )
    killed, preempted, late = "1_0", "1_1", "1_2"
    wait_for(lambda: saved(out, EPOCHS[0]) and saved(out, EPOCHS[1]), "the first two cells")
    # By what such cells usually take.
    assert "TimeLimit=00:30:00" in slurm("scontrol", "show", "job", killed)
    # As a machine without memory does.
    os.kill(process_of(killed), signal.SIGKILL)
    slurm("sbatch", "--partition=high", "--cpus-per-task=2", "--output=/dev/null", "--wrap=sleep 1")
    wait_for(lambda: restarts(preempted) > 0, "the pre-emption")

    wait_for(lambda: not slurm("squeue", "--noheader", "--partition=high"), "the urgent job")
    urgent_job_ended = time.time()
    wait_for(lambda: saved(out, EPOCHS[2], since=urgent_job_ended), "the last cell")
    # It stands still until its time is up, which SLURM looks at every 30 seconds.
    before, pid = restarts(late), process_of(late)
    os.kill(pid, signal.SIGSTOP)
    slurm("scontrol", "update", f"JobId={late}", "TimeLimit=1")
    wait_for(lambda: warned(pid), "the time-out")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: restarts(late) > before, "the requeue")
    slurm("scontrol", "update", f"JobId={late}", "TimeLimit=30")

    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert f"SLURM job {killed} ended as FAILED" in printed
    logs = [path.read_text() for path in out.rglob("run.log")]
    assert sum("resuming after epoch" in log for log in logs) == len(EPOCHS)

    assert run("-m", *SWEEP, "threads=1", "hydra.sweep.dir=undisturbed") == 0
    undisturbed = table(tmp_path / "undisturbed")
    assert len(undisturbed) == len(EPOCHS)
    assert table(out) == undisturbed
