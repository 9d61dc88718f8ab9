"""What a user can set has a type and a range, and a refused run leaves nothing behind."""

import os
from pathlib import Path

import pytest

from tests.conftest import SMALL, Run, left_in, record

CELL = ("dataset=ItalyPowerDemand", "trainer.max_epochs=1", *SMALL)

PRUNED = ("model=lite", "dsp=default")

# At compose time, without torch.
COMPOSED = [
    (("+optimizer.betas=[2,3]",), "optimizer.betas.0=2: must be less than 1"),
    (("+optimizer.weight_decay=x",), "optimizer.weight_decay=x: must be a valid number"),
    (("+optimizer.weight_decay=nan",), "optimizer.weight_decay=nan: must be"),
    (("+optimizer.maximize=true",), "optimizer.maximize=True: must be False"),
    (("optimizer.lr=true",), "optimizer.lr=True: must be a number, not true or false"),
    (("optimizer.lr=inf",), "optimizer.lr=inf: must be"),
    (("scheduler.T_max=0",), "scheduler.T_max=0: must be greater than 0"),
    (("scheduler.T_max=1.5",), "scheduler.T_max=1.5: must be a valid integer"),
    (("scheduler.eta_min=nan",), "scheduler.eta_min=nan: must be"),
    (("scheduler.eta_min=-1",), "scheduler.eta_min=-1: must be greater than or equal to 0"),
    (("+scheduler.last_epoch=3",), "scheduler.last_epoch=3: must be -1"),
    (("trainer.devices=2",), "trainer.devices=2: must be 1 or [INDEX]: a cell is trained by one"),
    (("+trainer.num_nodes=2",), "trainer.num_nodes cannot be set: a cell is trained by one"),
    (("+trainer.strategy=ddp",), "trainer.strategy cannot be set"),
    (("+trainer.overfit_batches=1",), "trainer.overfit_batches cannot be set"),
    (("+trainer.fast_dev_run=true",), "trainer.fast_dev_run cannot be set: all of the test set"),
    (("+trainer.limit_test_batches=1",), "trainer.limit_test_batches cannot be set"),
    (("+trainer.max_time=1",), "trainer.max_time cannot be set: a result must not depend on"),
    (("+trainer.limit_train_batches=1.0",), "must be a number of batches, or a share below 1"),
    (("+trainer.precision=16",), "trainer.precision=16: must be '32-true'"),
    (("+trainer.gradient_clip_val=-1",), "trainer.gradient_clip_val=-1: must be greater than 0"),
    (("trainer.max_epochs=true",), "trainer.max_epochs=True: must be a number, not true"),
    (("seed=true",), "seed=True: must be a number, not true or false"),
    (("seed=4294967296",), "seed=4294967296: must be less than or equal to 4294967295"),
    (("fold=4294967296",), "fold=4294967296: must be less than or equal to"),
    (("batch_size=1e30",), "batch_size=1e+30: "),
    (("threads=100000",), "threads=100000: must be less than or equal to 1024"),
    (("threads=1.5",), "threads=1.5: must be a valid integer"),
    (("recalibrate=2",), "recalibrate=2: must be a valid boolean"),
    (("model.width=99999999999999999999",), "model.width: must fit 64 bits"),
    (("model.depth=2147483647",), "model.depth=2147483647: must be at most 10000"),
    (("dst.alpha=nan",), "dst.alpha=nan: must be finite"),
    (("penalty_weights=[nan]",), "penalty_weights.0=nan: must be"),
    (("data_dir=/nonexistent",), "data_dir=/nonexistent: there is no such folder"),
    (("dataset.archive=UEA",), "dataset.archive=UEA: dataset=ItalyPowerDemand says it already"),
    (("dataset.name=Coffee",), "dataset.name=Coffee: dataset=ItalyPowerDemand says it already"),
    (("-m", "output_dir=x"), "output_dir: in a sweep each cell has its own folder"),
    (("+sweep=small",), "which needs -m (--multirun)"),
    (("hydra/launcher=joblib",), "hydra/launcher: only a sweep is launched; give -m"),
    (("hydra.run.dir=x",), "hydra.run.dir: give output_dir="),
    ((*PRUNED, "+trainer.max_steps=3"), "with dsp each phase has its epochs"),
    ((*PRUNED, "dsp.finetune_epochs=x"), "must be a number of epochs"),
]  # fmt: skip

