"""What lies in a folder may be damaged, or made to do harm: it is named, and left out."""

import json
import lzma
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dsn_lab import ensemble
from dsn_lab.analysis import aggregate, published
from dsn_lab.analysis.collect import collect
from dsn_lab.data import folder as files
from dsn_lab.data.load import load_dataset
from dsn_lab.errors import UserError
from dsn_lab.records import results
from dsn_lab.records.cell import Folder
from dsn_lab.report.parts import Table
from dsn_lab.run.evaluate import require_finite
from dsn_lab.storage import DamagedError, clear_temporaries, read_torch, torch_bytes, written_whole
from tests.synthetic import predictions, record, write
from tests.unit.test_data_sources import put

DEEP: Any = []
for _ in range(50):
    DEEP = [DEEP]
MALFORMED: list[dict[str, Any]] = [
    {"test_accuracy": "0.9"}, {"test_accuracy": [0.9]}, {"test_accuracy": 5},
    {"test_accuracy": True}, {"test_accuracy": float("nan")}, {"test_loss": float("inf")},
    {"flops": -1}, {"flops": "many"}, {"params": 1.5}, {"fold": -1}, {"seed": "0"},
    {"epochs": 10**30}, {"dataset": "../out"}, {"dataset": ""}, {"dataset": {}},
    {"model": "a/b"}, {"model": "a\nb"}, {"dsp": "a/b"}, {"config.model.width": DEEP},
    {"config.model.name": "x" * 5000}, {"accuracy_pruned": 2}, {"params_base": "many"},
]  # fmt: skip


def test_a_malformed_record_is_listed_and_left_out(tmp_path: Path) -> None:
    write(tmp_path, record("GunPoint"), "dsn")
    for number, wrong in enumerate(MALFORMED):
        cell = tmp_path / f"wrong{number}" / "fold0-seed0"
        cell.mkdir(parents=True)
        (cell / "result.json").write_text(json.dumps(record("Coffee") | wrong))
    nested = tmp_path / "nested" / "fold0-seed0"
    nested.mkdir(parents=True)
    (nested / "result.json").write_text("[" * 100_000)
    found = collect(tmp_path)
    assert list(found.runs["dataset"]) == ["GunPoint"]
    listed = "\n".join(found.problems)
    missed = [n for n in range(len(MALFORMED)) if f"wrong{n}/" not in listed]
    assert not [MALFORMED[n] for n in missed]
    assert "nested" in listed


def test_text_is_neither_a_formula_nor_a_command(tmp_path: Path) -> None:
    hostile = ["=cmd|'/c calc'!A1", "@x", "\\input{/etc/passwd}", "+1+1", "-0.5"]
    data = pd.DataFrame({"=name": hostile, "number": [-1.5, 2, 3, 4, 5]})
    Table("t", "\\input{x} 5% ~ {}", data.astype(str), data).write(tmp_path)
    cells = pd.read_csv(tmp_path / "t.csv")
    assert list(cells.columns) == ["'=name", "number"]
    assert [cell[0] for cell in cells["'=name"]] == ["'", "'", "\\", "'", "-"]
    assert list(cells["number"]) == [-1.5, 2, 3, 4, 5]
    assert "\\input" not in (tmp_path / "t.tex").read_text()


def test_published_tables_are_shares_with_a_dataset_once(tmp_path: Path) -> None:
    path = tmp_path / "Rocket_accuracy.csv"
    path.write_text("folds:,0\nGunPoint,98.5\nCoffee,100\n")
    assert published.load(tmp_path).scores["Rocket"]["GunPoint"] == pytest.approx(0.985)
    for rows, message in (
        ("GunPoint,0.9\nGunPoint,0.8\n", "GunPoint is in it twice"),
        ("GunPoint,985\n", "GunPoint is no accuracy"),
        ("GunPoint,-0.1\n", "GunPoint is no accuracy"),
    ):
        path.write_text(f"folds:,0\n{rows}")
        with pytest.raises(UserError, match=message):
            published.load(tmp_path)


def test_further_seeds_of_one_dataset_leave_the_method_in_all_tests(tmp_path: Path) -> None:
    datasets = ("GunPoint", "Coffee", "BME", "Beef")
    for dataset in datasets:
        for seed in range(5 if dataset == "BME" else 3):
            write(tmp_path, record(dataset, seed=seed), "dsn")
    found = collect(tmp_path)
    scores = aggregate.complete(aggregate.summarise(found, [0]))
    assert scores["DSN"].notna().all()
    assert aggregate.missing(found).empty


def test_a_shortened_method_never_looks_like_a_full_one(tmp_path: Path) -> None:
    write(tmp_path, record("GunPoint", epochs=10), "dsn")
    out = tmp_path / "out"
    aggregate.write_csvs(collect(tmp_path).runs, out)
    assert {path.name for path in (out / "fold0").glob("*_accuracy.csv")} >= {
        "DSN_10-epochs_accuracy.csv"
    }
    write(tmp_path, record("Coffee", model="lite", config__model__name="lite"), "lite")
    assert set(collect(tmp_path).runs["method"]) == {"DSN 10-epochs", "LITE"}


