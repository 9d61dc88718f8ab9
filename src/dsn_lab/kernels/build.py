"""Load the native kernel: a wheel's, or one that is compiled at its first use, once per machine."""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

import torch

from dsn_lab.kernels import prebuilt
from dsn_lab.kernels.cache import kept
from dsn_lab.kernels.interface import declare
from dsn_lab.kernels.sources import FLAGS, INSTRUCTIONS, SOURCES

log = logging.getLogger(__name__)


class KernelUnavailableError(RuntimeError):
    """The native kernel cannot be built or loaded here; the message says why."""


def instruction_set() -> str:
    """The widest instruction set of this CPU that has a build of its own, or ``plain``."""
    name: str = torch.backends.cpu.get_cpu_capability()
    return name if name in INSTRUCTIONS and platform.machine() in ("x86_64", "AMD64") else "plain"


def openmp_runtime() -> Path | None:
    """The OpenMP library that torch has loaded into this process, if it can be found.

    Other packages bring their own; torch's lies in its folder, or is the system's.
    """
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return None
    paths = {Path(line.split(maxsplit=5)[-1]) for line in maps.read_text().splitlines()}
    loaded = sorted(
        path
        for path in paths
        if path.name.startswith(("libgomp", "libiomp5", "libomp")) and ".so" in path.name
    )
    own = [path for path in loaded if Path(torch.__file__).parent in path.parents]
    return next(iter(own or loaded), None)


def _run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise KernelUnavailableError(f"{command[0]} failed: {done.stderr.strip()[:2000]}")
    return done.stdout


def compile_library(instructions: str) -> Path:
    """Compile the kernel for an instruction set, or find what an earlier process compiled.

    The file's name is a hash of source, compiler, flags and OpenMP runtime; where it is kept,
    :mod:`dsn_lab.kernels.cache` says. The OpenMP runtime is torch's own; where none is found, one
    thread.

    Raises:
        KernelUnavailableError: there is no compiler, or it fails.
        OSError: neither the cache nor the temporary folder can be written.
    """
    wanted = os.environ.get("CXX") or "g++"
    compiler = shutil.which(wanted) or shutil.which("c++")
    if compiler is None:
        raise KernelUnavailableError("no C++ compiler found (install g++ or set CXX)")
    runtime = openmp_runtime()
    flags = [*FLAGS, *INSTRUCTIONS.get(instructions, ()), *(["-fopenmp"] if runtime else [])]
    sources = [path.read_text() for path in sorted(SOURCES.iterdir())]
    parts = [*sources, compiler, _run(compiler, "--version"), *flags, str(runtime)]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]

    def build(linked: Path) -> None:
        made = linked.with_name("kernel.o")
        _run(compiler, *flags, "-c", SOURCES / "library.cpp", "-o", made)
        # Without -fopenmp, which would link the compiler's own runtime.
        _run(compiler, "-shared", made, *([runtime] if runtime else []), "-o", linked)

    return kept(f"kernel-{key}", build)


def _open(instructions: str) -> ctypes.CDLL:
    if (ready := prebuilt.find(instructions)) is not None:
        try:
            return prebuilt.open_library(ready, openmp_runtime())
        except OSError as error:
            log.warning("the wheel's kernel does not run here (%s): one is compiled", error)
    return ctypes.CDLL(str(compile_library(instructions)))


@cache
def _attempt(instructions: str) -> ctypes.CDLL | str:
    try:
        library = declare(_open(instructions))
    except (KernelUnavailableError, OSError, RuntimeError) as error:
        log.warning("sparse convolutions run as dense ones, without the native kernel: %s", error)
        return str(error)
    log.info("sparse convolutions run on the native kernel (%s)", instructions)
    return library


def load(instructions: str | None = None) -> ctypes.CDLL:
    """The kernel for an instruction set (this CPU's best by default), compiled if need be.

    Raises:
        KernelUnavailableError: it cannot be built or loaded here. Asking again does not try again.
    """
    library = _attempt(instructions or instruction_set())
    if isinstance(library, str):
        raise KernelUnavailableError(library)
    return library


def why_unavailable() -> str | None:
    """Why the native kernel cannot be used here, or None if it can."""
    library = _attempt(instruction_set())
    return library if isinstance(library, str) else None


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def available() -> bool:
    """Whether the native kernel can be used here; the first call may compile, for seconds."""
    return why_unavailable() is None
