"""One's own data in each form, and a line for whatever may be wrong with them."""

import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dsn_lab.data.formats import table
from dsn_lab.data.load import Dataset, load_dataset
from dsn_lab.data.wanted import Wanted, name_of
from dsn_lab.errors import UserError

X = np.arange(24.0).reshape(4, 6)
Y = np.array(["b", "a", "b", "a"])


def load(path: Path, *, fold: int = 0, **settings: Any) -> Dataset:
    wanted = Wanted(name_of(str(path)), "own", str(path), **settings)
    return load_dataset(wanted, fold=fold)


def text(rows: list[str], path: Path, start: str = "") -> Path:
    path.write_text(start + "".join(row + "\n" for row in rows), encoding="utf-8")
    return path


def csv(path: Path, x: np.ndarray = X, y: np.ndarray = Y, header: str = "") -> Path:
    rows = [",".join([label, *map(str, row)]) for label, row in zip(y, x, strict=True)]
    return text(rows, path, header)


def arrays(folder: Path, x: np.ndarray = X, y: np.ndarray = Y) -> Path:
    for split in ("train", "test"):
        np.save(folder / f"X_{split}.npy", x)
        np.save(folder / f"y_{split}.npy", y)
    return folder


def ts(path: Path, rows: list[str], head: str = "@classLabel true a b") -> Path:
    return text(rows, path, f"@timeStamps false\n{head}\n# a note\n@data\n")


PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
}


@pytest.mark.parametrize("end", PACK)
@pytest.mark.parametrize("kind", ["csv", "tsv", "ts", "npz", "npy", "folder"])
def test_every_form_gives_the_same_arrays(tmp_path: Path, kind: str, end: str) -> None:
    folder = tmp_path / "Mine"
    folder.mkdir()
    path = folder / f"Mine_TRAIN.{kind}"
    for split in ("TRAIN", "TEST"):
        file = folder / f"Mine_{split}.{kind}"
        if kind == "csv":
            csv(file)
        elif kind == "tsv":
            file.write_text(csv(file).read_text().replace(",", "\t"))
        elif kind == "ts":
            ts(file, [f"{','.join(map(str, x))}:{y}" for x, y in zip(X, Y, strict=True)])
    if kind == "npz":
        path = folder / "Mine.npz"
        np.savez(path, X_train=X, y_train=Y, X_test=X, y_test=Y)
    elif kind in ("npy", "folder"):
        arrays(folder, X[:, None, :])
        path = folder / "X_train.npy" if kind == "npy" else folder
    for file in list(folder.iterdir()):
        file.with_name(file.name + end).write_bytes(PACK[end](file.read_bytes()))
        if end:
            file.unlink()
    dataset = load(path)
    assert (dataset.name, dataset.archive, dataset.classes) == ("Mine", "own", ("a", "b"))
    assert np.array_equal(dataset.x_train[:, 0], X.astype(np.float32))
    assert np.array_equal(dataset.x_test, dataset.x_train)
    assert dataset.y_train.tolist() == dataset.y_test.tolist() == [1, 0, 1, 0]
    assert (dataset.facts["source"], dataset.facts["n_test_in_train"]) == ("own", 4)
    assert str(dataset.facts["data_path"]).startswith(str(folder))
    assert "test" in str(dataset.facts["data_test_path"]).lower() or kind == "npz"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data/GunPoint_TRAIN.ts", "GunPoint"),
        ("/data/my.file_train.CSV.gz", "my.file"),
        ("a/series.tsv.xz", "series"),
        ("a/Mine/X_train.npy", "Mine"),
        ("a/Mine/X.npy", "Mine"),
        ("a/X.npz", "X"),
        ("a/v1.2/", "v1.2"),
    ],
)
def test_data_are_called_by_their_file_or_folder(path: str, name: str) -> None:
    assert name_of(path) == name


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("a_TRAIN.csv", "a_TEST.csv"),
        ("a_train.csv", "a_TEST.csv.gz"),
        ("a_Train.csv", "a_Test.csv"),
    ],
)
def test_the_test_file_beside_is_found_in_any_case(tmp_path: Path, train: str, test: str) -> None:
    path = csv(tmp_path / train)
    packed = gzip.compress if test.endswith(".gz") else bytes
    (tmp_path / test).write_bytes(packed(csv(tmp_path / "other", X[:3], Y[:3]).read_bytes()))
    assert load(path).x_test.shape == (3, 1, 6)


