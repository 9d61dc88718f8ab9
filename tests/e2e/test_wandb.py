"""W&B offline: no account, no question, everything in the run's files."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import SMALL

ROOT = Path(__file__).parents[2]


def python(*arguments: str) -> str:
    """What a Python of its own prints; W&B keeps state for the whole process."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_an_offline_run_holds_config_metrics_diagnostics_and_figures(tmp_path: Path) -> None:
    cell = ("dataset=ItalyPowerDemand", "trainer.max_epochs=6", *SMALL, "logger=wandb")
    python(str(ROOT / "run.py"), *cell, f"output_dir={tmp_path}", "threads=1")
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    shown = python("-m", "wandb", "leet", "inspect", "--json", str(folder))
    for key in ("model.width", "train_loss", "test_accuracy", "lr"):
        assert key in shown, key
    for key in ("topology/layer1/group1/explored", "learning_curve", "active_weights"):
        assert key in shown, key
