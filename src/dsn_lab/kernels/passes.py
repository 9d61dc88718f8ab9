"""The native sparse 1-D convolution on activations ``(channel, time, batch)``, on a CPU.

``pack`` a topology once per change. ``forward``, ``input_gradient`` and ``weight_gradient`` then
read their input from a *frame*: a tensor ``(channel, time, batch)`` with room for the padding
around each row, which the kernel fills, so that no operation copies its input.
"""

import ctypes
from typing import Any, Literal

import torch
from torch import Tensor

from dsn_lab.kernels.build import load
from dsn_lab.kernels.interface import DTYPES, Problem
from dsn_lab.kernels.packed import Packed

Padding = Literal["replicate", "zeros"]
VECTOR = 16  # numbers that the kernel may read beyond the end of the last row


def threads_for(products: int) -> int:
    """How many threads share so many products: a team costs more than little work."""
    return 1 if products < 2**18 else torch.get_num_threads()


def _frame(channels: int, time: int, batch: int, room: tuple[int, int], dtype: Any) -> Tensor:
    before, after = room
    # An odd number of cache lines: rows a power of two apart would share a few lines of the cache.
    stride = (-(-(before + time + after) * batch // VECTOR) | 1) * VECTOR
    if channels * stride >= 2**31:  # offsets have 32 bits
        raise ValueError("the input is too large for the native kernel: use smaller batches")
    buffer = torch.empty(channels * stride + VECTOR, dtype=dtype)
    return buffer.as_strided((channels, time, batch), (stride, batch, 1), before * batch)


def _room(taps: int, padding: Padding, *, gradient: bool) -> tuple[int, int]:
    """Steps of room that a frame has before and after each row."""
    left = (taps - 1) // 2 if padding == "zeros" else 0
    right = taps - 1 - left
    if not gradient:
        return left, right
    return (right, left) if padding == "zeros" else (right, taps)


def input_frame(
    packed: Packed, time: int, batch: int, padding: Padding, dtype: torch.dtype = torch.float32
) -> Tensor:
    """A new frame (inputs, time, batch) for :func:`forward`, its values not yet set."""
    room = _room(packed.shape[2], padding, gradient=False)
    return _frame(packed.shape[1], time, batch, room, dtype)


def gradient_frame(
    packed: Packed, time: int, batch: int, padding: Padding, dtype: torch.dtype = torch.float32
) -> Tensor:
    """A new frame (outputs, time, batch) for :func:`input_gradient`, its values not yet set."""
    room = _room(packed.shape[2], padding, gradient=True)
    return _frame(packed.shape[0], time, batch, room, dtype)


def _check_frame(frame: Tensor, room: tuple[int, int]) -> None:
    channels, time, batch = frame.shape
    before, after = room
    first, stride = frame.storage_offset(), frame.stride(0)
    end = first + (channels - 1) * stride + (time + after) * batch + VECTOR
    if (
        first < before * batch
        or stride < (before + time + after) * batch
        or end > frame.untyped_storage().nbytes() // frame.element_size()
    ):
        raise ValueError("the input must be a frame, from input_frame or gradient_frame")


def check_sizes(name: str, rows: Tensor, channels: int, like: Tensor) -> None:
    """Raise ValueError unless ``rows`` has a shape and a type that suit the kernel."""
    if rows.dim() != 3 or rows.shape != (channels, *like.shape[1:]) or rows.numel() == 0:
        raise ValueError(
            f"{name}: must be ({channels}, time, batch), none of them 0, not {tuple(rows.shape)}"
        )
    if rows.device.type != "cpu" or rows.dtype != like.dtype or rows.dtype not in DTYPES:
        raise ValueError(f"{name}: must be on the CPU, float32 or float64 like the others")


def _check_rows(name: str, rows: Tensor, channels: int, like: Tensor) -> None:
    check_sizes(name, rows, channels, like)
    if not rows[0].is_contiguous():
        raise ValueError(f"{name}: each channel must be contiguous")


def _run(name: str, packed: Packed, values: Tensor, *rows: Tensor, pad: str) -> None:
    if values.shape != (packed.active,) or values.dtype != rows[0].dtype:
        raise ValueError(f"values: must be ({packed.active},) of the input's type")
    if not values.is_contiguous() or values.device.type != "cpu":
        raise ValueError("values: must be contiguous and on the CPU")
    _, time, batch = rows[0].shape
    threads = threads_for(packed.active * time * batch)
    problem = Problem(packed.topology(), time, batch, int(pad == "replicate"), threads)
    getattr(load(), f"{name}_{DTYPES[values.dtype]}")(
        ctypes.byref(problem),
        values.data_ptr(),
        *(part for row in rows for part in (row.data_ptr(), row.stride(0))),
    )


def forward(
    frame: Tensor, values: Tensor, packed: Packed, padding: Padding, out: Tensor | None = None
) -> Tensor:
    """Convolve: ``y[o, s, b]`` is the sum of ``values[a] * x[i, s + t - left, b]``.

    Args:
        frame: (inputs, time, batch) from :func:`input_frame`; its room is overwritten.
        values: (active,), in the order of the packed positions.
        packed: the topology.
        padding: ``zeros``, (taps - 1) // 2 of them on the left and the others on the right, or
            ``replicate``, the last step on the right.
        out: where to write, (outputs, time, batch) with contiguous channels; new by default.

    Raises:
        ValueError: a shape, type or layout does not fit.
    """
    _check_rows("frame", frame, packed.shape[1], frame)
    _check_frame(frame, _room(packed.shape[2], padding, gradient=False))
    y = frame.new_empty(packed.shape[0], *frame.shape[1:]) if out is None else out
    _check_rows("out", y, packed.shape[0], frame)
    _run("forward", packed, values, frame, y, pad=padding)
    return y


def input_gradient(
    frame: Tensor, values: Tensor, packed: Packed, padding: Padding, out: Tensor | None = None
) -> Tensor:
    """Gradient (inputs, time, batch) of the input, from that of the output.

    ``frame`` is the output's gradient (outputs, time, batch), from :func:`gradient_frame`; its
    room is overwritten. Other arguments and errors as for :func:`forward`.
    """
    _check_rows("frame", frame, packed.shape[0], frame)
    _check_frame(frame, _room(packed.shape[2], padding, gradient=True))
    dx = frame.new_empty(packed.shape[1], *frame.shape[1:]) if out is None else out
    _check_rows("out", dx, packed.shape[1], frame)
    _run("input_gradient", packed, values, frame, dx, pad=padding)
    return dx


def weight_gradient(frame: Tensor, grad: Tensor, packed: Packed, padding: Padding) -> Tensor:
    """Gradient (active,) of the values.

    ``frame`` is the one that :func:`forward` has read, whose room it has filled; ``grad`` is the
    output's gradient (outputs, time, batch) with contiguous channels. Errors as there.
    """
    _check_rows("frame", frame, packed.shape[1], frame)
    _check_frame(frame, _room(packed.shape[2], padding, gradient=False))
    _check_rows("grad", grad, packed.shape[0], frame)
    gradient = frame.new_empty(packed.active)
    _run("weight_gradient", packed, gradient, frame, grad, pad=padding)
    return gradient