def test_a_test_file_may_be_of_another_kind(tmp_path: Path) -> None:
    np.savez(tmp_path / "test.npz", X=X[:2], y=Y[:2])
    dataset = load(csv(tmp_path / "a.csv"), test_path=str(tmp_path / "test.npz"))
    assert dataset.x_test.shape == (2, 1, 6)


def test_labels_stay_the_text_they_are(tmp_path: Path) -> None:
    labels = np.array(["NA", "None", "nan", "1", "1.0", "a?", '"x, y"', "é"])
    path = csv(tmp_path / "a_TRAIN.csv", np.arange(16.0).reshape(8, 2), labels)
    assert set(load(path, test_path=str(path)).classes) == {*labels[:6], "x, y", "é"}
    rows = [f"1,{i}:{label}" for i, label in enumerate(("NaN", "why?", "Stand up"))]
    path = ts(tmp_path / "b.ts", rows, "@classLabel true nan why? stand up")
    assert load(path, test_path=str(path)).classes == ("NaN", "Stand up", "why?")


def test_labels_of_arrays_are_numbers_or_text(tmp_path: Path) -> None:
    for y, classes in (
        (np.array([1.0, 2.5, 1.0, 2.5]), ("1", "2.5")),
        (np.array([True, False, True, False]), ("False", "True")),
        (np.array([b"x", b"y", b"x", b"y"]), ("x", "y")),
    ):
        assert load(arrays(tmp_path, X.astype(np.int16), y)).classes == classes


HEADERS = [
    ("t0,t1,Label\n1,2,a\n3,4,b\n", None),
    ("class,0,1\na,1,2\nb,3,4\n", None),
    ("Label,0.5,0.25\na,1,2\nb,3,4\n", None),
    ("y,0,0.1,0.2\na,1,2,\nb,3,4,\n", None),
    ("target,class,t0,t1\nu,a,1,2\nv,b,3,4\n", None),
    ("y,1.5,2\nn,3,4\n", None),
    ("kind,0,1\na,1,2\nb,3,4\n", "kind"),
    ("0,kind,1\n1,a,2\n3,b,4\n", "kind"),
    ("1,2,a\n3,4,b\n", -1),
    ("one,two,three\n1,a,2\n3,b,4\n", 1),
]