NO_COSINE = ("~scheduler.T_max", "~scheduler.eta_min")
ONE_CYCLE = (
    "scheduler.name=OneCycleLR",
    *NO_COSINE,
    "+scheduler.max_lr=1",
    "+scheduler.total_steps=4",
)

# Before anything is trained.
TRIED = [
    (("dst.alpha=0", "dst.alpha_end=1"), "dst.alpha_end=1.0: must be at most dst.alpha=0.0"),
    (("dst.alpha=true",), "dst.alpha=True: must not be true or false"),
    (("model.width=true",), "model.width=True: must not be true or false"),
    (("+model.in_channels=7",), "model.in_channels: follows from the data, it cannot be set"),
    (("sparsity=0.9999999",), "sparsity=0.9999999: leaves no active weight"),
    (("+optimizer.nonsense=1",), "unexpected keyword argument 'nonsense'"),
    (("optimizer.name=LBFGS", "~optimizer.fused"), "optimizer: "),
    (("optimizer.name=SGD", "+optimizer.nesterov=true"), "optimizer: Nesterov momentum requires"),
    (("scheduler.name=LambdaLR", *NO_COSINE, "+scheduler.lr_lambda=x"), "scheduler: "),
    ((*ONE_CYCLE, "trainer.max_epochs=9"), "scheduler: Tried to step 5 times"),
]


@pytest.mark.parametrize(("overrides", "message"), COMPOSED, ids=lambda v: str(v)[:40])
def test_a_setting_out_of_range_is_refused_when_it_is_composed(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...],
    message: str,
) -> None:  # fmt: skip
    cell = CELL[:2] if "model=lite" in overrides else CELL
    assert run(*cell, "dry_run=true", *overrides) == 2
    assert message in _one_line(capsys)
    assert not left_in(tmp_path)


@pytest.mark.parametrize(("overrides", "message"), TRIED, ids=lambda v: str(v)[:40])
def test_what_cannot_be_made_is_refused_before_training(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...],
    message: str,
) -> None:  # fmt: skip
    assert run(*CELL, *overrides) == 2
    assert message in _one_line(capsys)
    assert not left_in(tmp_path)


LOGGED = ("ItalyPowerDemand is read from aeon", "sparse convolutions run")


def _one_line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = (x for x in capsys.readouterr().err.splitlines() if not x.startswith(LOGGED))
    assert line.startswith("error: ")
    return line


def test_a_dry_run_and_a_finished_cell_write_nothing(run: Run, tmp_path: Path) -> None:
    assert run(*CELL, "dry_run=true") == 0
    assert run("-m", *CELL, "seed=0,1", "dry_run=true") == 0
    assert not left_in(tmp_path)
    assert run(*CELL) == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert run(*CELL) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_an_old_result_goes_when_the_new_one_is_there(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (*CELL, "output_dir=out")
    assert run(*command) == 0
    before = (tmp_path / "out" / "result.json").read_bytes()
    refused = ("+optimizer.nonsense=1", "optimizer.lr=0", "optimizer.lr=1e30", "dst.seed=x")
    for mistake in refused:
        assert run(*command, "force=true", mistake) == 2, mistake
        assert (tmp_path / "out" / "result.json").read_bytes() == before
    assert run(*command) == 0
    assert (tmp_path / "out" / "result.json").read_bytes() == before
    assert run(*command, "force=true") == 0
    assert record(tmp_path / "out")["fit_seconds"] != eval_seconds(before)
    assert not (tmp_path / "out" / ".anew").exists()


def eval_seconds(result: bytes) -> float:
    """The seconds in a record's text."""
    import json

    return float(json.loads(result)["fit_seconds"])


def test_multirun_may_stand_anywhere(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*CELL, "-m", "seed=0,1", "dry_run=true") == 0
    assert "2 cells: 0 done" in capsys.readouterr().out


def test_hydras_switch_for_errors_changes_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    assert run("sparcity=0.5") == 2
    assert "did you mean sparsity" in _one_line(capsys)
    assert os.environ["HYDRA_FULL_ERROR"] == "1"
