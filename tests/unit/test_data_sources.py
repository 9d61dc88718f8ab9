"""What all sources share: names of the data folder, digests that agree, series in both splits."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dsn_lab.data import sources
from dsn_lab.data.load import digests, load_dataset
from dsn_lab.data.split import Split, count_shared
from dsn_lab.data.wanted import Wanted
from dsn_lab.errors import UserError

ROWS = {"TRAIN": "1\t1\t2\n2\t3\t4\n", "TEST": "2\t1\t2\n1\t5\t6\n"}


def put(root: Path, name: str, rows: dict[str, str] = ROWS, end: str = ".tsv") -> None:
    folder = root / "UCR" / name
    folder.mkdir(parents=True)
    for split, content in rows.items():
        (folder / f"{name}_{split}{end}").write_text(content)


def test_every_archive_has_a_source() -> None:
    assert set(sources.known()) >= {"UCR", "UEA", "UCI", "own"}
    assert sources.of("UCR") is sources.of("UEA")


def test_folders_of_the_data_folder_are_datasets(tmp_path: Path) -> None:
    put(tmp_path, "Mine")
    (tmp_path / "UEA" / "GunPoint").mkdir(parents=True)
    for folder in (".Part.part", "Arrays", "Mine"):
        (tmp_path / "UCI" / folder).mkdir(parents=True)
    assert sources.in_folder(tmp_path) == {"Mine": "UCR", "Arrays": "UCI"}
    dataset = load_dataset("Mine", data_dir=tmp_path)
    assert (dataset.archive, dataset.facts["source"]) == ("UCR", "data folder")
    with pytest.raises(UserError, match=r"UCI has no dataset Arrays, and .* hold X_train.npy"):
        load_dataset("Arrays", data_dir=tmp_path)
    with pytest.raises(UserError, match="'Mien' is not one of the 163 known: did you mean Mine"):
        load_dataset("Mien", data_dir=tmp_path)


@pytest.mark.parametrize("rows", [{"TRAIN": ROWS["TRAIN"]}, {"TRAIN": "", "test": ""}])
def test_half_a_dataset_is_not_passed_over(tmp_path: Path, rows: dict[str, str]) -> None:
    put(tmp_path, "GunPoint", rows)
    with pytest.raises(UserError, match=r"GunPoint holds GunPoint_TRAIN.tsv.* but not GunPoint_TR"):
        load_dataset("GunPoint", data_dir=tmp_path)
    put(tmp_path, "Mine", rows)
    with pytest.raises(UserError, match=r"UCR has no dataset Mine, and .*Mine does not hold"):
        load_dataset("Mine", data_dir=tmp_path)


def test_digests_are_those_of_the_record(tmp_path: Path) -> None:
    put(tmp_path, "Mine")
    (tmp_path / "UCI" / "Arrays").mkdir(parents=True)
    for split in ("train", "test"):
        np.save(tmp_path / "UCI" / "Arrays" / f"X_{split}.npy", np.arange(6.0).reshape(2, 3))
        np.save(tmp_path / "UCI" / "Arrays" / f"y_{split}.npy", np.arange(2))
    own = tmp_path / "whole.tsv.gz"
    own.write_bytes(gzip.compress(b"1\t2\t3\n2\t3\t4\n1\t5\t6\n2\t6\t7\n"))
    for wanted in (
        Wanted("Mine", "UCR"),
        Wanted("Arrays", "UCI"),
        Wanted("whole", "own", str(own), test_size=0.5),
    ):
        facts = load_dataset(wanted, data_dir=tmp_path).facts
        assert digests(wanted, tmp_path) == (facts["sha256_train"], facts["sha256_test"])


def test_digests_follow_the_content(tmp_path: Path) -> None:
    path = tmp_path / "a_TRAIN.tsv"
    wanted = Wanted("a", "own", str(path))
    assert digests(wanted) is None
    path.write_text(ROWS["TRAIN"])
    assert digests(wanted) is None
    (tmp_path / "a_TEST.tsv").write_text(ROWS["TEST"])
    first = digests(wanted)
    path.write_text(ROWS["TRAIN"] + "1\t5\t5\n")
    assert first is not None
    second = digests(wanted)
    assert second is not None
    assert (second[0] == first[0], second[1] == first[1]) == (False, True)
    assert digests(Wanted("Yoga", "UCR"), tmp_path) is None
    (tmp_path / "a_TRAIN.tsv.gz").write_bytes(b"\x1f\x8b no")
    path.unlink()
    assert digests(wanted) is None


def test_digests_import_neither_torch_nor_aeon(tmp_path: Path) -> None:
    put(tmp_path, "Mine")
    code = (
        "import sys; from dsn_lab.data.load import digests; from dsn_lab.data.wanted import Wanted;"
        f"assert digests(Wanted('Mine', 'UCR'), {str(tmp_path)!r});"
        "assert digests(Wanted('GunPoint', 'UCR'));"
        "assert digests(Wanted('GunPoint', 'UCR'), 'named') is None;"
        "print([m for m in ('torch', 'aeon', 'pandas', 'lightning') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_test_series_of_the_training_set_are_counted(tmp_path: Path) -> None:
    put(tmp_path, "Mine")
    assert load_dataset("Mine", data_dir=tmp_path, scaling="train").facts["n_test_in_train"] == 1
    labels = np.array(["a", "b"])
    nan = np.nan
    train = Split(np.array([[[1, nan, 0.0]], [[2, 3, nan]]]), labels, "")
    longer = Split(np.array([[[1, nan, -0.0, nan]], [[2, 3, 4, nan]]], np.float32), labels, "")
    assert count_shared(train, longer) == 1