@pytest.mark.parametrize(("content", "label"), HEADERS)
def test_the_label_column_is_found_by_name_or_position(
    tmp_path: Path, content: str, label: int | str | None
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\ufeff" + content, encoding="utf-8")
    if content.startswith("target,class"):
        with pytest.raises(UserError, match="2 columns called label, class, target or y: give"):
            load(path, test_path=str(path), label=label)
        return
    dataset = load(path, test_path=str(path), label=label)
    expected = [[1.5, 2], [3, 4]] if "1.5" in content else [[1, 2], [3, 4]]
    assert dataset.x_train[:, 0].tolist() == expected
    assert len(dataset.classes) == 2


def test_empty_cells_at_the_end_are_a_shorter_series(tmp_path: Path) -> None:
    path = text(["a,1,2,3", "b,4,,", "a,NaN,5,6"], tmp_path / "a.csv")
    facts = load(path, test_path=str(path)).facts
    assert (facts["n_padded_train"], facts["n_missing_train"]) == (1, 1)


def test_cells_that_pandas_cannot_read_keep_a_tsvs_values(tmp_path: Path) -> None:
    path = text(["a\t1\t?", "b\t3\t4"], tmp_path / "a.tsv")
    assert load(path, test_path=str(path)).x_train[:, 0].tolist() == [[1, 0], [3, 4]]


def test_a_tsvs_values_are_those_that_pandas_reads_from_it(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((50, 40)) * 10.0 ** np.arange(-20, 20)
    rows = ["\t".join([str(row % 2), *map(repr, each)]) for row, each in enumerate(x.tolist())]
    path = text([*rows, "1\t\tNaN" + "\t7" * 38], tmp_path / "a.tsv")
    found, labels = table.read(path, path, ".tsv", None)
    expected = pd.read_csv(path, sep="\t", header=None).iloc[:, 1:].to_numpy()
    assert np.array_equal(found[:, 0], expected, equal_nan=True)
    # Of some values the last bit is not the nearest one.
    assert not np.array_equal(found[:-1, 0], x)
    assert labels.tolist() == [row[0] for row in rows] + ["1"]


def test_a_share_is_split_off_by_class_and_seed(tmp_path: Path) -> None:
    x = np.arange(80.0).reshape(40, 2)
    path = csv(tmp_path / "a.csv", x, np.array(["a"] * 30 + ["b"] * 9 + ["c"]))
    first, again, other = (load(path, test_size=0.3, split_seed=seed) for seed in (0, None, 1))
    assert np.bincount(first.y_train).tolist() == [21, 6, 1]
    assert np.bincount(first.y_test).tolist() == [9, 3]
    assert np.array_equal(first.x_test, again.x_test)
    assert not np.array_equal(first.x_test, other.x_test)
    whole = np.concatenate([first.x_train, first.x_test])
    assert sorted(whole[:, 0, 0]) == x[:, 0].tolist()
    assert first.facts["sha256_train"] == first.facts["sha256_test"]
    np.savez(tmp_path / "b.npz", X=X, y=Y)
    assert len(load(tmp_path / "b.npz", test_size=0.5).y_test) == 2


def test_folds_resample_own_data_as_the_archives(tmp_path: Path) -> None:
    path = csv(tmp_path / "a_TRAIN.csv")
    csv(tmp_path / "a_TEST.csv", X + 100)
    folds = [load(path, fold=fold).x_train for fold in (0, 1)]
    assert not np.array_equal(folds[0], folds[1])


def npz(**members: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **members)
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


OBJECTS = np.array([1, "a", None, 2], dtype=object)
WRONG: list[tuple[str, bytes, dict[str, Any], str]] = [
    ("a.csv", b"a,1,2\nb,3\n", {}, "a.csv line 2 holds 1 values, the first line 2"),
    ("a.csv", b"a,1,2\nb,3,x\n", {}, "a.csv line 2 holds 'x' where a number is needed"),
    ("a.csv", b"a,1,2\n\n,3,4\n", {}, "a.csv line 3 has no label"),
    ("a.csv", b"a,1,2\nb,3,1e39\n", {}, "a.csv line 2: 1e39 is infinite or beyond float32"),
    ("a.csv", b"a;1;2\nb;3;4\n", {}, "a.csv line 1 holds one cell .* separated by commas"),
    ("a.csv", b"", {}, "a.csv holds no series"),
    ("a.csv", b"a,1,2\na,3,4\n", {}, "a.csv: train holds only class 'a'"),
    ("a.csv", b"a,1,2\nb,3,4\n", {"label": 3}, "dataset.label=3: the columns of .*a.csv are 0 to"),
    ("a.csv", b"a,1,2\nb,3,4\n", {"label": "z"}, "dataset.label=z: .*a.csv has no column"),
    ("a.csv", b"u,v,w\na,3,4\n", {"label": "z"}, r"no column called z: .* \(u, v, w\) by"),
    ("a.csv", b"u,v,w\na,3,4\n", {}, r"no column called label, class, target or y: .*\(u, v, w\)"),
    ("a.csv", b",label,t\n0,a,4\n", {}, "column 0 has no name; if it numbers the rows"),
    ("a.npz", npz(X=X), {}, "a.npz has no y; its keys are X"),
    ("a.npz", npz(X=X, y=OBJECTS), {}, "cannot parse .*a.npz: Object arrays cannot be loaded"),
    ("a.npz", npz(X=X, y=Y[:3]), {}, "a.npz: X holds 4 series but .*a.npz: y 3 labels"),
    ("a.npz", npz(X=Y, y=Y), {}, r"a.npz: X holds <U1 \(4,\): expected numbers"),
    ("a.npz", npz(X=X, y=np.array([1, np.nan, 1, 2])), {}, "a.npz: y: series 1 has no label"),
    ("a.npz", npz(X=X, y=np.array(["a", "", "a", "b"])), {}, "a.npz: y: series 1 has no label"),
    ("a.npz", npz(X=X, y=np.array([b"\xff"] * 4)), {}, "a.npz: y holds bytes that are no text"),
    ("a.npz", npy(X), {}, "cannot parse .*a.npz"),
    ("a.npz", b"no zip", {}, "a.npz: it is no numpy file of numbers or text"),
    ("a.npz", npz(X=X, y=Y), {"label": 1}, "dataset.label=1: .*a.npz has no columns"),
    ("X.npy", npz(X=X), {}, "X.npy holds several arrays: rename it to .npz"),
    ("X.npy", npy(OBJECTS), {}, "cannot parse .*X.npy: Object arrays"),
    ("X.npy", npy(X)[:-3], {}, "cannot parse .*X.npy"),
    ("a.csv.gz", gzip.compress(b"a,1,2\nb,3,4\n", mtime=0)[:-5], {}, "a.csv.gz is damaged"),
    ("a.ts", b"@data\n1,2\n", {}, "a.ts line 2 has no label"),
    ("a.ts", b"@data\n1,2:3:a\n", {}, "line 2 has channels of unequal length .2, 1."),
    ("a.ts", b"@timestamps True\n@data\n(0,1):a\n", {}, "a.ts: @timeStamps true is not read"),
    ("a.ts", b"@targetlabel true\n@data\n1:2\n", {}, "a.ts has no class labels"),
    ("a.ts", b"@equalLength true\n@data\n1:a\n1,2:b\n", {}, "line 4 has 2 values in a channel"),
    ("a.ts", b"@data\n1:\xff\n", {}, "a.ts line 2 is no UTF-8 text"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "settings", "told"), WRONG)
def test_what_is_wrong_in_a_file_is_told_in_a_line(
    tmp_path: Path, name: str, content: bytes, settings: dict[str, Any], told: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    np.save(tmp_path / "y.npy", Y)
    with pytest.raises(UserError, match=told) as caught:
        load(path, test_path=str(path), **settings)
    assert "\n" not in str(caught.value)
    assert "delete" not in str(caught.value)


def test_a_class_that_only_the_test_set_has_is_told_with_both_files(tmp_path: Path) -> None:
    path = csv(tmp_path / "a_TRAIN.csv")
    csv(tmp_path / "a_TEST.csv", X, np.array(["a", "b", "c", "a"]))
    with pytest.raises(UserError, match=r"a_TRAIN.csv and .*a_TEST.csv: test holds .* train: c"):
        load(path)


MISSING: list[tuple[str, dict[str, Any], str]] = [
    ("nothing.csv", {}, "nothing.csv: there is no such file"),
    ("a.csv", {}, "a.csv has no test set beside it: give dataset.test_path"),
    ("a_TRAIN.csv", {}, "a_TRAIN.csv has no test set beside it"),
    ("a.csv", {"test_path": "b.csv"}, "dataset.test_path=b.csv: there is no such file"),
    ("notes.txt", {}, "notes.txt: expected a folder or one of .ts, .tsv, .csv, .npz, .npy"),
    ("Z.npy", {"test_size": 0.5}, "the series of a .npy pair begin with X"),
    ("X.npy", {"test_size": 0.5}, "y.npy: there is no such file; it holds the labels"),
    ("", {}, "the folder lacks one of X_train.npy"),
    ("four", {"test_size": 0.5}, "dataset.test_size=0.5: .*four has a test set already"),
    ("two.csv", {"test_size": 0.5}, "dataset.test_size=0.5: no class has two series"),
]


@pytest.mark.parametrize(("name", "settings", "told"), MISSING)
def test_files_that_are_not_there_are_told(
    tmp_path: Path, name: str, settings: dict[str, Any], told: str
) -> None:
    for file in ("a.csv", "a_TRAIN.csv"):
        csv(tmp_path / file)
    csv(tmp_path / "two.csv", X[:2], Y[:2])
    for file in ("X.npy", "Z.npy"):
        np.save(tmp_path / file, X)
    (tmp_path / "notes.txt").write_text("a")
    (tmp_path / "four").mkdir()
    arrays(tmp_path / "four")
    with pytest.raises(UserError, match=told):
        load(tmp_path / name, **settings)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"archive": "UCR", "label": 0}, "dataset.label=0: only dataset=own takes this, but a is"),
        ({}, "dataset=own needs dataset.path=PATH"),
        ({"path": "x.csv", "name": "a/b"}, "dataset.name='a/b': it names a folder"),
        ({"path": "x.csv", "name": " "}, "dataset.name=' ': it names a folder"),
        ({"path": "x.csv", "name": "a\nb"}, r"dataset.name='a\\nb': it names a folder"),
        ({"path": "x.csv", "name": "n" * 256}, "or more than 255 bytes"),
        ({"path": "x.csv", "split_seed": 1}, "dataset.split_seed=1: nothing is split"),
        ({"path": "x.csv", "test_size": 0.3, "test_path": "y"}, "dataset.test_size=0.3: the test"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Wanted(**({"name": "a", "archive": "own"} | settings))


def test_a_file_with_a_test_set_of_its_own_is_not_split(tmp_path: Path) -> None:
    x, y = np.arange(24.0).reshape(6, 4), list("aabbab")
    np.savez(tmp_path / "four.npz", X_train=x, y_train=y, X_test=x, y_test=y)
    np.savez(tmp_path / "two.npz", X_train=x, y_train=y)
    with pytest.raises(UserError, match=r"dataset.test_size: .*four.npz has a test set already"):
        load(tmp_path / "four.npz", test_size=0.5)
    assert len(load(tmp_path / "two.npz", test_size=0.5).y_test) == 4
