from pathlib import Path

import pandas as pd
import pytest

from dsn_lab.analysis import prediction_files
from tests.synthetic import predictions, record, write


def test_predictions_are_stored_as_tsml_eval_reads_them(tmp_path: Path) -> None:
    rows = []
    for seed in (0, 1):
        made = record("GunPoint", accuracy=0.9, seed=seed, inference_bytes=2048.0)
        folder = write(tmp_path / "results", made, "dsn")
        path = str(folder.relative_to(tmp_path / "results"))
        rows.append(made | {"method": "DSN S=0.8", "path": path})
    predictions(folder, trained=0.9)
    prediction_files.write(pd.DataFrame(rows), tmp_path / "results", tmp_path / "out")
    (file,) = tmp_path.rglob("testResample*.csv")
    where = "out/fold0/DSN_S=0.8/Predictions/GunPoint/testResample1.csv"
    assert str(file.relative_to(tmp_path)) == where
    lines = file.read_text().splitlines()
    assert lines[0] == "GunPoint,DSN_S=0.8,TEST,1,MILLISECONDS,dsn_lab"
    accuracy, fit, test, benchmark, memory, n_classes, *_ = lines[2].split(",")
    assert float(accuracy) == pytest.approx(0.9)
    assert [float(fit), float(test), float(benchmark)] == [100_000.0, -1, -1]
    assert (int(memory), int(n_classes), len(lines[2].split(","))) == (2048, 2, 9)
    right = 0
    for line in lines[3:]:
        label, guess, empty, *probabilities = line.split(",")
        assert empty == ""
        assert sum(map(float, probabilities)) == pytest.approx(1, abs=1e-6)
        right += label == guess
    assert right / (len(lines) - 3) == pytest.approx(0.9)
