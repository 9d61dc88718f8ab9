"""Base, pruned and scratch runs, and their ensembles, by the user's commands."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dsn_lab import ensemble
from dsn_lab.data.load import load_dataset
from dsn_lab.records.networks import load_network
from tests.conftest import Run, record

LITE = (
    "model=lite",
    "model.widths=[[4,4,4],[4],[4]]",
    "dataset=ItalyPowerDemand",
    "trainer.max_epochs=9",
)
PRUNE = (*LITE, "dsp=default", "dsp.rule=largest_activity", "dsp.tau=0.7")


def test_a_pruned_run_says_what_went_and_what_it_cost(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*PRUNE, "output_dir=out") == 0
    out = tmp_path / "out"
    result = record(out)
    assert (result["model"], result["dst"], result["dsp"]) == ("lite", "none", "default")
    assert (result["epochs"], result["protocol_epochs"]) == (12, 2000)
    assert result["accuracy_finetuned"] == result["test_accuracy"]
    assert {"accuracy_pretrained", "accuracy_pruned"} <= result.keys()
    assert result["params_pruned"] == result["params_active"] < result["params_base"]
    assert result["flops_pruned"] < result["flops_base"]
    assert result["compression"] == pytest.approx(
        1 - result["params_pruned"] / result["params_base"], abs=1e-6
    )
    assert result["file_bytes_pruned"] < result["file_bytes_base"]
    assert result["latency_base_ms"] > 0
    assert result["latency_pruned_ms"] > 0
    figures = {path.stem for path in (out / "figures").iterdir()}
    assert figures == {"learning_curve", "activity", "accuracy_flops", "redundancy"}
    why = json.loads((out / "activity.json").read_text())
    assert (why["rule"], why["tau"]) == ("largest_activity", 0.7)
    for number, layer in enumerate(why["layers"], start=1):
        above = sum(score > layer["cut"] for score in layer["scores"])
        removed = result[f"filters_removed.layer{number}"]
        assert len(layer["scores"]) - removed == sum(layer["kept"]) >= above
    stored = np.load(out / "predictions.npz")
    data = load_dataset("ItalyPowerDemand", scaling="series")
    for stage, file in (("pretrained", "pretrained.pt"), ("finetuned", "model.pt")):
        logits = load_network(out / file)(torch.from_numpy(data.x_test))
        probabilities = logits.softmax(dim=1).detach().numpy()
        np.testing.assert_allclose(probabilities, stored[stage], atol=1e-5)
    assert sorted(stored) == ["finetuned", "labels", "pretrained", "pruned"]
    accuracy = (stored["finetuned"].argmax(axis=1) == stored["labels"]).mean()
    assert accuracy == pytest.approx(result["test_accuracy"], abs=1e-6)
    assert "share of parameters removed" in capsys.readouterr().out


def test_scratch_has_the_pruned_shape_and_needs_it_first(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scratch = tuple("dsp=scratch" if each == "dsp=default" else each for each in PRUNE)
    assert run(*scratch) == 2
    assert "run the same command with dsp=default first" in capsys.readouterr().err
    assert run(*PRUNE) == 0
    assert run(*scratch) == 0
    results = {r["dsp"]: r for r in map(record, (p.parent for p in tmp_path.rglob("result.json")))}
    assert results["scratch"]["params_active"] == results["default"]["params_pruned"]
    assert (results["scratch"]["epochs"], results["scratch"]["protocol_epochs"]) == (9, 1500)
    assert results["scratch"]["test_loss"] != results["default"]["test_loss"]
    (named,) = (tmp_path / "results").rglob("*dsp-default*/*/")
    assert run(*scratch, f"dsp.shape_from={named}", "output_dir=out") == 0
    assert record(tmp_path / "out")["test_loss"] == results["scratch"]["test_loss"]
    (named / "model.pt").write_bytes(b"no network")
    assert run(*scratch, f"dsp.shape_from={named}", "output_dir=other") == 2
    assert "model.pt is damaged" in capsys.readouterr().err


def test_a_run_from_scratch_as_well_names_its_stages_and_what_it_reports(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = (*PRUNE, "dsp.scratch=true")
    assert run(*both, "output_dir=out") == 0
    shown = capsys.readouterr().out
    assert "(pruned shape from scratch)" in shown
    assert "accuracy, fine-tuned" in shown
    assert run(*both, "dsp.report=finetuned", "output_dir=other") == 0
    assert "(fine-tuned)" in capsys.readouterr().out
    assert run(*PRUNE, "output_dir=without") == 0
    scratch, finetuned, without = (record(tmp_path / at) for at in ("out", "other", "without"))
    assert (scratch["epochs"], scratch["protocol_epochs"]) == (21, 3500)
    assert (scratch["report"], finetuned["report"]) == ("scratch", "finetuned")
    assert scratch["test_accuracy"] == scratch["accuracy_scratch"]
    assert finetuned["test_accuracy"] == finetuned["accuracy_finetuned"]
    assert scratch["best_epoch"] >= 12 > finetuned["best_epoch"] >= 9
    # What is reported changes nothing that is measured.
    measured = {key for key in scratch if key.startswith(("accuracy_", "params_", "flops_"))}
    assert all(scratch[key] == finetuned[key] for key in measured)
    stages = ("pretrained", "pruned", "finetuned", "scratch")
    assert measured >= {f"{kind}_{s}" for kind in ("accuracy", "params", "flops") for s in stages}
    # Fine-tuned is what it is without the third stage.
    for key in ("test_accuracy", "test_loss", "best_epoch", "train_loss", "train_accuracy"):
        assert finetuned[key] == without[key]
    stored = np.load(tmp_path / "out" / "predictions.npz")
    assert {*stages, "labels"} == set(stored)
    weights = [
        load_network(tmp_path / at / file).state_dict()
        for at, file in (("out", "finetuned.pt"), ("other", "model.pt"), ("out", "model.pt"))
    ]
    assert all(tensor.equal(weights[1][name]) for name, tensor in weights[0].items())
    assert not weights[2]["classifier.weight"].equal(weights[1]["classifier.weight"])


def test_ensembles_are_made_of_stored_probabilities(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(3):
        assert run(*LITE, f"seed={seed}") == 0
    (method,) = (tmp_path / "results" / "ItalyPowerDemand").iterdir()
    rows = list(ensemble.rows(method))
    assert [(row["members"], row["subsets"]) for row in rows] == [(1, 3), (2, 3), (3, 1)]
    singles = [record(folder)["test_accuracy"] for folder in method.iterdir()]
    assert rows[0]["accuracy"] == pytest.approx(np.mean(singles), abs=1e-6)
    assert [row["members"] for row in ensemble.rows(method, {"seed": "0,2"})] == [1, 2]
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["ensemble", str(method)])
    ensemble.main()
    assert f"{rows[2]['accuracy']:.4f}" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["ensemble", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        ensemble.main()
    assert "holds no finished run" in capsys.readouterr().err


def test_the_mean_probability_decides_not_the_majority() -> None:
    probabilities = np.array([[[0.6, 0.4]], [[0.6, 0.4]], [[0.0, 1.0]]])
    assert ensemble.accuracies(probabilities, np.array([1])) == pytest.approx([1 / 3, 2 / 3, 1.0])
