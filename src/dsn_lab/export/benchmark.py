"""What a trained network takes, measured here and now: torch, ONNX Runtime, C, int8 C."""

import csv
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table
from torch import Tensor, nn

from dsn_lab.errors import UserError
from dsn_lab.export import c, onnx
from dsn_lab.export.c.compiled import compiled, compiler
from dsn_lab.export.targets import Data, accuracy
from dsn_lab.storage import written_whole
from dsn_lab.trained import TrainedModel

ROUNDS, CALLS = 15, 10  # of which the medians' median counts
NATIVE = "-march=native"

Scores = Callable[[NDArray[np.float32]], NDArray[np.floating]]


@dataclass(frozen=True)
class Row:
    """A runtime.

    Attributes:
        runtime: what it is.
        milliseconds: of one series, one thread.
        weights: bytes of its constants.
        ram: bytes of its buffers; None where a runtime does not say.
        accuracy: on the test series; None without labels.
    """

    runtime: str
    milliseconds: float
    weights: int
    ram: int | None
    accuracy: float | None


@dataclass(frozen=True)
class Contender:
    """A runtime, ready to be measured."""

    name: str
    scores: Scores
    once: Callable[[], object]
    weights: int
    ram: int | None = None


def measure(model: TrainedModel, data: Data) -> list[Row]:
    """Measure all that this machine has, in turns, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ExitStack() as stack:
            contenders = list(_contenders(model, data, stack))
            times = _times([each.once for each in contenders])
            return [
                Row(
                    each.name,
                    milliseconds,
                    each.weights,
                    each.ram,
                    None
                    if data.test.y is None
                    else accuracy(model, each.scores(data.test.x), data.test),
                )
                for each, milliseconds in zip(contenders, times, strict=True)
            ]
    finally:
        torch.set_num_threads(threads)


def _times(calls: list[Callable[[], object]]) -> list[float]:
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, times in zip(calls, taken, strict=True):
            call()
            each = []
            for _ in range(CALLS):
                begin = time.perf_counter()
                call()
                each.append(time.perf_counter() - begin)
            times.append(1e3 * median(each))
    return [median(times) for times in taken]


def _contenders(model: TrainedModel, data: Data, stack: ExitStack) -> Iterator[Contender]:
    one = data.test.x[:1]
    prepared = model.prepare(one)

    def through_torch() -> Tensor:
        with torch.inference_mode():
            logits: Tensor = model.network(prepared)
            return logits

    yield Contender("torch", model.predict_proba, through_torch, _torch_bytes(model.network))
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    try:
        path = folder / "model.onnx"
        onnx.write(model, path)
        running = onnx.session(path)
        yield Contender(
            "ONNX Runtime",
            lambda x: onnx.probabilities(running, x),
            lambda: running.run(None, {onnx.INPUT: one}),
            onnx.weight_bytes(path),
        )
    except UserError as error:
        print(f"no ONNX Runtime: {error}")
    command = compiler()
    if command is None:
        print("no C: there is no C compiler here")
        return
    for dtype in ("float32", "int8"):
        try:
            numbers = c.network(model, dtype, data.train)
        except UserError as error:
            print(f"no C of {dtype}: {error}")
            continue
        made = c.written(model, numbers, "model")
        classes = len(model.classes)
        loaded = stack.enter_context(compiled(made, "model", classes, command, NATIVE))
        yield Contender(f"C, {dtype}", loaded.logits, _once(loaded, one), made.weights, made.ram)


def _once(loaded: object, one: NDArray[np.float32]) -> Callable[[], object]:
    return lambda: loaded.logits(one)  # type: ignore[attr-defined]


def _torch_bytes(network: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in network.state_dict().values())


def table(rows: list[Row]) -> Table:
    """The rows for people."""
    made = Table("runtime", "ms, one series", "bytes of weights", "bytes of RAM", "accuracy, %")
    for row in rows:
        made.add_row(
            row.runtime,
            f"{row.milliseconds:.3f}",
            str(row.weights),
            "" if row.ram is None else str(row.ram),
            "" if row.accuracy is None else f"{100 * row.accuracy:.2f}",
        )
    return made


def write(rows: list[Row], path: Path) -> Path:
    """Write the rows as a CSV beside an export; returns its path."""
    beside = path.with_name(f"{path.stem}.benchmark.csv")
    with written_whole(beside) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    return beside
