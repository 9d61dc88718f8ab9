"""A generated C file compiled and called, where there is a compiler: to check and to measure it."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_lab.errors import UserError
from dsn_lab.export.c.text import Source

STRICT = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-O3")
COMPILERS = ("cc", "gcc", "clang")


def compiler() -> str | None:
    """The C compiler of this machine: ``$CC``, else the first that is here.

    Raises:
        UserError: ``$CC`` is none.
    """
    if wanted := os.environ.get("CC"):
        if found := shutil.which(wanted):
            return found
        raise UserError(f"CC={wanted}: there is no such compiler; correct or unset it")
    return next(filter(None, map(shutil.which, COMPILERS)), None)


class Compiled:
    """A generated file, loaded into this process."""

    def __init__(self, library: Path, prefix: str, classes: int) -> None:
        self._library = ctypes.CDLL(str(library))
        self._logits = self._library[f"{prefix}_logits"]
        self._logits.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        self._classes = classes

    def logits(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits ``(n, n_classes)`` of raw series ``(n, channel, time)``."""
        x = np.ascontiguousarray(x, dtype=np.float32)
        out = np.empty((len(x), self._classes), dtype=np.float32)
        for series, row in zip(x, out, strict=True):
            if self._logits(series.ctypes.data, row.ctypes.data) < 0:
                raise ValueError("a value is not finite")
        return out

    def close(self) -> None:
        """Unload it, so that its file can go."""
        import _ctypes

        _ctypes.dlclose(self._library._handle)


@contextmanager
def compiled(
    source: Source, prefix: str, classes: int, command: str, *flags: str
) -> Iterator[Compiled]:
    """Compile a source, without a warning, into a temporary folder.

    Raises:
        UserError: the compiler fails.
    """
    with tempfile.TemporaryDirectory() as name:
        code, library = Path(name, f"{prefix}.c"), Path(name, "model.so")
        code.write_text(source.code)
        code.with_suffix(".h").write_text(source.header)
        call: list[Any] = [command, *STRICT, *flags, "-fPIC", "-shared", code, "-o", library, "-lm"]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"{command} cannot compile the C file: {_first_error(done.stderr)}")
        loaded = Compiled(library, prefix, classes)
        try:
            yield loaded
        finally:
            loaded.close()


def _first_error(said: str) -> str:
    lines = said.strip().splitlines() or ["it says nothing"]
    return next((line for line in lines if "error" in line), lines[0])
