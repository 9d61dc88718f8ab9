"""W&B offline: no account, no question, everything in the run's files."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dsn_lab.runs import main as runs_command
from dsn_lab.sweep.wandb_agents import agents_config
from tests.conftest import SMALL, Run

ROOT = Path(__file__).parents[2]


def python(*arguments: str) -> str:
    """What a Python of its own prints; W&B keeps state for the whole process."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


LAYERS = ("layer1", "layer2")


def test_an_offline_run_holds_all_and_can_be_made_up_afterwards(tmp_path: Path) -> None:
    cell = ("dataset=ItalyPowerDemand", "trainer.max_epochs=6", *SMALL, "threads=1")
    python(str(ROOT / "run.py"), *cell, "logger=wandb", f"results_dir={tmp_path}")
    (folder,) = (tmp_path / "ItalyPowerDemand").rglob("fold0-seed0")
    (first,) = (folder / "wandb").glob("offline-run-*")
    name = str(folder.relative_to(tmp_path))
    assert python("-m", "dsn_lab.runs", str(tmp_path), "--backfill").splitlines()[-1] == name
    (second,) = set((folder / "wandb").glob("offline-run-*")) - {first}
    assert not (first / "tmp").exists()
    logged = [held(each) for each in (first, second)]
    assert logged[0]["losses"] == pytest.approx(logged[1]["losses"])
    assert len(logged[0]["losses"]) == 6
    for each in logged:
        run = each["run"]
        assert run["display_name"] == name
        assert run["run_group"] == str(Path(name).with_name("fold0"))
        config = run["config"]["update"]
        names = {key: config[f"{key}_name"] for key in ("dataset", "model", "dst", "dsp")}
        assert names == {
            "dataset": "ItalyPowerDemand", "model": "dsn", "dst": "dsn", "dsp": "none"
        }  # fmt: skip
        assert config["model"]["width"] == 4
        assert {"glob_name": "topology/*", "options": {"defined": True, "hidden": True}} in (
            each["metrics"]
        )
        assert each["charts"] >= {"confusion matrix", *(f"topology of {one}" for one in LAYERS)}
        assert each["summary"] >= {
            "test_accuracy", "params_active", "flops", "classes", "learning_curve",
            *(f"receptive fields of {one}" for one in LAYERS),
        }  # fmt: skip
        assert each["artifacts"] >= {"model", "predictions"}


def held(folder: Path) -> dict[str, Any]:
    """What W&B finds in an offline run."""
    lines = python("-m", "wandb", "leet", "inspect", "--json", str(folder)).splitlines()
    records = [json.loads(line) for line in lines]
    of: dict[str, list[Any]] = {}
    for each in records:
        of.setdefault(each["type"], []).append(each.get(each["type"]))
    rows = [each["item"] for each in of["history"]]
    updates = [each["update"] for each in of["summary"]]
    return {
        "run": of["run"][0],
        "losses": [row["train_loss"] for row in rows if "train_loss" in row],
        "metrics": of["metric"],
        "charts": {
            key.removeprefix("_wandb.visualize.") for each in of["config"] for key in each["update"]
        },
        "summary": {key.partition(".")[0] for update in updates for key in update},
        "artifacts": {each["name"].partition("-")[0] for each in of["artifact"]},
    }


def runs(folder: Path) -> list[dict[str, Any]]:
    """The run record of every offline run below a folder."""
    found = []
    for path in sorted(folder.rglob("offline-run-*")):
        lines = python("-m", "wandb", "leet", "inspect", "--json", str(path)).splitlines()
        records = [json.loads(line) for line in lines]
        (run,) = (record["run"] for record in records if record["type"] == "run")
        rows = [record["history"]["item"] for record in records if record["type"] == "history"]
        found.append(run | {"epochs": [row["epoch"] for row in rows if "train_loss" in row]})
    return found


def test_cells_of_a_sweep_are_runs_of_their_own_in_the_group_of_their_seeds(tmp_path: Path) -> None:
    sweep = ("-m", "+sweep=small", "dataset=ItalyPowerDemand", "sparsity=0.5", "seed=0,1")
    # The first learning rate diverges, which leaves a run open in the process.
    settings = (*SMALL, "trainer.max_epochs=2", "optimizer.lr=1e30,1e-3", "logger=wandb")
    command = [sys.executable, str(ROOT / "run.py"), *sweep, *settings]
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 2
    found = runs(tmp_path)
    assert len({run["run_id"] for run in found}) == len(found) == 4
    assert all(run["tags"] == ["small"] for run in found)
    groups = Counter(run["run_group"] for run in found)
    assert sorted(groups.values()) == [2, 2]


def test_a_resumed_cell_goes_on_with_its_run(tmp_path: Path) -> None:
    cell = ("dataset=ItalyPowerDemand", "trainer.max_epochs=300", *SMALL, "logger=wandb")
    command = [sys.executable, str(ROOT / "run.py"), *cell, f"output_dir={tmp_path}", "threads=1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (tmp_path / "last.ckpt").exists():
        time.sleep(0.05)
    # W&B writes what it was told every second.
    time.sleep(2)
    process.kill()
    process.wait()
    assert not (tmp_path / "result.json").exists()
    subprocess.run(command, check=True, capture_output=True)
    first, second = runs(tmp_path)
    # `wandb sync` joins pieces of one id.
    assert first["run_id"] == second["run_id"]
    assert second["epochs"][0] > 0
    assert second["epochs"][-1] == 299


def test_switched_off_it_logs_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    cell = ("dataset=ItalyPowerDemand", "trainer.max_epochs=1", *SMALL, "logger=wandb")
    assert run(*cell, "results_dir=out") == 0
    assert not list(tmp_path.rglob("wandb"))
    with pytest.raises(SystemExit, match="2"):
        runs_command(["out", "--backfill"])
    assert "WANDB_MODE=disabled: must be offline or online" in capsys.readouterr().err


def test_agents_run_the_cells_of_the_sweep_file(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    written = agents_config("small")
    parameters = written["parameters"]
    assert isinstance(parameters, dict)
    assert {key: len(value["values"]) for key, value in parameters.items()} == {
        "dataset": 5,
        "sparsity": 3,
        "seed": 3,
    }
    command = written["command"]
    assert isinstance(command, list)
    first = [f"{key}={value['values'][0]}" for key, value in parameters.items()]
    fixed = [part for part in command if "${" not in part and part != "logger.mode=online"]
    assert run(*fixed, *first, "dry_run=true", "logger=csv") == 0
    assert "/results/GunPoint/dsn-dsn-S0.5-" in capsys.readouterr().out


def test_the_run_of_a_fitted_classifier_holds_its_record(tmp_path: Path) -> None:
    cell = ("model=quant", "dataset=ItalyPowerDemand", "logger=wandb", f"output_dir={tmp_path}")
    python(str(ROOT / "run.py"), *cell)
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    shown = python("-m", "wandb", "leet", "inspect", "--summary", "--json", str(folder))
    for key in ("test_accuracy", "inference_ms_64", "model_bytes", "confusion matrix"):
        assert key in shown, key
