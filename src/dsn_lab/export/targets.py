"""What the command does for each kind of file: make it, check it, and only then leave it."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsn_lab.errors import UserError
from dsn_lab.export import c, onnx, series
from dsn_lab.export.c.coded import DType
from dsn_lab.export.series import Series
from dsn_lab.storage import written_whole
from dsn_lab.trained import TrainedModel

CLOSE = 1e-4  # how far probabilities may lie from the network's own


@dataclass(frozen=True)
class Data:
    """Series for an export.

    Attributes:
        train: to calibrate on; None if they are not on this machine.
        test: to check and to measure on.
    """

    train: Series | None
    test: Series


def data(model: TrainedModel, train: Path | None, test: Path | None) -> Data:
    """The series of the files, else the run's own, else random ones to check on.

    Raises:
        UserError: a file cannot be read or does not suit the model.
    """
    own = None if train and test else series.of_training(model)
    trained, tested = own or (None, series.drawn(model))
    return Data(
        series.of_file(model, train) if train else trained,
        series.of_file(model, test) if test else tested,
    )


def write_onnx(model: TrainedModel, path: Path, given: Data) -> list[str]:
    """Write an ONNX file that agrees with the network; returns what there is to say.

    Raises:
        UserError: it differs, torch cannot export the network, or a package is missing.
    """
    onnx.required("onnx", "onnxscript", "onnxruntime")
    path.parent.mkdir(exist_ok=True)
    with written_whole(path) as temporary:
        onnx.write(model, temporary)
        says = onnx.probabilities(onnx.session(temporary), given.test.x)
        own = model.predict_proba(given.test.x)
        apart = float(np.abs(says - own).max())
        if not apart <= CLOSE:
            raise UserError(
                f"no ONNX file is written, because its probabilities differ from the network's by "
                f"{apart:.1e} (at most {CLOSE:.0e} may be): please report this"
            )
        size = onnx.weight_bytes(temporary)
    return [
        f"{path}: {size} bytes of weights, classes {', '.join(model.classes)}",
        f"held against torch by ONNX Runtime on {given.test.origin}: probabilities at most "
        f"{apart:.1e} apart",
    ]


def write_c(model: TrainedModel, path: Path, dtype: DType, given: Data) -> list[str]:
    """Write a C file, its header and example.c; returns what there is to say.

    Raises:
        UserError: it differs from the network, or none can be made of it.
    """
    prefix = c.prefix_of(path)
    numbers = c.network(model, dtype, given.train)
    made = c.written(model, numbers, prefix)
    check = c.checked(model, numbers, made, prefix, given.test)
    path.parent.mkdir(exist_ok=True)
    files = {
        path: made.code,
        path.with_suffix(".h"): made.header,
        path.with_name("example.c"): made.example,
    }
    if len(files) < 3:
        raise UserError(f"--output {path}: example.c is the example's name; take another")
    with ExitStack() as stack:
        for file, text in files.items():
            stack.enter_context(written_whole(file)).write_text(text, encoding="utf-8")
    lines = [
        f"{path}: {made.weights} bytes of weights, positions and tables, {made.ram} of static RAM"
        + (" (4 times that with SIMD)" if dtype == "int8" else ""),
        check.line,
    ]
    if dtype == "int8" and check.series.y is not None:
        whole = accuracy(model, series.logits(model, check.series), check.series)
        coded = accuracy(model, check.logits, check.series)
        lines.append(
            f"accuracy on {check.series.origin}: {100 * whole:.2f} % in float32, "
            f"{100 * coded:.2f} % in int8"
        )
    lines.append(f"compile with: cc -O3 -march=native example.c {path.name} -lm")
    return lines


def accuracy(model: TrainedModel, scores: NDArray[np.floating], test: Series) -> float:
    """Share of labelled series whose likeliest class is theirs."""
    assert test.y is not None
    return float((np.array(model.classes)[scores.argmax(axis=1)] == test.y).mean())
