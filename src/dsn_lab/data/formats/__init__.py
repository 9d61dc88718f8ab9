"""Kinds of files: each reads one into raw series and labels, and names what is wrong in it."""

from pathlib import Path

from dsn_lab.data import folder as files
from dsn_lab.data import transforms
from dsn_lab.data.formats import arrays, table, ts
from dsn_lab.data.split import Split
from dsn_lab.data.wanted import kind_of
from dsn_lab.errors import UserError


def read(
    paths: tuple[Path, ...],
    root: Path | None,
    split: str,
    *,
    label: int | str | None = None,
    alone: bool = False,
) -> Split:
    """Read one split from its file, or from its two ``.npy`` files.

    Args:
        paths: the file, or series and labels.
        root: the data folder whose digests bind the files, or None.
        split: ``"train"`` or ``"test"``; ``"all"`` for what is to be split.
        label: see :class:`dsn_lab.data.wanted.Wanted`.
        alone: whether an ``.npz`` must hold both splits.

    Raises:
        UserError: a file is damaged, differs from its digest or cannot be used.
    """
    path = paths[0]
    kind = kind_of(path)
    if label is not None and kind not in table.SEPARATORS:
        raise UserError(f"dataset.label={label}: {path} has no columns; only .csv and .tsv have")
    if kind == ".npy":
        with files.verified(path, root) as (plain, x_sha256):
            x = arrays.read_npy(plain, path)
        with files.verified(paths[1], root) as (plain, y_sha256):
            y = arrays.read_npy(plain, paths[1])
        return Split(*arrays.checked(x, y, str(path), str(paths[1])), f"{x_sha256} {y_sha256}")
    with files.verified(path, root) as (plain, sha256):
        if kind == ".npz":
            x, y = arrays.read_npz(plain, path, split, alone=alone)
            return Split(*arrays.checked(x, y, f"{path}: X", f"{path}: y"), sha256)
        if kind == ".ts":
            series, labels = ts.read(plain, path)
            return Split(transforms.stack(series, split), labels, sha256)
        return Split(*table.read(plain, path, kind, label), sha256)
