"""What pyproject.toml cannot say: a wheel carries the kernels ready built.

Where there is no compiler it carries none, and they are compiled at their first use instead.
``DSN_LAB_MACHINE=aarch64 CXX=aarch64-linux-gnu-g++ pip wheel .`` builds for another processor.
"""

import os
import platform
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
KERNELS = runpy.run_path(str(HERE / "src/dsn_lab/kernels/sources.py"))
MACHINE = os.environ.get("DSN_LAB_MACHINE") or platform.machine()
COMPILER = shutil.which(os.environ.get("CXX") or "g++") or shutil.which("c++")
# Without -fopenmp: its functions stay open, because torch's own runtime has them.
LINK = ("-shared", "-s", "-static-libstdc++", "-static-libgcc")


class WithKernels(build_py):
    """Builds them beside the modules, but not for an editable installation."""

    def run(self) -> None:
        """Copy the modules, then compile."""
        super().run()
        if self.editable_mode:
            return
        if COMPILER is None or sys.platform != "linux":
            print("warning: no C++ compiler, so the wheel has no ready kernels", file=sys.stderr)
            return
        folder = Path(self.build_lib) / "dsn_lab" / "kernels" / "ready"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, flags in KERNELS["builds"](MACHINE).items():
            library = folder / KERNELS["ready_name"](MACHINE, name)
            source = KERNELS["SOURCES"] / "library.cpp"
            chosen = (*KERNELS["FLAGS"], *flags, "-fopenmp")
            made = library.with_suffix(".o")
            subprocess.run([COMPILER, *chosen, "-c", source, "-o", made], check=True)
            subprocess.run([COMPILER, made, *LINK, "-o", library], check=True)
            made.unlink()


class ForOneProcessor(bdist_wheel):
    """A wheel with kernels is for one processor, and for every Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """Say which."""
        ready = Path(self.bdist_dir) / "dsn_lab" / "kernels" / "ready"
        python, abi, system = super().get_tag()
        return (python, abi, f"linux_{MACHINE}") if ready.is_dir() else (python, abi, system)


COMMANDS: dict[str, Any] = {"build_py": WithKernels, "bdist_wheel": ForOneProcessor}
setup(cmdclass=COMMANDS)
