"""A trained DSN or LITE as one C99 file with its sparse weights inlined."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsn_lab.errors import UserError
from dsn_lab.export import series as real
from dsn_lab.export.c import coded
from dsn_lab.export.c.coded import DType, Network
from dsn_lab.export.c.compiled import compiled, compiler
from dsn_lab.export.c.fold import fold
from dsn_lab.export.c.text import Scaling, Source, source
from dsn_lab.export.series import Series
from dsn_lab.trained import TrainedModel

# How far logits may lie from those that they are held against.
CLOSE = 1e-4
CALIBRATION = 256  # training series, at most, that tell the ranges of activations
SLOWLY = 64  # series on which numbers are held against the network without a compiler
CLOSE_INT8 = 0.02  # of the largest: a code may be rounded the other way, and all that follow it


def network(model: TrainedModel, dtype: DType, train: Series | None) -> Network:
    """The numbers of a model's C file.

    Raises:
        UserError: no C file can be made of such a network, or int8 lacks the training series.
    """
    folded = fold(model.network, model.length)
    if dtype == "float32":
        return coded.float32(folded)
    if train is None:
        raise UserError(
            "--dtype int8 is calibrated on the training series, which are not on this machine: "
            "name their file by --train"
        )
    return coded.int8(folded, model.prepare(train.some(CALIBRATION).x))


def written(model: TrainedModel, numbers: Network, prefix: str) -> Source:
    """The texts of a model's files."""
    fitted = model.cleaning.fitted
    scaled = model.cleaning.scaling == "train"
    moments = (fitted.mean, fitted.std) if scaled else (0.0, 1.0)
    said = {"network": model.settings["name"], "numbers": numbers.dtype, **model.provenance}
    about = [f"{key}: {value}" for key, value in said.items()]
    return source(numbers, Scaling(model.cleaning.scaling, *moments), model.classes, prefix, about)


@dataclass(frozen=True)
class Check:
    """How an export was checked.

    Attributes:
        series: on which ones.
        logits: what it says of them.
        line: the outcome for people.
    """

    series: Series
    logits: NDArray[np.floating]
    line: str


def checked(model: TrainedModel, numbers: Network, made: Source, prefix: str, on: Series) -> Check:
    """Hold a C file against the network.

    Its numbers always are, on some series; on all of them, compiled, where there is a compiler.

    Raises:
        UserError: they differ, or the compiler fails.
    """
    some = on.some(SLOWLY)
    numbers_say = numbers.run(model.prepare(some.x)).numpy()
    if numbers.dtype == "float32":
        _require_close(numbers_say, real.logits(model, some), CLOSE, "its numbers")
    command = compiler()
    if command is None:
        return Check(some, numbers_say, "not compiled: there is no C compiler here (set CC)")
    with compiled(made, prefix, len(model.classes), command) as loaded:
        some_say, says = loaded.logits(some.x), loaded.logits(on.x)
    limit = CLOSE if numbers.dtype == "float32" else CLOSE_INT8 * float(np.abs(numbers_say).max())
    _require_close(some_say, numbers_say, limit, "compiled, it")
    torch_says = real.logits(model, on)
    if numbers.dtype == "float32":
        _require_close(says, torch_says, CLOSE, "compiled, it")
    same = int((says.argmax(axis=1) == torch_says.argmax(axis=1)).sum())
    apart = float(np.abs(says - torch_says).max())
    return Check(
        on,
        says,
        f"compiled and held against torch on {on.origin}: {same} of {len(on.x)} labels equal, "
        f"logits at most {apart:.1e} apart",
    )


def _require_close(
    c: NDArray[np.floating], other: NDArray[np.floating], limit: float, what: str
) -> None:
    apart = float(np.abs(c - other).max())
    if not apart <= limit:
        raise UserError(
            f"no C file is written, because {what} differs from the network by {apart:.1e} "
            f"(at most {limit:.1e} may be): please report this"
        )


def prefix_of(path: Path) -> str:
    """What public names begin with: the file's stem.

    Raises:
        UserError: no C name can be made of it.
    """
    name = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
    if not re.match(r"[A-Za-z]", name):
        raise UserError(f"--output {path}: the name must begin with a letter, names in C do")
    return name
