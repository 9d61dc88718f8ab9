"""Kernels that a wheel brings ready built, so that no compiler is needed."""

import ctypes
import platform
from pathlib import Path

from dsn_lab.kernels.sources import PLAIN, builds, ready_name

FOLDER = Path(__file__).with_name("ready")


def find(instructions: str) -> Path | None:
    """The build for an instruction set of this processor, if the wheel has one.

    A checkout has none, and of a wheel whose sources somebody has changed none counts.
    """
    if not FOLDER.is_dir():
        return None
    machine = platform.machine()
    name = instructions if instructions in builds(machine) else PLAIN
    path = FOLDER / ready_name(machine, name)
    return path if path.is_file() else None


def open_library(path: Path, runtime: Path | None) -> ctypes.CDLL:
    """Load a build; it finds OpenMP's functions in the runtime that torch has loaded.

    Raises:
        OSError: it cannot be loaded here, as without that runtime or with an old C library.
    """
    if runtime is not None:
        ctypes.CDLL(str(runtime), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(path))
