"""Which networks runs leave, which belong together, and what their ensembles are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsn_lab.analysis import aggregate, stages
from dsn_lab.analysis.collect import collect
from dsn_lab.analysis.ensembles import ensembles
from tests.synthetic import predictions, pruning, record, write


def stored(folder: Path, labels: list[int], **right: list[float]) -> None:
    """Probabilities of the right class; two classes."""
    arrays = {}
    for stage, of_stage in right.items():
        first = np.where(np.array(labels) == 0, of_stage, 1 - np.array(of_stage))
        arrays[stage] = np.stack([first, 1 - first], axis=1)
    np.savez(folder / "predictions.npz", allow_pickle=False, labels=labels, **arrays)


def test_a_pruned_run_is_a_network_a_stage_with_its_accuracy_and_cost(tmp_path: Path) -> None:
    pruning(tmp_path, ["Coffee"], [0], stages=("pretrained", "pruned", "finetuned"))
    runs = collect(tmp_path).runs.set_index("method")
    networks = stages.networks(collect(tmp_path)).runs.set_index("method")
    assert sorted(networks.index) == [
        "LITE", "LITE DSP, fine-tuned", "LITE DSP, pretrained", "LITE DSP, pruned",
    ]  # fmt: skip
    of_run = runs.loc["LITE DSP"]
    for stage, key, cost in (
        ("pretrained", "pretrained", "base"), ("pruned", "pruned", "pruned"),
        ("fine-tuned", "finetuned", "pruned"),
    ):  # fmt: skip
        network = networks.loc[f"LITE DSP, {stage}"]
        assert network["test_accuracy"] == of_run[f"accuracy_{key}"]
        assert network["params_active"] == of_run[f"params_{cost}"]
        assert network["flops"] == of_run[f"flops_{cost}"]
        assert network["array"] == key
    assert networks.loc["LITE", "test_accuracy"] == runs.loc["LITE", "test_accuracy"]


def test_without_pruning_networks_are_the_runs(tmp_path: Path) -> None:
    write(tmp_path, record("GunPoint"), "dsn")
    found = collect(tmp_path)
    assert list(stages.networks(found).runs["method"]) == ["DSN"]
    assert stages.families(found) == []


def test_a_family_is_base_stages_and_narrow_networks(tmp_path: Path) -> None:
    pruning(tmp_path, ["Coffee"], [0], penalties=(1e-4, 1e-5), narrow=(16, 4))
    first, second = stages.families(collect(tmp_path))
    assert first.method == "LITE DSP penalty=1e-05"
    assert second.method == "LITE DSP penalty=0.0001"
    assert first.roles == {
        "base": "LITE 32-filters",
        **{s: f"{first.method}, {s}" for s in ("pretrained", "pruned", "fine-tuned", "scratch")},
    }
    assert first.narrow == second.narrow == ["LITE 4-filters", "LITE 16-filters"]


def test_scratch_may_be_cells_of_their_own_with_the_same_settings(tmp_path: Path) -> None:
    pruning(tmp_path, ["Coffee"], [0], (1e-4, 1e-5), stages=("pretrained", "pruned", "finetuned"))
    lite: dict[str, Any] = {
        "model": "lite", "dst": "none", "sparsity": 0.0, "dsp": "scratch",
        "config__model__name": "lite", "config__model__widths": [[32] * 3, [32], [32]],
        "config__dsp__name": None, "config__dsp__penalty": 1e-4, "config__dsp__shape_from": None,
        "epochs": 1500, "protocol_epochs": 1500,
    }  # fmt: skip
    write(tmp_path, record("Coffee", **lite), "lite-scratch")
    by_method = {f.method: f for f in stages.families(collect(tmp_path))}
    assert by_method["LITE DSP penalty=0.0001"].roles["scratch"] == "LITE DSP-scratch"
    assert "scratch" not in by_method["LITE DSP penalty=1e-05"].roles


def test_a_base_of_other_settings_is_no_base(tmp_path: Path) -> None:
    pruning(tmp_path, ["Coffee"], [0])
    other = record("Coffee", model="lite", dst="none", dsp="none", config__optimizer__lr=0.1)
    write(tmp_path, other, "other")
    (family,) = stages.families(collect(tmp_path))
    assert family.roles["base"] != "LITE"
    (tmp_path / "Coffee" / "lite" / "fold0-seed0" / "result.json").unlink()
    (family,) = stages.families(collect(tmp_path))
    assert "base" not in family.roles
    assert family.narrow == []


def test_an_ensemble_averages_probabilities(tmp_path: Path) -> None:
    for seed, right in enumerate(([0.9, 0.2, 0.4], [0.4, 0.3, 0.4], [0.3, 0.9, 0.9])):
        made = record("Coffee", model="lite", dst="none", dsp="none", seed=seed, flops=5)
        stored(write(tmp_path, made, "lite"), [0, 1, 1], trained=right)
    (row,) = ensembles(collect(tmp_path)).runs.to_dict("records")
    # Mean probabilities of the right class: .53, .47, .57.
    assert row["test_accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    assert (row["method"], row["members"], row["flops"]) == ("LITETime", 3, 15)


def test_an_incomplete_ensemble_is_none(tmp_path: Path) -> None:
    for dataset in ("Coffee", "GunPoint", "BME", "Beef"):
        for seed in range(2):
            if (dataset, seed) == ("GunPoint", 1):
                continue
            folder = write(tmp_path, record(dataset, seed=seed), "dsn")
            if dataset == "BME":
                stored(folder, [seed, 1], trained=[0.9, 0.8])
            elif (dataset, seed) != ("Beef", 0):
                stored(folder, [0, 1], trained=[0.9, 0.8])
    whole = ensembles(collect(tmp_path)).runs
    # GunPoint lacks a seed, Beef stored probabilities, BME was tested on different labels.
    assert list(whole["dataset"]) == ["Coffee"]
    assert list(whole["method"]) == ["DSNTime"]


def test_single_runs_have_no_ensembles(tmp_path: Path) -> None:
    predictions(write(tmp_path, record("Coffee"), "dsn"), trained=0.9)
    found = ensembles(collect(tmp_path))
    assert found.runs.empty
    assert {"method", "members"} <= set(found.runs.columns)


def test_a_runs_last_probabilities_are_those_of_its_test_accuracy(tmp_path: Path) -> None:
    shared: dict[str, Any] = {
        "model": "lite", "dst": "none", "dsp": "default", "params_base": 9, "params_pruned": 4,
        "flops_base": 9, "flops_pruned": 4,
    }  # fmt: skip
    # Reported is the fine-tuned network: it comes last.
    right = {"pretrained": 0.3, "pruned": 0.3, "scratch": 0.3, "finetuned": 0.9}
    for seed in range(2):
        shared |= {f"accuracy_{stage}": float(each > 0.5) for stage, each in right.items()}
        folder = write(tmp_path, record("Coffee", accuracy=1.0, seed=seed, **shared), "d")
        stored(folder, [0, 1], **{stage: [each, each] for stage, each in right.items()})
    found = collect(tmp_path)
    assert list(ensembles(found).runs["test_accuracy"]) == [1.0]
    scores = aggregate.summarise(ensembles(stages.networks(found)), [0])["mean"]
    assert scores.droplevel("dataset").to_dict() == {
        f"LITETime DSP, {stages.STAGES[stage]}": float(each > 0.5) for stage, each in right.items()
    }
