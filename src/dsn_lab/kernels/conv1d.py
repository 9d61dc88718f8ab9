"""The differentiable sparse convolution, with what comes before and after it in a network."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dsn_lab.kernels.interface import DTYPES
from dsn_lab.kernels.norm_relu import Normalisation, norm_relu, norm_relu_gradient
from dsn_lab.kernels.packed import Packed, fits
from dsn_lab.kernels.passes import (
    Padding,
    check_sizes,
    forward,
    gradient_frame,
    input_frame,
    input_gradient,
    weight_gradient,
)


def _frame(x: Tensor, mix: Tensor | None, packed: Packed, padding: Padding) -> Tensor:
    """The input's frame: the channels mixed into it, or a copy of them."""
    frame = input_frame(packed, x.shape[1], x.shape[2], padding, x.dtype)
    if mix is None:
        return frame.copy_(x)
    torch.mm(mix, x.reshape(len(x), -1), out=frame.flatten(1))
    return frame


class _Conv1d(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        mix: Tensor | None,
        values: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        packed: Packed,
        padding: Padding,
        norm: Normalisation | None,
    ) -> Tensor:
        frame = _frame(x, mix, packed, padding)
        y = z = forward(frame, values, packed, padding)
        statistics: tuple[Tensor, ...] = ()
        if norm is not None:
            norm_relu(y, norm, out=(z := torch.empty_like(y)))
            statistics = (y, norm.weight, norm.bias, norm.mean, norm.variance)
            ctx.norm = norm.epsilon, norm.fixed
        ctx.save_for_backward(None if mix is None else x, mix, values, frame, *statistics)
        ctx.packed, ctx.padding = packed, padding
        ctx.batch_first = x.permute(2, 0, 1).is_contiguous()
        return z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, mix, values, frame, *statistics = ctx.saved_tensors
        needs_x, needs_mix, needs_values, *_ = ctx.needs_input_grad
        packed, padding = ctx.packed, ctx.padding
        dx = dmix = dvalues = dweight = dbias = None
        framed = gradient_frame(packed, grad.shape[1], grad.shape[2], padding, grad.dtype)
        if statistics:
            y, *parts = statistics
            norm = Normalisation(*parts, *ctx.norm)
            dweight, dbias = norm_relu_gradient(y, grad, norm, out=framed)
        else:
            framed.copy_(grad)
        if needs_values:
            dvalues = weight_gradient(frame, framed, packed, padding)
        if needs_x or needs_mix:
            dx = input_gradient(framed, values, packed, padding)
        if mix is not None and dx is not None:
            mixed = dx.flatten(1)
            dmix = mixed @ x.reshape(len(x), -1).t() if needs_mix else None
            dx = (mix.t() @ mixed).view(x.shape) if needs_x else None
        if ctx.batch_first and dx is not None:
            # In the layout of x, on which what came before it works fastest.
            dx = dx.permute(2, 0, 1).contiguous().permute(1, 2, 0)
        return dx, dmix, dvalues, dweight, dbias, None, None, None


def supports(x: Tensor, shape: tuple[int, int, int]) -> bool:
    """Whether :func:`conv1d` can do for ``x``, three axes in any order, what torch's would.

    Not in half precision, also by autocast; nor for ``torch.compile``, export and tracing, which
    would not see what it does: the former two take the operator.
    """
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and x.device.type == "cpu"
        and x.dtype in DTYPES
        and x.dim() == 3
        and x.numel() > 0
        and fits(shape)
        and not torch.is_autocast_enabled("cpu")
    )


def conv1d(
    x: Tensor,
    values: Tensor,
    packed: Packed,
    padding: Padding,
    mix: Tensor | None = None,
    norm: Normalisation | None = None,
) -> Tensor:
    """Differentiable convolution of ``x`` (inputs, time, batch) to (outputs, time, batch).

    Nothing is copied between the steps: each writes where the next one reads.

    Args:
        x: of any strides.
        values: (active,), in the order of the packed positions.
        packed: the topology.
        padding: as for :func:`forward`.
        mix: a 1x1 convolution before, (inputs, channels of ``x``).
        norm: BatchNorm and ReLU after.

    Raises:
        ValueError: a shape, type or layout does not fit.
    """
    inputs = packed.shape[1]
    if mix is None:
        check_sizes("x", x, inputs, x)
    elif mix.shape != (inputs, len(x)):
        raise ValueError(f"mix: must be ({inputs}, {len(x)}), not {tuple(mix.shape)}")
    if torch.is_grad_enabled():
        weight, bias = (None, None) if norm is None else (norm.weight, norm.bias)
        y: Tensor = _Conv1d.apply(x, mix, values, weight, bias, packed, padding, norm)  # type: ignore[no-untyped-call]
        return y
    y = forward(_frame(x, mix, packed, padding), values, packed, padding)
    if norm is not None:
        norm_relu(y, norm, out=y)
    return y
