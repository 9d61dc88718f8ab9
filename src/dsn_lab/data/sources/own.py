"""The user's own data: a file with another beside it, one that is split, or a folder of arrays."""

import re
from pathlib import Path

from dsn_lab.data import folder as files
from dsn_lab.data import formats
from dsn_lab.data.sources import Found
from dsn_lab.data.sources.uci import ARRAYS
from dsn_lab.data.split import Split, stratified
from dsn_lab.data.wanted import KINDS, OWN, PACKED, Wanted, kind_of
from dsn_lab.errors import UserError

ARCHIVES: dict[str, tuple[str, ...]] = {OWN: ()}
RESAMPLED = True


def find(wanted: Wanted, root: Path) -> Found | None:
    """Return the files if they are there; the data folder plays no part."""
    try:
        return _choose(wanted)
    except UserError:
        return None


def fetch(wanted: Wanted, root: Path) -> Found:
    """Say what is not there, as nobody has it for download.

    Raises:
        UserError: always, unless the files have come in the meantime.
    """
    return _choose(wanted)


def read(found: Found, wanted: Wanted) -> tuple[Split, Split]:
    """Read both files, or split the only one by ``wanted.test_size``, stratified and seeded.

    Raises:
        UserError: naming the file, and line or array.
    """
    given = wanted.test_size is not None or wanted.test_path is not None
    alone = found.train == found.test and not given
    if wanted.test_size is not None:
        both = formats.read(found.train, None, "all", label=wanted.label, alone=False)
        return stratified(both, wanted.test_size, wanted.split_seed or 0)
    train = formats.read(found.train, None, "train", label=wanted.label, alone=alone)
    return train, formats.read(found.test, None, "test", label=wanted.label, alone=alone)


def _choose(wanted: Wanted) -> Found:
    """Return which files the settings mean.

    Raises:
        UserError: they are not there, or there is no test set.
    """
    assert wanted.path is not None
    path = Path(wanted.path).expanduser()
    if path.is_dir():
        four = files.locate(path, ARRAYS)
        if four is None:
            raise UserError(
                f"dataset.path={path}: the folder lacks one of {', '.join(ARRAYS)}; of other "
                "data give the file"
            )
        for setting in ("test_path", "test_size"):
            if (value := getattr(wanted, setting)) is not None:
                raise UserError(f"dataset.{setting}={value}: {path} has a test set already")
        return _found(four[:2], four[2:])
    train = _files(path, "path")
    if wanted.test_size is not None:
        return _found(train, train)
    if wanted.test_path is not None:
        return _found(train, _files(Path(wanted.test_path).expanduser(), "test_path"))
    if beside := _test_file_beside(train[0]):
        return _found(train, _files(beside, "path"))
    if kind_of(path) == ".npz":
        return _found(train, train)
    raise UserError(
        f"{path} has no test set beside it: give dataset.test_path=PATH, or dataset.test_size=0.3 "
        "to split it"
    )


def _found(train: tuple[Path, ...], test: tuple[Path, ...]) -> Found:
    where = {"data_path": str(train[0].absolute()), "data_test_path": str(test[0].absolute())}
    return Found(train, test, OWN, facts=dict(where))


def _files(path: Path, setting: str) -> tuple[Path, ...]:
    """Return the file as it lies there, plain or compressed, and the labels of an ``X.npy``."""
    if not kind_of(path):
        raise UserError(
            f"dataset.{setting}={path}: expected a folder or one of {', '.join(KINDS)}, plain, "
            f"{' or '.join(PACKED)}"
        )
    if (there := files.locate(path.parent, (path.name,))) is None:
        raise UserError(f"dataset.{setting}={path}: there is no such file")
    if kind_of(path) != ".npy":
        return there
    end = there[0].name[1:]
    if there[0].name[0] not in "Xx":
        raise UserError(f"dataset.{setting}={path}: the series of a .npy pair begin with X")
    for end_too in (end, *(end.removesuffix(packed) for packed in PACKED)):
        if labels := files.locate(path.parent, (f"y{end_too}",)):
            return (*there, *labels)
    raise UserError(f"{path.parent / ('y' + end)}: there is no such file; it holds the labels")


def _test_file_beside(train: Path) -> Path | None:
    """Return the file that is called as the training file with TEST for TRAIN, in any case."""
    cut = re.fullmatch(r"(?i)(.*_)(train)(\..*)", train.name)
    if cut is None:
        return None
    words = {"TRAIN": "TEST", "train": "test"}
    exact = train.with_name(f"{cut[1]}{words.get(cut[2], 'Test')}{cut[3]}")
    if there := files.locate(exact.parent, (exact.name,)):
        return there[0]
    plain = exact.name.lower().removesuffix(".gz").removesuffix(".xz")
    meant = {plain + end for end in ("", *PACKED)}
    return next((p for p in sorted(train.parent.iterdir()) if p.name.lower() in meant), None)
