"""Loading from a data folder, from aeon's bundled sets, and every file a user may spoil."""

import gzip
import hashlib
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dsn_lab.data import sources
from dsn_lab.data.folder import data_folder
from dsn_lab.data.load import load_dataset
from dsn_lab.data.wanted import Wanted
from dsn_lab.errors import UserError

TSV = {"TRAIN": "2\t1\t2\t3\n-1\t4\t5\tNaN\n", "TEST": "-1\t7\t8\t9\n2\t1\tNaN\t3\n"}
TS = {
    "TRAIN": "@problemName E\n@univariate false\n@equalLength false\n@classLabel true a b\n"
    "@data\n1,2,3:4,5,6:b\n1,2:3,4:a\n",
    "TEST": "@problemName E\n@univariate false\n@equalLength false\n@classLabel true a b\n"
    "@data\n1,?,3,4:4,5,6,7:a\n",
}
PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
}


def write_texts(folder: Path, name: str, texts: dict[str, str], kind: str, end: str = "") -> None:
    folder.mkdir(parents=True)
    for split, text in texts.items():
        packed = PACK[end](text.encode())
        (folder / f"{name}_{split}.{kind}{end}").write_bytes(packed)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data folder with Coffee (UCR, .tsv), Epilepsy (UEA, .ts) and HAR (UCI, .npy)."""
    write_texts(tmp_path / "UCR" / "Coffee", "Coffee", TSV, "tsv")
    write_texts(tmp_path / "UEA" / "Epilepsy", "Epilepsy", TS, "ts")
    folder = tmp_path / "UCI" / "HAR"
    folder.mkdir(parents=True)
    for split, n in (("train", 4), ("test", 2)):
        np.save(folder / f"X_{split}.npy", np.full((n, 3, 5), 0.5, dtype=np.float16))
        np.save(folder / f"y_{split}.npy", np.arange(n) % 2)
    return tmp_path


def record(root: Path) -> None:
    """Write SHA256SUMS of every file, as sha256sum does."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    lines = [
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(root)}\n" for p in files
    ]
    (root / "SHA256SUMS").write_text("".join(lines))


@pytest.mark.parametrize("end", ["", ".gz", ".xz"])
def test_a_ucr_dataset_is_read_plain_or_compressed(tmp_path: Path, end: str) -> None:
    write_texts(tmp_path / "UCR" / "Coffee", "Coffee", TSV, "tsv", end)
    dataset = load_dataset("Coffee", data_dir=tmp_path)
    assert (dataset.name, dataset.archive, dataset.classes) == ("Coffee", "UCR", ("-1", "2"))
    assert dataset.x_train[:, 0].tolist() == [[1, 2, 3], [4, 5, 0]]
    assert dataset.x_test[:, 0].tolist() == [[7, 8, 9], [1, 2, 3]]
    assert dataset.y_train.tolist() == [1, 0]
    assert dataset.y_test.tolist() == [0, 1]
    assert dataset.facts["source"] == "data folder"
    content = hashlib.sha256(TSV["TRAIN"].encode()).hexdigest()
    assert dataset.facts["sha256_train"] == content  # whatever the compression
    record(tmp_path)
    again = load_dataset("Coffee", data_dir=tmp_path)
    assert np.array_equal(again.x_test, dataset.x_test)


@pytest.mark.parametrize("end", ["", ".gz", ".xz"])
@pytest.mark.parametrize("archive", ["UEA/Epilepsy", "UCR/Coffee"])
def test_ragged_ts_files_are_read_in_either_archive(tmp_path: Path, archive: str, end: str) -> None:
    name = archive.partition("/")[2]
    write_texts(tmp_path / archive, name, TS, "ts", end)
    dataset = load_dataset(name, data_dir=tmp_path)
    assert dataset.x_train.tolist() == [[[1, 2, 3], [4, 5, 6]], [[1, 2, 0], [3, 4, 0]]]
    assert dataset.x_test.tolist() == [[[1, 2, 3], [4, 5, 6]]]
    assert dataset.classes == ("a", "b")
    assert (dataset.facts["n_truncated"], dataset.facts["n_missing_test"]) == (1, 1)


@pytest.mark.parametrize("end", ["", ".gz", ".xz"])
def test_a_uci_problem_is_read_plain_or_compressed(root: Path, end: str) -> None:
    for path in list((root / "UCI" / "HAR").iterdir()):
        packed = PACK[end](path.read_bytes())
        path.unlink()
        path.with_name(path.name + end).write_bytes(packed)
    dataset = load_dataset("HAR", data_dir=root)
    assert dataset.x_train.shape == (4, 3, 5)
    assert dataset.x_train.dtype == np.float32
    assert dataset.y_train.dtype == np.int64
    assert (dataset.x_train == 0.5).all()
    assert dataset.y_test.tolist() == [0, 1]
    assert dataset.classes == ("0", "1")


