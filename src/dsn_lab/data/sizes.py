"""How large training sets are, and the batches that follow from it; nothing is loaded for it."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Size:
    """Of a dataset, the number of training series and their steps."""

    n_train: int
    length: int


def default_batch_size(n_train: int) -> int:
    """The protocol's batch: a tenth of the training set, from 2 to 16 series."""
    return max(2, min(16, n_train // 10))


@cache
def ucr() -> dict[str, Size]:
    """The training sets of the UCR archive, by name; the longest series where lengths differ."""
    with files("dsn_lab.data").joinpath("ucr_sizes.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {row["dataset"]: Size(int(row["n_train"]), int(row["length"])) for row in rows}
