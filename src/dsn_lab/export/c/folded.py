"""A trained network as what a C file computes: sparse convolutions with limits, then a head.

Everything of a network is folded into these: a 1x1 convolution is one of a single tap, BatchNorm is
in weights and biases, ReLU is a lower limit, pooling is a weight for each time step.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Layer:
    """A sparse convolution, stride 1, output as long as the input: ``clamp(conv(x) + bias)``.

    Attributes:
        inputs: channels of the input.
        left: steps of padding before the input; tap 0 reads that far back.
        right: steps of padding after it.
        repeated: whether the padding is the last step's value, or 0.
        rows: output channel of each weight, ascending, ``(active,)``.
        channels: its input channel.
        taps: how many steps after the first padded one it reads.
        values: the weights.
        bias: ``(outputs,)``.
        low: lower limit of each output channel, -inf for none.
        high: upper limit, inf for none.
    """

    inputs: int
    left: int
    right: int
    repeated: bool
    rows: Integers
    channels: Integers
    taps: Integers
    values: Floats
    bias: Floats
    low: Floats
    high: Floats

    @property
    def outputs(self) -> int:
        """Channels of the output."""
        return len(self.bias)

    @property
    def rectified(self) -> bool:
        """Whether no output is negative."""
        return bool((self.low >= 0).all())

    def dense(self) -> Tensor:
        """The kernel ``(outputs, inputs, reach)``, float64."""
        kernel = torch.zeros(self.outputs, self.inputs, self.left + self.right + 1).double()
        kernel[self.rows, self.channels, self.taps] = torch.from_numpy(self.values)
        return kernel

    def padded(self, x: Tensor, zero: float = 0.0) -> Tensor:
        """The input ``(batch, inputs, time)`` with its padding, ``zero`` in place of 0."""
        room = (self.left, self.right)
        if self.repeated:
            return F.pad(x, room, mode="replicate") if any(room) else x
        return F.pad(x, room, value=zero)

    def run(self, x: Tensor) -> Tensor:
        """The output ``(batch, outputs, time)`` of ``(batch, inputs, time)``, all float64."""
        y = F.conv1d(self.padded(x), self.dense(), torch.from_numpy(self.bias))
        low, high = (torch.from_numpy(limit)[:, None] for limit in (self.low, self.high))
        return y.clamp(low, high)


@dataclass(frozen=True)
class Head:
    """Weighted mean over time, then a matrix: logits.

    Attributes:
        steps: weight of each time step, ``(time,)``, of sum 1.
        matrix: ``(classes, channels)``.
        bias: ``(classes,)``.
    """

    steps: Floats
    matrix: Floats
    bias: Floats

    def run(self, x: Tensor) -> Tensor:
        """Logits ``(batch, classes)`` of ``(batch, channels, time)``, float64."""
        pooled = x @ torch.from_numpy(self.steps)
        return pooled @ torch.from_numpy(self.matrix).t() + torch.from_numpy(self.bias)


@dataclass(frozen=True)
class Folded:
    """A network of layers, one after another, for series of one length."""

    layers: tuple[Layer, ...]
    head: Head

    @property
    def channels(self) -> int:
        """Channels of the series."""
        return self.layers[0].inputs

    @property
    def time(self) -> int:
        """Steps of the series."""
        return len(self.head.steps)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.head.bias)

    def maps(self, x: Tensor) -> list[Tensor]:
        """The scaled series ``(batch, channel, time)`` and the output of every layer, float64."""
        maps = [x.double()]
        for layer in self.layers:
            maps.append(layer.run(maps[-1]))
        return maps

    def run(self, x: Tensor) -> Tensor:
        """Logits ``(batch, classes)`` of scaled series ``(batch, channel, time)``."""
        return self.head.run(self.maps(x)[-1])


def layer(
    inputs: int,
    kernel: Any,
    bias: Floats,
    *,
    left: int = 0,
    right: int = 0,
    repeated: bool = False,
    low: Floats | float = -np.inf,
    high: Floats | float = np.inf,
) -> Layer:
    """A layer of ``kernel`` ``(rows, channels, taps, values)``, in any order, without its zeros."""
    rows, channels, taps, values = (np.concatenate(part) for part in zip(*kernel, strict=True))
    used = np.flatnonzero(values)
    order = used[np.lexsort((taps[used], channels[used], rows[used]))]
    return Layer(
        inputs=inputs,
        left=left,
        right=right,
        repeated=repeated,
        rows=rows[order],
        channels=channels[order],
        taps=taps[order],
        values=values[order],
        bias=bias,
        low=np.array(np.broadcast_to(np.float64(low), bias.shape)),
        high=np.array(np.broadcast_to(np.float64(high), bias.shape)),
    )
