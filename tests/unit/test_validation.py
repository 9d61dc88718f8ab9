"""Held-out series choose the weights, and may end the training; the test set never does."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsn_lab.data.load import load_dataset
from dsn_lab.errors import UserError
from dsn_lab.run.validation import hold_out
from tests.conftest import SMALL, Run, record

CELL = ("dataset=ItalyPowerDemand", *SMALL, "threads=1", "output_dir=out")


@settings(deadline=None, max_examples=30)
@given(st.floats(0.05, 0.95), st.integers(0, 9))
def test_a_share_of_each_class_is_held_out(share: float, seed: int) -> None:
    whole = load_dataset("ItalyPowerDemand")
    rest, held = hold_out(whole, share, seed)
    assert len(rest.y_train) + len(held.y) == len(whole.y_train)
    assert len(held.y) == pytest.approx(share * len(whole.y_train), abs=1)
    both = np.concatenate([rest.x_train, held.x])
    assert np.array_equal(np.sort(both, axis=0), np.sort(whole.x_train, axis=0))
    for labels in (rest.y_train, held.y):
        shares = np.bincount(labels) / len(labels)
        assert shares == pytest.approx(np.bincount(whole.y_train) / 67, abs=1 / len(labels))
    assert rest.x_test is whole.x_test
    again, _ = hold_out(whole, share, seed)
    assert np.array_equal(again.x_train, rest.x_train)


def test_a_share_that_leaves_a_class_out_is_refused() -> None:
    with pytest.raises(UserError, match="each class needs one on both sides"):
        hold_out(load_dataset("ItalyPowerDemand"), 0.01, 0)


def test_the_lowest_validation_loss_is_tested_and_patience_ends_training(
    run: Run, tmp_path: Path
) -> None:
    assert run(*CELL, "trainer.max_epochs=200", "validation=0.3", "patience=4") == 0
    found = record(tmp_path / "out")
    with (tmp_path / "out" / "metrics.csv").open() as file:
        losses = [float(row["validation_loss"]) for row in csv.DictReader(file)]
    assert found["best_epoch"] == int(np.argmin(losses))
    assert found["epochs"] == len(losses) == found["best_epoch"] + 1 + 4 < 200
    assert found["validation_loss"] == pytest.approx(min(losses))
    assert found["n_train"] == 67 - 21


@pytest.mark.parametrize("stage", ["finetuned", "scratch"])
def test_a_pruned_runs_losses_are_those_of_the_stage_it_reports(
    run: Run, tmp_path: Path, stage: str
) -> None:
    pruned = ("model=lite", "model.widths=[[4,4,4],[4],[4]]", "dsp=default", "dsp.scratch=true")
    short = ("trainer.max_epochs=3", "dsp.finetune_epochs=2", "dsp.scratch_epochs=2", "threads=1")
    cell = ("dataset=ItalyPowerDemand", "output_dir=out", "validation=0.3", f"dsp.report={stage}")
    assert run(*pruned, *short, *cell) == 0
    found = record(tmp_path / "out")
    with (tmp_path / "out" / "metrics.csv").open() as file:
        chosen = list(csv.DictReader(file))[found["best_epoch"]]
    for key in ("train_loss", "validation_loss"):
        assert found[key] == pytest.approx(float(chosen[key]), rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("patience=3",), "waits for a loss on validation=0.2"),
        (("validation=1",), "must be less than 1"),
        (("validation=0.2", "+trainer.max_steps=3"), "measured after whole epochs"),
        (("output_dir=''",), "output_dir="),
        (("dsp=default", "validation=0.2", "patience=3"), "each phase has its epochs"),
        (("model=quant", "validation=0.2"), "validation: nothing reads it"),
    ],
)
def test_what_makes_no_sense_is_refused(
    run: Run, settings: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("dataset=ItalyPowerDemand", *settings) == 2
    assert said in capsys.readouterr().err
