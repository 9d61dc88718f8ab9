"""The list of what a folder of results holds."""

from pathlib import Path

import pytest

from dsn_lab import runs
from dsn_lab.analysis.collect import collect
from tests.synthetic import record, write


def test_a_line_says_what_there_is_of_a_dataset_and_method(tmp_path: Path) -> None:
    for seed in (0, 1, 3):
        write(tmp_path, record("GunPoint", accuracy=0.8 + 0.1 * (seed == 3), seed=seed), "dsn")
    write(tmp_path, record("Coffee", dst="rigl", epochs=10), "rigl")
    begun = tmp_path / "GunPoint" / "dsn" / "fold0-seed4"
    begun.mkdir()
    (begun / "metrics.csv").touch()
    found = runs.listing(collect(tmp_path)).set_index("dataset")
    line = found.loc["GunPoint"]
    assert (line["method"], line["seeds"], line["runs"], line["begun"]) == ("DSN", "0-1, 3", 3, 1)
    assert line["accuracy"] == pytest.approx(0.8333, abs=1e-4)
    assert (line["epochs"], line["folder"]) == ("1000", "GunPoint/dsn")
    assert found.loc["Coffee"]["epochs"] == "10 (short)"


def test_values_choose_among_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for groups in (1, 3):
        write(tmp_path, record("GunPoint", config__model__groups=groups), f"dsn{groups}")
    runs.main([str(tmp_path), "model.groups=1"])
    printed = capsys.readouterr().out
    assert "1 finished runs" in printed
    assert "dsn1" in printed
    assert "dsn3" not in printed
    runs.main([str(tmp_path), "model.groups=1.0,3", "seed=0"])
    assert "2 finished runs" in capsys.readouterr().out
    for wrong in ("nonsense=1", "seed=9", "seed=", str(tmp_path / "none")):
        with pytest.raises(SystemExit) as left:
            runs.main([str(tmp_path), wrong] if "=" in wrong else [wrong])
        assert left.value.code == 2
        assert capsys.readouterr().err.startswith("error: ")