@pytest.mark.parametrize(
    ("name", "shape", "n_test", "classes"),
    [
        ("GunPoint", (50, 1, 150), 150, 2),
        ("BasicMotions", (40, 6, 100), 40, 4),
        ("JapaneseVowels", (270, 12, 26), 370, 9),
    ],
)
def test_aeons_bundled_sets_need_no_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, shape: tuple[int, ...], n_test: int,
    classes: int,
) -> None:  # fmt: skip
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    dataset = load_dataset(name, scaling="train")
    assert dataset.x_train.shape == shape
    assert dataset.x_test.shape == (n_test, *shape[1:])
    assert len(dataset.classes) == classes
    assert dataset.facts["source"] == "aeon"
    assert not (tmp_path / "none").exists()


def test_the_data_folder_comes_before_the_bundled_sets(tmp_path: Path) -> None:
    write_texts(tmp_path / "UCR" / "GunPoint", "GunPoint", TSV, "tsv")
    assert load_dataset("GunPoint", data_dir=tmp_path).x_train.shape == (2, 1, 3)
    (tmp_path / "named" / "UCR").mkdir(parents=True)
    aeon = Wanted("GunPoint", "UCR")
    assert sources.of("UCR").find(aeon, tmp_path / "named") is None


def test_folds_resample_the_archives_but_not_uci(root: Path) -> None:
    default, fold = (load_dataset("GunPoint", fold=k) for k in (0, 1))
    assert fold.facts["fold"] == 1
    assert fold.x_train.shape == default.x_train.shape
    assert not np.array_equal(fold.x_train, default.x_train)
    assert np.array_equal(np.bincount(fold.y_train), np.bincount(default.y_train))
    again = load_dataset("GunPoint", fold=1)
    assert np.array_equal(again.x_test, fold.x_test)
    with pytest.raises(UserError, match="fold 1 does not exist for HAR"):
        load_dataset("HAR", data_dir=root, fold=1)
    with pytest.raises(UserError, match="fold -1 does not exist for GunPoint"):
        load_dataset("GunPoint", data_dir=root, fold=-1)
    with pytest.raises(UserError, match="scaling 'z' is unknown"):
        load_dataset("HAR", data_dir=root, scaling="z")


def test_the_folder_is_the_argument_then_the_variable_then_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DSN_LAB_DATA", str(tmp_path / "variable"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_folder(tmp_path / "argument") == tmp_path / "argument"
    assert data_folder(None) == tmp_path / "variable"
    monkeypatch.delenv("DSN_LAB_DATA")
    assert data_folder(None) == tmp_path / "cache" / "dsn_lab"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_folder(None) == Path.home() / ".cache" / "dsn_lab"


def test_loading_imports_neither_torch_nor_needless_aeon(root: Path) -> None:
    code = (
        "import sys; from dsn_lab.data.load import load_dataset; "
        f"load_dataset('HAR', data_dir={str(root)!r}); "
        "print([m for m in ('torch', 'aeon', 'pandas', 'lightning') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


SPOILED = [  # dataset, file, its new content (from the old), what the message tells
    ("Coffee", "UCR/Coffee/Coffee_TRAIN.tsv", lambda b: b[:-5], "line 2 holds 2 values"),
    ("Coffee", "UCR/Coffee/Coffee_TRAIN.tsv", lambda b: b"", "Coffee_TRAIN.tsv holds no series"),
    ("Coffee", "UCR/Coffee/Coffee_TRAIN.tsv", lambda b: b.replace(b"5", b"x"), "line 2 holds 'x'"),
    ("Coffee", "UCR/Coffee/Coffee_TRAIN.tsv", lambda b: b.replace(b"5", b"5_0"), "line 2 .* '5_0'"),
    (
        "Coffee",
        "UCR/Coffee/Coffee_TRAIN.tsv",
        lambda b: b.replace(b"\t", b","),
        "separated by tabs",
    ),
    ("Coffee", "UCR/Coffee/Coffee_TRAIN.tsv", lambda b: b"x" * 200_000, "line 1: field larger"),
    ("Coffee", "UCR/Coffee/Coffee_TRAIN.tsv", lambda b: b + b"2\t\xe9\t", "line 3 is no UTF-8"),
    (
        "Coffee",
        "UCR/Coffee/Coffee_TEST.tsv",
        lambda b: b.replace(b"7\t8\t9", b"NaN\t\t?"),
        "line 1 holds no",
    ),
    ("Coffee", "UCR/Coffee/Coffee_TEST.tsv", lambda b: b.replace(b"2\t", b"\t"), "no label"),
    ("Coffee", "UCR/Coffee/Coffee_TEST.tsv", lambda b: b.replace(b"-1", b"5"), "in train: 5"),
    ("Coffee", "UCR/Coffee/Coffee_TEST.tsv", lambda b: b.replace(b"8", b"inf"), "infinite"),
    ("Coffee", "UCR/Coffee/Coffee_TRAIN.tsv", lambda b: b.replace(b"-1", b"2"), "only class '2'"),
    (
        "Epilepsy",
        "UEA/Epilepsy/Epilepsy_TRAIN.ts",
        lambda b: b.replace(b"3,4:", b""),
        "line 7 has 1 channels",
    ),
    ("Epilepsy", "UEA/Epilepsy/Epilepsy_TRAIN.ts", lambda b: b"", "has no line @data"),
    (
        "Epilepsy",
        "UEA/Epilepsy/Epilepsy_TRAIN.ts",
        lambda b: b[: b.index(b"1,2")],
        "holds no series",
    ),
    (
        "Epilepsy",
        "UEA/Epilepsy/Epilepsy_TEST.ts",
        lambda b: b.replace(b"5", b"z"),
        "line 6 holds .z",
    ),
    ("HAR", "UCI/HAR/X_train.npy", lambda b: b[:-2], "cannot parse"),
    ("HAR", "UCI/HAR/y_train.npy", lambda b: b"\x80junk", "cannot parse"),
]


@pytest.mark.parametrize(("name", "file", "spoil", "told"), SPOILED)
def test_a_spoiled_file_is_one_line_naming_it(
    root: Path, name: str, file: str, spoil: Callable[[bytes], bytes], told: str
) -> None:
    path = root / file
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UserError, match=told) as caught:
        load_dataset(name, data_dir=root)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value) or told != "cannot parse"


