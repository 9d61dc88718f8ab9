"""W&B offline: no account, no question, everything in the run's files."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import SMALL, Run


def test_an_offline_run_holds_config_metrics_diagnostics_and_figures(
    run: Run, tmp_path: Path
) -> None:
    command = ("dataset=ItalyPowerDemand", "trainer.max_epochs=6", *SMALL, "logger=wandb")
    assert run(*command, "output_dir=out") == 0
    (folder,) = (tmp_path / "out" / "wandb").glob("offline-run-*")
    shown = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for key in ("model.width", "train_loss", "test_accuracy", "lr"):
        assert key in shown, key
    for key in ("topology/layer1/group1/explored", "learning_curve", "active_weights"):
        assert key in shown, key
