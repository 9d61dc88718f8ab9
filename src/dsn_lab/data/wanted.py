"""Which dataset is asked for, and which of its settings go together; pure text, no file is read."""

import os
import re
from dataclasses import dataclass, fields
from pathlib import Path

from dsn_lab.errors import UserError

OWN = "own"
LONGEST = 255  # bytes of a file's name
KINDS = (".ts", ".tsv", ".csv", ".npz", ".npy")
PACKED = (".gz", ".xz")


@dataclass(frozen=True)
class Wanted:
    """A dataset of an archive by its name, or the user's own by its path.

    Attributes:
        name: the dataset's name; the folder of its results.
        archive: ``"UCR"``, ``"UEA"``, ``"UCI"`` or ``"own"``. The rest is for own data only.
        path: the file, one of two ``.npy`` files, or the folder of four.
        test_path: the test set's file; default the one beside ``path`` that is named after it.
        test_size: the share of the series, in (0, 1), that becomes the test set instead.
        split_seed: which stratified split ``test_size`` makes.
        label: the label column of a ``.csv`` or ``.tsv``, by name or position.
    """

    name: str
    archive: str
    path: str | None = None
    test_path: str | None = None
    test_size: float | None = None
    split_seed: int | None = None
    label: int | str | None = None

    def __post_init__(self) -> None:
        """Refuse what does not go together.

        Raises:
            UserError: naming the value.
        """
        if self.archive != OWN:
            for field in fields(self)[2:]:
                if (value := getattr(self, field.name)) is not None:
                    raise UserError(
                        f"dataset.{field.name}={value}: only dataset=own takes this, but "
                        f"{self.name} is a dataset of {self.archive}"
                    )
            return
        if not self.path:
            raise UserError("dataset=own needs dataset.path=PATH, the file or folder of the data")
        # As records have it: what is trained must be shown again.
        odd = len(self.name.encode()) > LONGEST or not self.name.isprintable()
        if odd or self.name.strip() in ("", ".", "..") or set(self.name) & {"/", "\\"}:
            raise UserError(
                f"dataset.name={self.name[:60]!r}: it names a folder, so it must not be blank or "
                f"dots, have a slash or line break, or more than {LONGEST} bytes"
            )
        if self.test_size is None and self.split_seed:
            raise UserError(
                f"dataset.split_seed={self.split_seed}: nothing is split without dataset.test_size"
            )
        if self.test_size is not None and self.test_path is not None:
            raise UserError(
                f"dataset.test_size={self.test_size}: the test set is dataset.test_path already"
            )


def kind_of(path: Path) -> str:
    """Return a file's ending in small letters, that of compression left out; "" if unknown."""
    name = path.name.lower()
    for end in PACKED:
        name = name.removesuffix(end)
    return next((kind for kind in KINDS if name.endswith(kind)), "")


def name_of(path: str) -> str:
    """Return what own data are called by default: the file's stem without ``_TRAIN``.

    A folder, and the file ``X.npy`` or ``X_train.npy``, are called by the folder's name.
    """
    file = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100, which would follow links
    kind = kind_of(file)
    stem = file.name[: file.name.lower().rindex(kind)] if kind else file.name
    stem = re.sub(r"(?i)_train$", "", stem)
    return file.parent.name if kind == ".npy" and stem in "Xx" else stem