@pytest.mark.parametrize("end", [".gz", ".xz"])
@pytest.mark.parametrize("keep", [0, 10, 25, -1])
def test_a_truncated_compressed_file_is_refused(tmp_path: Path, end: str, keep: int) -> None:
    write_texts(tmp_path / "UCR" / "Coffee", "Coffee", TSV, "tsv", end)
    path = tmp_path / "UCR" / "Coffee" / f"Coffee_TRAIN.tsv{end}"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=path.name):
        load_dataset("Coffee", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("file", "array", "told"),
    [
        ("X_train.npy", np.zeros((4, 3)), "train has 1 channels but test has 3"),
        ("X_train.npy", np.zeros((4, 3, 5, 1)), "expected numbers"),
        ("X_train.npy", np.zeros((4, 3, 5), dtype=complex), "expected numbers"),
        ("y_train.npy", np.zeros((4, 1)), "y_train.npy holds float64 .4, 1.: expected labels"),
        (
            "y_train.npy",
            np.array([0, 1, 0]),
            "X_train.npy holds 4 series but .*y_train.npy 3 labels",
        ),
        ("X_test.npy", np.zeros((2, 2, 5)), "train has 3 channels but test has 2"),
        ("X_test.npy", np.zeros((0, 3, 5)), "X_test.npy holds float64 .0, 3, 5."),
        ("X_test.npy", np.full((2, 3, 5), np.nan), "test series 0 has no observation"),
    ],
)
def test_arrays_of_the_wrong_kind_are_refused(
    root: Path, file: str, array: np.ndarray, told: str
) -> None:
    np.save(root / "UCI" / "HAR" / file, array)
    with pytest.raises(UserError, match=told):
        load_dataset("HAR", data_dir=root)


def test_an_empty_split_is_refused(root: Path) -> None:
    folder = root / "UCI" / "HAR"
    np.save(folder / "X_test.npy", np.zeros((0, 3, 5)))
    np.save(folder / "y_test.npy", np.zeros(0, dtype=int))
    with pytest.raises(UserError, match=r"X_test.npy holds float64 \(0, 3, 5\)"):
        load_dataset("HAR", data_dir=root)


def test_a_listed_file_must_match_its_digest(root: Path) -> None:
    record(root)
    load_dataset("Coffee", data_dir=root)
    path = root / "UCR" / "Coffee" / "Coffee_TEST.tsv"
    path.write_text(path.read_text().replace("7", "6"))
    with pytest.raises(UserError, match=r"Coffee_TEST.tsv does not match SHA256SUMS.*restore"):
        load_dataset("Coffee", data_dir=root)
    load_dataset("Epilepsy", data_dir=root)


@pytest.mark.parametrize("line", ["abc  UCR/x", "0" * 64, "0" * 64 + " UCR/x", "g" * 64 + "  x"])
def test_a_malformed_list_of_digests_is_named_by_line(root: Path, line: str) -> None:
    (root / "SHA256SUMS").write_text(f"{'0' * 64} *other\n\n{line}\n")
    with pytest.raises(UserError, match="SHA256SUMS line 3"):
        load_dataset("Coffee", data_dir=root)
