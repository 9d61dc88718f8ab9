"""Scores of each class are scikit-learn's, a class that is absent included."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
)

from dsn_lab.data.load import load_dataset
from dsn_lab.records.cell import Folder
from dsn_lab.run.evaluate import measures, write_predictions


def test_scores_and_confusions_of_each_class(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    dataset = replace(
        load_dataset("ItalyPowerDemand"),
        classes=("a", "b, c", "absent", "d"),
        y_test=chance.choice([0, 1, 3], 50),
    )
    first, last = (chance.random((50, 4), dtype=np.float32) for _ in range(2))
    write_predictions(Folder(tmp_path), dataset, {"pretrained": first, "trained": last})
    with (tmp_path / "classes.csv").open() as file:
        rows = list(csv.DictReader(file))
    told = last.argmax(1)
    expected = precision_recall_fscore_support(
        dataset.y_test, told, labels=range(4), zero_division=0
    )
    for row, *scores, n in zip(rows, *expected, strict=True):
        assert int(row["n"]) == n
        found = [float(row[name]) for name in ("precision", "recall", "f1")]
        assert found == pytest.approx(scores, abs=1e-6)
    counts = [[int(row[f"as {name}"]) for name in dataset.classes] for row in rows]
    assert np.array_equal(counts, confusion_matrix(dataset.y_test, told, labels=range(4)))


def test_balanced_accuracy_is_over_the_classes_that_there_are() -> None:
    labels, told = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 2, 1, 1])
    found = measures(torch.nn.functional.one_hot(told, 4).float(), labels, 4)
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = balanced_accuracy_score(labels, told)
    assert found["test_balanced_accuracy"] == pytest.approx(expected) == 0.75
