"""A trained DSN or LITE as one C99 file with its sparse weights inlined."""

import re
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
    return coded.int8(folded, model.prepare(train.x))


def written(model: TrainedModel, numbers: Network, prefix: str) -> Source:
    """The texts of a model's files."""
    fitted = model.cleaning.fitted
    scaled = model.cleaning.scaling == "train"
    moments = (fitted.mean, fitted.std) if scaled else (0.0, 1.0)
    said = {"network": model.settings["name"], "numbers": numbers.dtype, **model.provenance}
    about = [f"{key}: {value}" for key, value in said.items()]
    return source(numbers, Scaling(model.cleaning.scaling, *moments), model.classes, prefix, about)


def checked(model: TrainedModel, numbers: Network, made: Source, prefix: str, on: Series) -> str:
    """Hold a C file against the network, and say in a line how that went.

    The numbers always are; the compiled file is where there is a compiler.

    Raises:
        UserError: they differ, or the compiler fails.
    """
    torch_says = real.logits(model, on)
    numbers_say = numbers.run(model.prepare(on.x)).numpy()
    if numbers.dtype == "float32":
        _require_close(numbers_say, torch_says, CLOSE, "its numbers")
    command = compiler()
    if command is None:
        return "not compiled: there is no C compiler here (its numbers were checked)"
    with compiled(made, prefix, len(model.classes), command) as loaded:
        c_says = loaded.logits(on.x)
    limit = CLOSE if numbers.dtype == "float32" else CLOSE_INT8 * float(np.abs(numbers_say).max())
    _require_close(c_says, numbers_say, limit, "compiled, it")
    same = int((c_says.argmax(axis=1) == torch_says.argmax(axis=1)).sum())
    apart = float(np.abs(c_says - torch_says).max())
    return (
        f"compiled and held against torch on {on.origin}: {same} of {len(on.x)} labels equal, "
        + (f"logits at most {apart:.1e} apart")
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