def test_flipped_bits_of_a_checkpoint_are_noticed(tmp_path: Path) -> None:
    state = {"weights": {"w": torch.arange(200.0)}, "epoch": 3, "callbacks": {"a": [1, "b"]}}
    content, path, chance = bytes(torch_bytes(state)), tmp_path / "last.ckpt", random.Random(0)
    noticed = 0
    for _ in range(200):
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        try:
            read = read_torch(path)
        except DamagedError:
            noticed += 1
        else:  # of what the file says of itself, as the time of day, nothing was read
            assert torch.equal(read["weights"]["w"], state["weights"]["w"])  # type: ignore[index]
            assert (read["epoch"], read["callbacks"]) == (3, {"a": [1, "b"]})
    assert noticed > 100
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedError):
        read_torch(path)


def test_weights_that_diverged_are_refused() -> None:
    class Data:
        def calibration_batches(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
            return [(torch.ones(2, 3), torch.zeros(2))]

    network = torch.nn.Linear(3, 2)
    require_finite(network, Data(), torch.device("cpu"))  # type: ignore[arg-type]
    network.weight.data[1, 1] = torch.nan
    with pytest.raises(UserError, match="training diverged"):
        require_finite(network, Data(), torch.device("cpu"))  # type: ignore[arg-type]


def test_a_record_is_json(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="test_loss came out as nan"):
        results.write({"test_loss": float("nan")}, Folder(tmp_path))
    assert not list(tmp_path.iterdir())
    (tmp_path / "result.json").write_text('{"test_loss": NaN}')
    with pytest.raises(UserError, match="is damaged"):
        results.read(Folder(tmp_path))


def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".a.tmp").symlink_to(tmp_path / "precious")
    with written_whole(tmp_path / "a") as temporary:
        temporary.write_text("new")
    assert ((tmp_path / "precious").read_text(), (tmp_path / "a").read_text()) == ("mine", "new")
    assert not (tmp_path / "a").is_symlink()
    (tmp_path / ".b.tmp").touch()
    clear_temporaries(tmp_path, tmp_path / "none")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("damage", ["bytes", "flip", "none", "labels", "nan"])
def test_damaged_predictions_are_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    cell = write(tmp_path, record("GunPoint"), "dsn")
    predictions(cell, trained=0.9)
    path = cell / "predictions.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    rows = {"labels": np.arange(3), "trained": np.full((3, 2), np.nan)}
    if damage == "none":
        path.unlink()
    elif damage in ("bytes", "flip"):
        path.write_bytes(b"no" if damage == "bytes" else content)
    else:
        kept = ["trained"] if damage == "labels" else list(rows)
        np.savez(path, allow_pickle=False, **{name: rows[name] for name in kept})
    monkeypatch.setattr("sys.argv", ["ensemble", str(cell.parent)])
    with pytest.raises(SystemExit) as left:
        ensemble.main()
    said = capsys.readouterr().err
    assert (left.value.code, said.count("\n")) == (2, 1)
    assert said.startswith("error: ")


def test_a_file_beside_the_listed_one_is_not_taken_for_it(tmp_path: Path) -> None:
    put(tmp_path, "GunPoint")
    folder = tmp_path / "UCR" / "GunPoint"
    packed = lzma.compress((folder / "GunPoint_TRAIN.tsv").read_bytes())
    (folder / "GunPoint_TRAIN.tsv.xz").write_bytes(packed)
    digest = files.digest(folder / "GunPoint_TRAIN.tsv.xz")
    (tmp_path / "SHA256SUMS").write_text(f"{digest}  UCR/GunPoint/GunPoint_TRAIN.tsv.xz\n")
    with pytest.raises(UserError, match=r"GunPoint_TRAIN.tsv is not listed in SHA256SUMS"):
        load_dataset("GunPoint", data_dir=tmp_path)


def test_what_a_killed_process_unpacked_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = tmp_path / "a.tsv.xz"
    path.write_bytes(lzma.compress(b"1\t2\n"))
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], check=True,
                          capture_output=True, text=True).stdout.strip()  # fmt: skip
    left, alive = (tmp_path / f"{files._TEMPORARY}{pid}-x" for pid in (gone, os.getpid()))
    other = tmp_path / "dsn_lab-elsewhere-1-x"
    for folder in (left, alive, other):
        folder.mkdir()
    with files.verified(path, None) as (plain, _):
        assert plain.read_bytes() == b"1\t2\n"
    assert (left.exists(), alive.exists(), other.exists()) == (False, True, True)


def test_what_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "USUAL", 1 << 16)
    path = tmp_path / "a.tsv.xz"
    path.write_bytes(lzma.compress(bytes(8 << 20)))
    with pytest.raises(UserError, match="unpacks to more than"), files.verified(path, None):
        pass
