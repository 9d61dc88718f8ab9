"""The numbers that stand in a C file: of a folded network in float32, or in int8.

In int8 an activation is a code q in [-128, 127] and means ``scale[channel] * (q - zero)``; weights
are codes with a scale for each output channel. What channels' scales differ by is in the weights of
the layer that reads them, so they cost nothing.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsn_lab.export.c.folded import Floats, Folded, Head, Layer

DType = Literal["float32", "int8"]
HIGHEST = 127
SMALLEST = 1e-20
# What is added to a code before the conversion to an integer, which cuts: never negative, rounded.
ROUNDING = 128.5


@dataclass(frozen=True)
class Coded:
    """A layer's numbers: ``clamp(gain * sum(values * x) + bias)``.

    Attributes:
        layer: the shape; its rows, channels and taps belong to the values.
        values: of the weights.
        gain: of each output channel; 1 in float32.
        bias: likewise, as are ``low`` and ``high``.
        zero: what stands for 0 in the input.
    """

    layer: Layer
    values: NDArray[Any]
    gain: Floats
    bias: Floats
    low: Floats
    high: Floats
    zero: int


@dataclass(frozen=True)
class Network:
    """All numbers of a C file.

    Attributes:
        dtype: of weights and activations.
        layers: in order.
        head: reads the last layer's output as it is coded.
        scale: what a scaled series is divided by, of each channel; 1 in float32.
    """

    dtype: DType
    layers: tuple[Coded, ...]
    head: Head
    scale: Floats

    def run(self, x: Tensor) -> Tensor:
        """Logits ``(batch, classes)`` of scaled series: what the C file computes, in float64."""
        whole = self.dtype == "int8"
        maps = x.double()
        if whole:
            codes = maps / torch.from_numpy(self.scale)[:, None] + ROUNDING
            maps = codes.clamp(ROUNDING - HIGHEST, ROUNDING + HIGHEST).floor() - 128
        for coded in self.layers:
            layer = coded.layer
            kernel = torch.zeros(layer.outputs, layer.inputs, layer.left + layer.right + 1)
            kernel = kernel.double()
            places = layer.rows, layer.channels, layer.taps
            kernel[places] = torch.from_numpy(coded.values.astype(np.float64))
            maps = torch.nn.functional.conv1d(layer.padded(maps, coded.zero), kernel)
            parts = (coded.gain, coded.bias, coded.low, coded.high)
            gain, bias, low, high = (torch.from_numpy(part)[:, None] for part in parts)
            maps = (maps * gain + bias).clamp(low, high)
            if whole:
                maps = maps.floor() - 128
        return self.head.run(maps)


def float32(folded: Folded) -> Network:
    """The numbers in float32."""
    layers = tuple(
        Coded(each, each.values, np.ones(each.outputs), each.bias, each.low, each.high, 0)
        for each in folded.layers
    )
    return Network("float32", layers, folded.head, np.ones(folded.channels))


def int8(folded: Folded, train: Tensor) -> Network:
    """The numbers in int8, ranges of activations taken from the training set.

    Args:
        folded: the network.
        train: scaled training series ``(batch, channel, time)``.
    """
    largest = _largest(folded, train)
    scale, zero = _shared(largest[0]) / HIGHEST, 0
    first = scale
    layers = []
    for layer, most in zip(folded.layers, largest[1:], strict=True):
        out_zero = -128 if layer.rectified else 0
        out_scale = _shared(most) / (255 if layer.rectified else HIGHEST)
        layers.append(_coded(layer, (scale, zero), (out_scale, out_zero)))
        scale, zero = out_scale, out_zero
    matrix = folded.head.matrix * scale
    head = Head(folded.head.steps, matrix, folded.head.bias - zero * matrix.sum(axis=1))
    return Network("int8", tuple(layers), head, first)


def _coded(layer: Layer, read: tuple[Floats, int], written: tuple[Floats, int]) -> Coded:
    (scale, zero), (out_scale, out_zero) = read, written
    weights = layer.values * scale[layer.channels]
    largest = np.zeros(layer.outputs)
    np.maximum.at(largest, layer.rows, np.abs(weights))
    # Never so small that processors are slow with it: a row may have no weights at all.
    steps = np.maximum(largest, SMALLEST) / HIGHEST
    values = np.rint(weights / steps[layer.rows]).astype(np.int8)
    sums = np.bincount(layer.rows, values, minlength=layer.outputs)

    def coded(y: Floats) -> Floats:
        return y / out_scale + out_zero + ROUNDING

    lowest = ROUNDING - 128 if layer.rectified else ROUNDING - HIGHEST
    return Coded(
        layer,
        values,
        gain=steps / out_scale,
        bias=coded(layer.bias - zero * steps * sums),
        low=coded(layer.low).clip(lowest, ROUNDING + HIGHEST),
        high=coded(layer.high).clip(lowest, ROUNDING + HIGHEST),
        zero=zero,
    )


def _largest(folded: Folded, train: Tensor) -> list[Floats]:
    """The largest absolute value of each channel, of the series and of each layer's output."""
    batches = [folded.maps(batch) for batch in torch.split(train, 256)]
    return [
        torch.stack([each.abs().amax(dim=(0, 2)) for each in maps]).amax(dim=0).numpy()
        for maps in zip(*batches, strict=True)
    ]


def _shared(largest: Floats) -> Floats:
    """Ranges halfway (by their logarithm) between each channel's own and the widest of all.

    With their own, channels would have finest codes and weights of unlike sizes in one row.
    """
    widest = max(float(largest.max()), SMALLEST)
    ranges: Floats = np.sqrt(np.maximum(largest, 1e-3 * widest) * widest)
    return ranges
