"""Baselines, classical references and ensembles beside DSN in the report."""

import csv
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dsn_lab.report.__main__ import main
from dsn_lab.report.figures import pareto
from tests.synthetic import predictions, record, write

VARIANT = {"config__model__variant": "paper"}
NETWORKS: dict[str, dict[str, Any]] = {
    "dsn": {},
    "tapnet": {},
    "mlstm_fcn": VARIANT,
    "oscnn": {},
    "resnet": VARIANT,
    "inception": VARIANT,
}
OF_NETWORKS = ("params", "params_active", "flops", "flops_dense", "flops_paper", "train_loss")


def made(model: str, dataset: str, **other: Any) -> dict[str, Any]:
    """A record of a baseline's, or DSN's, run."""
    if model == "dsn":
        return record(dataset, **other)
    keys: dict[str, Any] = {"model": model, "dst": "none", "dsp": "none", "sparsity": 0.0}
    return record(dataset, **keys, config__model__name=model, **NETWORKS.get(model, {}), **other)


def classical(model: str, dataset: str, **other: Any) -> dict[str, Any]:
    """A record of a classifier's that is no network."""
    found = made(model, dataset, epochs=1, protocol_epochs=1, **other)
    return {key: value for key, value in found.items() if key not in OF_NETWORKS}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_table_2_has_every_row_run_here_and_flops_by_both_rules(tmp_path: Path) -> None:
    for model in ("dsn", "tapnet", "mlstm_fcn", "oscnn"):
        cost = {"flops_paper": 41e6, "flops": 40e6, "params_active": 160_000}
        write(tmp_path / "results", made(model, "HAR", accuracy=0.95, **cost), model)
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    shown = [row for row in rows(tmp_path / "parts" / "table2.csv") if row["method"]]
    assert {row["method"] for row in shown} == {"DSN", "TapNet", "MLSTM-FCN", "OS-CNN"}
    (tapnet,) = [row for row in shown if row["method"] == "TapNet"]
    assert float(tapnet["difference"]) == pytest.approx(95 - 93.33)
    assert float(tapnet["FLOPs (M) difference"]) == pytest.approx(41 - 310.61)
    assert float(tapnet["FLOPs (M), 2 a multiply-add"]) == pytest.approx(40)
    assert tapnet["deviations"] == ""


def test_table_1_counts_wins_against_what_was_run_here(tmp_path: Path) -> None:
    for n, dataset in enumerate(("Coffee", "GunPoint", "Beef")):
        write(tmp_path / "results", made("dsn", dataset, accuracy=0.9), "dsn")
        for model in ("resnet", "inception", "oscnn"):
            of_model = made(model, dataset, accuracy=(0.8, 0.9, 0.95)[n], flops_paper=1e6)
            write(tmp_path / "results", of_model, model)
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    shown = rows(tmp_path / "parts" / "table1.csv")
    assert [row["published"] for row in shown] == [
        "ResNet, run here", "Inception, run here", "OS-CNN, run here"
    ]  # fmt: skip
    for row in shown:
        assert [row[f"{key}"] for key in ("DSN wins", "ties", "baseline wins")] == ["1"] * 3
    cost = rows(tmp_path / "parts" / "table1_cost.csv")
    assert {row["network"] for row in cost if row["source"] == "ours"} == {
        "DSN", "ResNet", "Inception", "OS-CNN"
    }  # fmt: skip


def test_what_is_no_network_is_compared_and_costs_what_was_measured(tmp_path: Path) -> None:
    measured = {"inference_bytes": 1e6, "fit_seconds": 2.0}
    for dataset in ("Coffee", "GunPoint"):
        for model, accuracy, milliseconds in (
            ("dsn", 0.95, 2.0), ("resnet", 0.9, 3.0), ("oscnn", 0.96, 4.0)
        ):  # fmt: skip
            cost = {"inference_ms": milliseconds, "inference_ms_64": 1.0, "model_bytes": 5e5}
            of_model = made(model, dataset, accuracy=accuracy, **cost, **measured)
            write(tmp_path / "results", of_model, model)
        cost = {"inference_ms": 1.0, "inference_ms_64": 2.0, "model_bytes": 1e5}
        quick = classical("minirocket", dataset, accuracy=0.92, **cost, **measured)
        write(tmp_path / "results", quick, "minirocket")
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    parts = tmp_path / "parts"
    pairs = rows(parts / "pairwise_ours.csv")
    assert "MiniRocket" in {pair[side] for pair in pairs for side in ("first", "second")}
    points = {
        row["label"]: float(row["latency"]) for row in rows(parts / "accuracy_latency_mean.csv")
    }
    assert points == {"DSN": 2, "ResNet": 3, "OS-CNN": 4, "MiniRocket": 1}
    assert {row["label"] for row in rows(parts / "accuracy_flops_mean.csv")} == set(points) - {
        "MiniRocket"
    }
    assert (parts / "accuracy_bytes_mean.png").exists()
    shown = {row["method"]: row for row in rows(parts / "measured_cost.csv")}
    assert float(shown["MiniRocket"]["kilobytes on disk"]) == 100
    assert float(shown["DSN"]["seconds of training"]) == 2


def test_ensembles_are_rows_with_the_number_of_their_members(tmp_path: Path) -> None:
    for model in ("dsn", "oscnn"):
        for seed in range(3):
            of_model = made(model, "Coffee", seed=seed, flops=1e6, params_active=1000)
            predictions(write(tmp_path / "results", of_model, model), trained=0.8)
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    shown = {row["method"]: row for row in rows(tmp_path / "parts" / "ensembles.csv")}
    assert set(shown) == {"DSNTime", "OS-CNN ensemble"}
    assert {row["members"] for row in shown.values()} == {"3"}
    assert {float(row["params"]) for row in shown.values()} == {3000}
    assert "DSNTime" not in {row["method"] for row in rows(tmp_path / "parts" / "methods.csv")}


def test_the_front_is_what_nothing_beats_in_both() -> None:

    points = pd.DataFrame(
        [("a", 1, 80), ("b", 2, 90), ("c", 2, 85), ("d", 3, 90), ("e", 4, 95), ("f", 5, 94)],
        columns=["label", "cost", "accuracy"],
    )
    assert list(pareto(points, "cost")["label"]) == ["a", "b", "e"]
