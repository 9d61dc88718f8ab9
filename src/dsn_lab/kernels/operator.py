"""The native sparse convolution as an operator of torch, for graphs that torch makes of a network.

``torch.compile``, ``torch.export`` and AOTInductor see ``dsn_lab::sparse_conv1d`` where eager code
calls the kernel itself. A saved graph needs ``dsn_lab.kernels`` imported where it is loaded.
"""

# Not of collections.abc, which torch's schemas did not know at first.
from typing import Any, Sequence  # noqa: UP035

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from dsn_lab.kernels.build import available
from dsn_lab.kernels.conv1d import conv1d
from dsn_lab.kernels.interface import DTYPES
from dsn_lab.kernels.packed import PackedTopology, fits
from dsn_lab.kernels.passes import Padding, forward, gradient_frame, input_frame
from dsn_lab.kernels.passes import input_gradient as of_input
from dsn_lab.kernels.passes import weight_gradient as of_weights

# Of each topology that a graph holds, its packed form.
_packed: Any = WeakTensorKeyDictionary()


def _topology(positions: Tensor, shape: Sequence[int]) -> Any:
    outputs, inputs, taps = shape
    packed = _packed.setdefault(positions, PackedTopology())
    return packed.of(positions, (outputs, inputs, taps))


@torch.library.custom_op("dsn_lab::sparse_conv1d", mutates_args=(), device_types="cpu")
def sparse_conv1d(
    x: Tensor, values: Tensor, positions: Tensor, shape: Sequence[int], padding: str
) -> Tensor:
    """Convolve ``(batch, inputs, time)`` to ``(batch, outputs, time)``.

    Args:
        x: float32 or float64 on the CPU.
        values: of the active weights, ``(active,)``.
        positions: where they are in the flat kernel, int32, ``(active,)``.
        shape: of the kernel: outputs, inputs, taps.
        padding: ``zeros`` or ``replicate``, see :func:`dsn_lab.kernels.forward`.
    """
    kind: Padding = "replicate" if padding == "replicate" else "zeros"
    with torch.no_grad():
        rows = conv1d(x.permute(1, 2, 0), values, _topology(positions, shape), kind)
    return rows.permute(2, 0, 1).contiguous()


@torch.library.custom_op("dsn_lab::sparse_conv1d_input", mutates_args=(), device_types="cpu")
def input_gradient(
    grad: Tensor, values: Tensor, positions: Tensor, shape: Sequence[int], padding: str
) -> Tensor:
    """Gradient ``(batch, inputs, time)`` of the input, from the output's."""
    kind: Padding = "replicate" if padding == "replicate" else "zeros"
    packed = _topology(positions, shape)
    frame = gradient_frame(packed, grad.shape[2], grad.shape[0], kind, grad.dtype)
    frame.copy_(grad.permute(1, 2, 0))
    return of_input(frame, values, packed, kind).permute(2, 0, 1).contiguous()


@torch.library.custom_op("dsn_lab::sparse_conv1d_values", mutates_args=(), device_types="cpu")
def weight_gradient(
    grad: Tensor, x: Tensor, positions: Tensor, shape: Sequence[int], padding: str
) -> Tensor:
    """Gradient ``(active,)`` of the values, from the output's."""
    kind: Padding = "replicate" if padding == "replicate" else "zeros"
    packed, (batch, _, time) = _topology(positions, shape), x.shape
    frame = input_frame(packed, time, batch, kind, x.dtype)
    frame.copy_(x.permute(1, 2, 0))
    # Only the pass forward knows how to fill the padding that this one reads.
    forward(frame, x.new_zeros(packed.active), packed, kind)
    return of_weights(frame, grad.permute(1, 2, 0).contiguous(), packed, kind)


@sparse_conv1d.register_fake
def _(x: Tensor, values: Tensor, positions: Tensor, shape: Sequence[int], padding: str) -> Tensor:
    return x.new_empty(x.shape[0], shape[0], x.shape[2])


@input_gradient.register_fake
def _(
    grad: Tensor, values: Tensor, positions: Tensor, shape: Sequence[int], padding: str
) -> Tensor:
    return grad.new_empty(grad.shape[0], shape[1], grad.shape[2])


@weight_gradient.register_fake
def _(grad: Tensor, x: Tensor, positions: Tensor, shape: Sequence[int], padding: str) -> Tensor:
    return grad.new_empty(positions.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, values, positions, ctx.shape, ctx.padding = inputs
    ctx.save_for_backward(x, values, positions)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, values, positions = ctx.saved_tensors
    needs_x, needs_values, *_ = ctx.needs_input_grad
    how = positions, ctx.shape, ctx.padding
    dx = input_gradient(grad, values, *how) if needs_x else None
    dvalues = weight_gradient(grad, x, *how) if needs_values else None
    return dx, dvalues, None, None, None


sparse_conv1d.register_autograd(_backward, setup_context=_keep)


def suits(x: Tensor, shape: tuple[int, int, int]) -> bool:
    """Whether a graph that is being made of a network may hold the operator for ``x``."""
    return (
        torch.compiler.is_compiling()
        and x.device.type == "cpu"
        and x.dtype in DTYPES
        and x.dim() == 3
        and fits(shape)
        and not torch.is_autocast_enabled("cpu")
        and available()
    )
