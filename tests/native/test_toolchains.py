"""The kernel under sanitizers and on another processor, with compilers that CI installs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DRIVERS = [Path(__file__).with_name(f"{name}_driver.cpp") for name in ("kernel", "plan")]
SANITIZED = ("-g", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
# The sanitizer does not know OpenMP's barriers.
THREADS = ("-g", "-O1", "-fsanitize=thread", "-DDSN_STD_THREADS", "-pthread")
INSTRUCTIONS = [(), ("-mavx2", "-mfma"), ("-mavx512f", "-mfma")]

pytestmark = pytest.mark.compiler


def tool(name: str) -> str:
    """Path of a tool; without it the test is skipped, but in CI it fails."""
    path = shutil.which(name)
    if path is None and os.environ.get("CI") != "true":
        pytest.skip(f"needs {name}")
    assert path is not None, f"CI has to install {name}"
    return path


def run(*command: str | Path, **environment: str) -> None:
    output(*command, **environment)


def output(*command: str | Path, **environment: str) -> str:
    """Run what must succeed; returns what it says."""
    done = subprocess.run(
        [str(part) for part in command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def supported(instructions: str) -> bool:
    """Whether this CPU runs what ``-m<instructions>`` compiles to."""
    info = Path("/proc/cpuinfo")
    return info.exists() and instructions in info.read_text().split()


def built(folder: Path, driver: Path, *flags: str, compiler: str = "g++") -> Path:
    """A driver compiled, without a warning."""
    program = folder / "driver"
    strict = ("-std=gnu++17", "-Wall", "-Wextra", "-Werror")
    run(tool(compiler), *strict, *flags, driver, "-o", program)
    return program


@pytest.mark.parametrize("flags", INSTRUCTIONS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_memory_and_arithmetic_are_clean(
    tmp_path: Path, driver: Path, flags: tuple[str, ...]
) -> None:
    if flags and not supported(flags[0].removeprefix("-m")):
        pytest.skip(f"this CPU has no {flags[0]}")
    run(built(tmp_path, driver, *SANITIZED, *flags))


@pytest.mark.parametrize("driver", DRIVERS)
def test_threads_do_not_race(tmp_path: Path, driver: Path) -> None:
    run(built(tmp_path, driver, *THREADS), "threads")


@pytest.mark.parametrize("driver", DRIVERS)
def test_agrees_on_arm(tmp_path: Path, driver: Path) -> None:
    emulator = tool("qemu-aarch64")
    run(emulator, built(tmp_path, driver, "-O2", "-static", compiler="aarch64-linux-gnu-g++"))
