"""The native kernel's structures and functions, as in its C++ sources."""

import ctypes
from itertools import product
from types import MappingProxyType
from typing import Any

import torch

# Numbers that the kernel works on, by their name in C.
DTYPES = MappingProxyType({torch.float32: "float", torch.float64: "double"})

POINTER, INTEGER, SIZE, REAL = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_double


class Topology(ctypes.Structure):
    """Active weights of one kernel (topology.h)."""

    _fields_ = (
        *((name, POINTER) for name in ("rows", "t_rows", "kernels", "positions", "slots")),
        *((name, INTEGER) for name in ("outputs", "inputs", "taps")),
    )


class Problem(ctypes.Structure):
    """What every pass of one layer is told (layer.h)."""

    _fields_ = (
        ("topology", Topology),
        *((name, INTEGER) for name in ("time", "batch", "padding", "threads")),
    )


class NormProblem(ctypes.Structure):
    """What BatchNorm with ReLU is told (layer.h)."""

    _fields_ = (
        *((name, POINTER) for name in ("weight", "bias", "mean", "variance")),
        ("epsilon", REAL),
        ("count", SIZE),
        *((name, INTEGER) for name in ("rows", "fixed", "threads")),
    )


class LayerShape(ctypes.Structure):
    """A layer of a plan (plan.h)."""

    _fields_ = (
        ("topology", Topology),
        ("taps", POINTER),
        ("channels", INTEGER),
    )


class PlanShape(ctypes.Structure):
    """The sizes of a plan (plan.h)."""

    _fields_ = tuple(
        (name, INTEGER)
        for name in ("channels", "classes", "depth", "taps", "repeated", "time", "batch")
    )


class LayerTensors(ctypes.Structure):
    """Where a layer's parameters and statistics are (plan.h)."""

    _fields_ = (
        *((n, POINTER) for n in ("values", "mix", "weight", "bias", "mean", "variance", "seen")),
        *((name, REAL) for name in ("epsilon", "momentum")),
    )


def declare(library: ctypes.CDLL) -> ctypes.CDLL:
    """Tell ctypes the functions' arguments; those of one layer get names without prefix."""
    pack = (POINTER, SIZE, INTEGER, INTEGER, INTEGER, *[POINTER] * 3)
    whole: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "pack": (ctypes.c_int, pack),
        "plan_new": (POINTER, (POINTER, POINTER)),
        "plan_free": (None, (POINTER,)),
        "plan_layer": (None, (POINTER, INTEGER, POINTER)),
        "plan_forward": (ctypes.c_int, (*[POINTER] * 3, *[INTEGER] * 3, POINTER, POINTER)),
        "plan_backward": (ctypes.c_int, (*[POINTER] * 4, INTEGER, POINTER)),
    }
    rows = (POINTER, SIZE)
    typed: dict[str, tuple[Any, ...]] = {
        **dict.fromkeys(
            ("forward", "input_gradient", "weight_gradient"), (POINTER, POINTER, *rows, *rows)
        ),
        "norm_relu": (POINTER, POINTER, POINTER),
        "norm_relu_gradient": (POINTER, *[POINTER] * 4, *rows),
    }
    functions = {
        **whole,
        **{f"{n}_{t}": (None, typed[n]) for n, t in product(typed, DTYPES.values())},
    }
    for name, (result, arguments) in functions.items():
        function = library[f"dsn_{name}"]
        function.restype, function.argtypes = result, arguments
        setattr(library, name, function)
    return library
