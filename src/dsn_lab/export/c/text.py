"""A C file, its header and an example, as text."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from string import Template
from typing import Any

import numpy as np

from dsn_lab.export.c.coded import Coded, Network
from dsn_lab.export.c.folded import Layer

ROUND = 16  # lanes of the widest registers
TILE = 16  # most registers of sums, as in kernel.c
FAR = 2**16 - 1  # a step has 16 bits
LARGEST = float(np.finfo(np.float32).max)
NUMBER_BYTES = {"float32": 4, "int8": 1}


@dataclass(frozen=True)
class Scaling:
    """How raw series become the network's input: as ``Cleaning.scaling`` says, by its moments."""

    name: str
    mean: float = 0.0
    deviation: float = 1.0


@dataclass(frozen=True)
class Source:
    """Texts of the files, and what they take.

    Attributes:
        weights: bytes of weights, their positions and all other tables.
        ram: bytes of the static buffers.
    """

    code: str
    header: str
    example: str
    weights: int
    ram: int


def source(
    network: Network, scaling: Scaling, classes: Sequence[str], prefix: str, about: Iterable[str]
) -> Source:
    """Write a network as C99.

    Args:
        network: its numbers.
        scaling: of raw series.
        classes: their names.
        prefix: of every public name; the files are called so.
        about: lines of a comment on where the network comes from.
    """
    time = len(network.head.steps)
    room = -(-time // ROUND) * ROUND
    tables = [_layer(index, coded, room) for index, coded in enumerate(network.layers)]
    head = _head(network, room)
    sizes = _buffers([each.layer for each in network.layers], room)
    ram = sum(sizes) * NUMBER_BYTES[network.dtype]
    weights = sum(size for _, _, size in tables) + head[1]
    layers = ",\n".join(row for _, row, _ in tables)
    written = (
        *(text for text, _, _ in tables),
        f"static const struct layer layers[LAYERS] = {{\n{layers},\n}};\n",
        head[0],
        *(f"static number {name}[{size}] ALIGNED;\n"
          for name, size in zip(("even", "odd"), sizes, strict=True)),
    )  # fmt: skip
    names = {
        "prefix": prefix, "upper": prefix.upper(),
        "about": "".join(f" * {_plain(line)}\n" for line in about),
        "channels": network.layers[0].layer.inputs, "steps": time, "classes": len(classes),
        "weights": weights, "ram": ram, "dtype": network.dtype,
        "names": ",\n".join(f"    {_quoted(name)}" for name in classes),
        "int8": int(network.dtype == "int8"), "room": room, "layers": len(tables),
        "head_channels": network.head.matrix.shape[1],
        "mean": repr(scaling.mean), "deviation": repr(scaling.deviation),
        "scale_each": int(scaling.name == "series"),
        "tables": "".join(written),
        "each": "".join(_EACH.format(n=n) for n in range(TILE)),
        "all": " ".join(f"E{n}(M)" for n in range(TILE)),
    }  # fmt: skip
    code, header, example = (_filled(name, names) for name in ("model.c", "model.h", "example.c"))
    return Source(code, header, example, weights, ram)


_EACH = "#if TILE > {n}\n#define E{n}(M) M({n})\n#else\n#define E{n}(M)\n#endif\n"


def _filled(name: str, names: dict[str, Any]) -> str:
    return Template(files(__package__).joinpath(name).read_text("utf-8")).substitute(names)


def _layer(index: int, coded: Coded, room: int) -> tuple[str, str, int]:
    """Tables of a layer, its line in the table of layers, and the tables' bytes."""
    layer = coded.layer
    stride = layer.left + room + layer.right
    full = _is_full(layer)
    counts, steps, values = _full(coded) if full else _stepped(coded, stride)
    quantised = coded.values.dtype == np.int8
    rows = [
        [str(count), *map(_float, (gain, *parts) if quantised else parts)]
        for count, gain, *parts in zip(
            counts, coded.gain, coded.bias, coded.low, coded.high, strict=True
        )
    ]
    text = (
        _table(f"{'signed char' if quantised else 'float'} values_{index}[]",
               map(str, values) if quantised else map(_float, values))
        + ("" if full else _table(f"unsigned short steps_{index}[]", map(str, steps)))
        + _table(f"struct row rows_{index}[]", ("{" + ", ".join(row) + "}" for row in rows))
    )  # fmt: skip
    shape = (layer.inputs, layer.outputs, layer.left, stride, int(layer.repeated), coded.zero)
    walked = "0" if full else f"steps_{index}"
    line = f"    {{values_{index}, {walked}, rows_{index}, {', '.join(map(str, shape))}}}"
    size = len(values) * (1 if quantised else 4) + 2 * len(steps) + 4 * sum(map(len, rows))
    return text, line, size


def _is_full(layer: Layer) -> bool:
    """Whether a layer is a matrix without a hole, of so many rows as are computed together."""
    weights = layer.outputs * layer.inputs
    return layer.left + layer.right == 0 and len(layer.values) == weights and layer.outputs >= 4


def _full(coded: Coded) -> tuple[list[int], list[int], list[Any]]:
    layer = coded.layer
    return [layer.inputs] * layer.outputs, [], coded.values.tolist()


def _stepped(coded: Coded, stride: int) -> tuple[list[int], list[int], list[Any]]:
    """Numbers of weights of the rows, and of each weight its distance from the one before.

    A distance of more than 16 bits is walked over weights of 0.
    """
    layer = coded.layer
    places = layer.channels * stride + layer.taps
    counts, steps, values = [0] * layer.outputs, [], []
    row, before = -1, 0
    for each, place, value in zip(
        layer.rows.tolist(), places.tolist(), coded.values.tolist(), strict=True
    ):
        if value == 0:
            continue
        if each != row:
            row, before = each, 0
        while place - before > FAR:
            steps.append(FAR)
            values.append(0)
            counts[row] += 1
            before += FAR
        steps.append(place - before)
        values.append(value)
        counts[row] += 1
        before = place
    return counts, steps or [0], values or [0]


def _head(network: Network, room: int) -> tuple[str, int]:
    head = network.head
    steps = np.pad(head.steps, (0, room - len(head.steps)))
    matrix = [", ".join(map(_float, column)) for column in head.matrix.T]
    text = (
        _table("float head_steps[ROOM]", map(_float, steps))
        + _table("float head_matrix[HEAD_CHANNELS][CLASSES]", (f"{{{row}}}" for row in matrix))
        + _table("float head_bias[CLASSES]", map(_float, head.bias))
    )
    numbers = room + head.matrix.size + len(head.bias)
    if network.dtype == "int8":
        text += _table("float input_gain[CHANNELS]", map(_float, 1 / network.scale))
        numbers += len(network.scale)
    return text, 4 * numbers


def _buffers(layers: Sequence[Layer], room: int) -> list[int]:
    """Numbers in the two buffers, between which the layers go to and fro."""
    sizes = [each.inputs * (each.left + room + each.right) for each in layers]
    sizes.append(layers[-1].outputs * room)
    return [max(sizes[0::2]), max(sizes[1::2])]


def _table(declaration: str, numbers: Iterable[str]) -> str:
    lines = "".join(f"    {', '.join(line)},\n" for line in _batched(numbers, 12))
    return f"static const {declaration} = {{\n{lines}}};\n"


def _batched(items: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _float(number: float) -> str:
    """A float32 literal that reads back to the bit."""
    text = f"{float(np.float32(np.clip(number, -LARGEST, LARGEST))):.9g}"
    return f"{text}f" if {".", "e"} & set(text) else f"{text}.0f"


def _quoted(name: str) -> str:
    """A C string; what is not plain ASCII as octal bytes of UTF-8."""
    plain = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in name.encode()
    )
    return f'"{"".join(plain)}"'


def _plain(line: str) -> str:
    """What may stand in a comment."""
    return " ".join(line.encode("ascii", "replace").decode().replace("*/", "* /").split())
