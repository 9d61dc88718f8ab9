"""The native sparse convolution for CPUs: built at first use, absent without a C++ compiler."""

from dsn_lab.kernels.build import KernelUnavailableError, available, why_unavailable
from dsn_lab.kernels.conv1d import conv1d, supports
from dsn_lab.kernels.norm_relu import Normalisation
from dsn_lab.kernels.operator import sparse_conv1d, suits
from dsn_lab.kernels.packed import Packed, PackedTopology, fits, pack
from dsn_lab.kernels.passes import (
    forward,
    gradient_frame,
    input_frame,
    input_gradient,
    weight_gradient,
)

__all__ = [
    "KernelUnavailableError",
    "Normalisation",
    "Packed",
    "PackedTopology",
    "available",
    "conv1d",
    "fits",
    "forward",
    "gradient_frame",
    "input_frame",
    "input_gradient",
    "pack",
    "sparse_conv1d",
    "suits",
    "supports",
    "weight_gradient",
    "why_unavailable",
]
