"""BatchNorm and ReLU of rows in one go, native: little else would move so much memory."""

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from dsn_lab.kernels.build import load
from dsn_lab.kernels.interface import DTYPES, NormProblem

# A team of threads costs more than fewer numbers than these.
NUMBERS_FOR_THREADS = 2**16


@dataclass(frozen=True, slots=True)
class Normalisation:
    """BatchNorm's parts, each ``(channel,)``; ``mean`` and ``variance`` are read if ``fixed``.

    Otherwise they are written: the (biased) statistics of the rows.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    variance: Tensor
    epsilon: float
    fixed: bool

    def problem(self, rows: Tensor) -> NormProblem:
        """These parts and the sizes of a call, for the C functions."""
        parts = (self.weight, self.bias, self.mean, self.variance)
        for part in parts:
            if part.shape != rows.shape[:1] or part.dtype != rows.dtype:
                raise ValueError(f"norm: must be ({len(rows)},) of the input's type")
        if not (rows.is_contiguous() and all(part.is_contiguous() for part in parts)):
            raise ValueError("norm and its rows: must be contiguous")
        threads = 1 if rows.numel() < NUMBERS_FOR_THREADS else torch.get_num_threads()
        pointers = (part.data_ptr() for part in parts)
        count = rows.numel() // len(rows)
        return NormProblem(*pointers, self.epsilon, count, len(rows), self.fixed, threads)


def norm_relu(rows: Tensor, norm: Normalisation, out: Tensor) -> None:
    """ReLU of the normalised ``rows`` (channel, time, batch), to ``out``, which may be ``rows``."""
    function = getattr(load(), f"norm_relu_{DTYPES[rows.dtype]}")
    function(ctypes.byref(norm.problem(rows)), rows.data_ptr(), out.data_ptr())


def norm_relu_gradient(
    rows: Tensor, grad: Tensor, norm: Normalisation, out: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of weight and bias; that of the rows goes to ``out``, whose rows may lie apart.

    ``grad`` is that of the output, in ``norm`` are the statistics which that came from.
    """
    problem, grad = norm.problem(rows), grad.contiguous()
    dweight, dbias = torch.empty_like(norm.weight), torch.empty_like(norm.bias)
    pointers = (part.data_ptr() for part in (rows, grad, dweight, dbias, out))
    function = getattr(load(), f"norm_relu_gradient_{DTYPES[rows.dtype]}")
    function(ctypes.byref(problem), *pointers, out.stride(0))
    return dweight, dbias
