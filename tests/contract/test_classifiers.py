"""What classifiers that are fitted, not trained, must keep."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dsn_lab.records.cell import Cell
from dsn_lab.registry import classifiers
from dsn_lab.run import fitting
from tests.conftest import Run, record
from tests.contract.training import checked, fitted

# Of those that are compiled for a minute before their first fit, it is enough that they are made.
QUICK = [("model=quant",), ("model=aeon", "model.estimator=HydraClassifier", "+model.n_groups=4")]
TRAINING = ("trainer.max_epochs=3", "optimizer.lr=0.1", "recalibrate=false")

each_quick = pytest.mark.parametrize("cell", QUICK, ids=" ".join)


@pytest.mark.parametrize("choice", sorted(set(fitted()) - {"aeon"}))
def test_every_choice_is_made_with_its_seed_and_threads(choice: str) -> None:
    made = classifiers.make(checked(f"model={choice}").model, seed=3, threads=2)
    assert made.random_state == 3
    assert getattr(made, "n_jobs", 2) == 2


@each_quick
def test_a_cell_is_fitted_once_recorded_and_shown(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], cell: tuple[str, ...]
) -> None:
    command = (*cell, "dataset=ItalyPowerDemand", "seed=5")
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    assert run(*command) == 0
    # Hydra sets both, and leaves them so.
    assert torch.rand(3).equal(expected)
    assert torch.get_num_threads() == 1
    (result,) = tmp_path.glob("results/ItalyPowerDemand/*/fold0-seed5/result.json")
    made = record(result.parent)
    assert made["test_accuracy"] > 0.9
    assert f"model={made['model']}" == cell[0]
    assert made["dst"] == made["dsp"] == "none"
    assert made["epochs"] == made["protocol_epochs"] == 1
    for measured in ("fit_seconds", "test_seconds", "inference_ms_64", "model_bytes"):
        assert made[measured] > 0
    stored = np.load(result.with_name("predictions.npz"))
    right = stored["fitted"].argmax(axis=1) == stored["labels"]
    assert right.mean() == pytest.approx(made["test_accuracy"], abs=1e-6)
    again = result.read_bytes()
    capsys.readouterr()
    assert run(*command) == 0
    assert "test accuracy" in capsys.readouterr().out
    assert result.read_bytes() == again


@pytest.mark.parametrize(("gaps", "expected"), [("interpolate", 2), ("zero", 0)])
def test_gaps_are_filled_as_for_networks(tmp_path: Path, gaps: str, expected: float) -> None:
    x = np.array([[[1, np.nan, 3, 4]], [[4, 3, 2, 1]]])
    np.savez(tmp_path / "own.npz", X_train=x, y_train=[0, 1], X_test=x, y_test=[0, 1])
    own = ("dataset=own", f"dataset.path={tmp_path / 'own.npz'}", "dataset.scaling=none")
    settings = checked("model=quant", *own, f"dataset.gaps={gaps}")
    names = {"model": "quant", "dst": "none", "dsp": "none"}
    prepared = fitting.prepare_and_try(Cell(tmp_path, names, settings))
    assert prepared.dataset.x_train[0, 0, 1] == expected


@each_quick
def test_settings_of_training_are_refused_and_make_no_cell(run: Run, cell: tuple[str, ...]) -> None:
    for setting in TRAINING:
        assert run(*cell, setting) == 2
    grid = ("-m", "dataset=ItalyPowerDemand", "trainer.max_epochs=1,2", "dry_run=true")
    assert run(*cell, *grid) == 2


def test_a_sweep_over_both_kinds_has_one_cell_of_what_does_not_train(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = ("-m", "model=oscnn,quant", "trainer.max_epochs=1,2", "dry_run=true")
    assert run(*grid) == 0
    assert "3 cells" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("model=aeon", "model.estimator=MiniRockets"), "MiniRocketClassifier"),
        (("model=quant", "+model.depth=3"), "interval_depth"),
        (("model=quant", "dsp=default"), "needs a network"),
        (("model=quant", "dst=dsn"), "needs a network"),
    ],
)
def test_mistakes_are_one_line(
    run: Run, capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...], said: str
) -> None:
    assert run(*overrides, "dataset=ItalyPowerDemand") == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "is read from" not in line]
    assert len(errors) == 1
    assert said in errors[0]
