"""From a trained network to :class:`Folded`: a function for each network that can be a C file."""

from functools import singledispatch
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dsn_lab.errors import UserError
from dsn_lab.export.c.folded import Floats, Folded, Head, Layer, layer
from dsn_lab.nn import DSN, LITE
from dsn_lab.nn.lite import Depthwise
from dsn_lab.sparse.layer import SparseConv1d

Kernel = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Floats]


@singledispatch
def fold(network: nn.Module, length: int) -> Folded:
    """Fold a trained network for series of ``length`` steps.

    Raises:
        UserError: no C file can be made of such a network.
    """
    raise UserError(
        f"--to c: a network of {type(network).__name__} cannot be a C file, DSN and LITE can; "
        "--to onnx takes all"
    )


@fold.register
def _(network: DSN, length: int) -> Folded:
    layers = []
    modules = iter(network.features)
    for module in modules:
        conv = module
        if isinstance(module, nn.Conv1d):
            layers.append(_mixing(module))
            conv = next(modules)
        norm, _ = next(modules), next(modules)
        assert isinstance(conv, SparseConv1d)
        layers.append(_sparse(conv, *_scale_and_shift(norm)))
    pool, classify, norm = network.classifier
    scale, shift = _scale_and_shift(norm)
    matrix = _array(classify.weight)[:, :, 0] * scale[:, None]  # type: ignore[arg-type]
    return Folded(tuple(layers), Head(_pooling(pool, length), matrix, shift))


def _sparse(conv: SparseConv1d, scale: Floats, shift: Floats) -> Layer:
    outputs, inputs, taps = conv.shape
    flat = conv.positions.numpy().astype(np.int64)
    rows, channels, tap = np.unravel_index(flat, (outputs, inputs, taps))
    kernel = (rows, channels, tap, _array(conv.values) * scale[rows])
    reach, repeated = taps - 1, conv.padding == "replicate"
    left = 0 if repeated else reach // 2
    return layer(inputs, [kernel], shift, left=left, right=reach - left, repeated=repeated, low=0.0)


def _pooling(pool: nn.Module, length: int) -> Floats:
    """What a pooling along time, then a mean, weighs each step."""
    each = torch.eye(length, dtype=torch.float64)[None]
    weights: Floats = pool(each).mean(dim=-1)[0].numpy()
    return weights


@fold.register
def _(network: LITE, length: int) -> Folded:
    first = _first_univariate if network.arguments["in_channels"] == 1 else _first_multivariate
    layers = [*first(network)]
    rest: list[Any] = [network.layer2, network.layer3]
    for (depthwise, pointwise), norm, _ in rest:
        filters, left, right = _filters([depthwise])
        nothing = np.zeros(depthwise.in_channels)
        layers.append(layer(depthwise.in_channels, filters, nothing, left=left, right=right))
        layers.append(_mixing(pointwise, *_scale_and_shift(norm), low=0.0))
    classify = network.classifier
    steps = np.full(length, 1 / length)
    return Folded(tuple(layers), Head(steps, _array(classify.weight), _array(classify.bias)))


def _first_univariate(network: LITE) -> list[Layer]:
    """Trained and frozen filters, BatchNorm and ReLU, which limits can say in one layer.

    A frozen filter's z becomes relu(s relu(z) + b). That is max(s z + b, b, 0) for s >= 0, else
    max(min(s z + b, b), 0).
    """
    scale, shift = _scale_and_shift(network.layer1[0])
    filters, left, right = _filters([*network.convolutions, *network.frozen.convolutions])
    scaled = [(row, channel, tap, value * scale[row]) for row, channel, tap, value in filters]
    frozen = np.arange(len(scale)) >= len(scale) - len(network.frozen.convolutions)
    low = np.where(frozen & (scale >= 0), np.maximum(shift, 0), 0)
    high = np.where(frozen & (scale < 0), np.maximum(shift, 0), np.inf)
    return [layer(1, scaled, shift, left=left, right=right, low=low, high=high)]


def _first_multivariate(network: LITE) -> list[Layer]:
    """Depthwise and frozen filters; then what mixes the former, and BatchNorm and ReLU."""
    branches: list[Any] = list(network.convolutions)
    inputs = network.arguments["in_channels"]
    depthwise = [each for each, _ in branches]
    filters, left, right = _filters([*depthwise, *network.frozen.convolutions])
    maps, trained = len(filters) * inputs, len(branches) * inputs
    low = np.where(np.arange(maps) < trained, -np.inf, 0)
    filtered = layer(inputs, filters, np.zeros(maps), left=left, right=right, low=low)

    scale, shift = _scale_and_shift(network.layer1[0])
    mixing = np.zeros((len(scale), maps))
    row = 0
    for branch, (_, pointwise) in enumerate(branches):
        weight = _array(pointwise.weight)[:, :, 0]
        mixing[row : row + len(weight), branch * inputs : (branch + 1) * inputs] = weight
        row += len(weight)
    mixing[row:, trained:] = np.eye(maps - trained)
    mixed = layer(maps, [_matrix(mixing * scale[:, None])], shift, low=0.0)
    return [filtered, mixed]


def _filters(convolutions: list[Any]) -> tuple[list[Kernel], int, int]:
    """Kernels of convolutions beside each other, and how far they reach to both sides."""
    lefts, rights = [], []
    for conv in convolutions:
        reach = conv.dilation[0] * (conv.kernel_size[0] - 1)
        lefts.append(reach // 2)
        rights.append(reach - reach // 2)
    kernels, row = [], 0
    for conv, left in zip(convolutions, lefts, strict=True):
        rows, inner, taps = np.indices(conv.weight.shape).reshape(3, -1)
        channels = rows if isinstance(conv, Depthwise) else inner
        steps = taps * conv.dilation[0] + max(lefts) - left
        kernels.append((rows + row, channels, steps, _array(conv.weight).ravel()))
        row += len(conv.weight)
    return kernels, max(lefts), max(rights)


def _mixing(
    conv: nn.Conv1d,
    scale: Floats | float = 1.0,
    shift: Floats | float = 0.0,
    low: float = -np.inf,
) -> Layer:
    matrix = _array(conv.weight)[:, :, 0] * np.reshape(scale, (-1, 1))
    bias = np.array(np.broadcast_to(np.float64(shift), len(matrix)))
    return layer(matrix.shape[1], [_matrix(matrix)], bias, low=low)


def _matrix(matrix: Floats) -> Kernel:
    rows, channels = np.indices(matrix.shape).reshape(2, -1)
    return rows, channels, np.zeros_like(rows), matrix.ravel()


def _scale_and_shift(norm: Any) -> tuple[Floats, Floats]:
    """BatchNorm of fixed statistics as ``scale * x + shift``."""
    scale = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
    return scale, _array(norm.bias) - scale * _array(norm.running_mean)


def _array(tensor: Tensor) -> Floats:
    array: Floats = tensor.detach().double().numpy()
    return array
