"""The kernel under sanitizers and on another processor, with compilers that CI installs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("kernel_driver.cpp")
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

pytestmark = pytest.mark.compiler


def tool(name: str) -> str:
    """Path of a tool; without it the test is skipped, but in CI it fails."""
    path = shutil.which(name)
    if path is None and os.environ.get("CI") != "true":
        pytest.skip(f"needs {name}")
    assert path is not None, f"CI has to install {name}"
    return path


def run(*command: str | Path, **environment: str) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def supported(instructions: str) -> bool:
    """Whether this CPU runs what ``-m<instructions>`` compiles to."""
    info = Path("/proc/cpuinfo")
    return info.exists() and instructions in info.read_text().split()


@pytest.mark.parametrize("flags", [(), ("-mavx2", "-mfma"), ("-mavx512f", "-mfma")])
def test_memory_and_arithmetic_are_clean(tmp_path: Path, flags: tuple[str, ...]) -> None:
    if flags and not supported(flags[0].removeprefix("-m")):
        pytest.skip(f"this CPU has no {flags[0]}")
    driver = tmp_path / "driver"
    run(tool("g++"), "-std=gnu++17", *SANITIZED, *flags, DRIVER, "-o", driver)
    run(driver)


def test_agrees_on_arm(tmp_path: Path) -> None:
    compiler, emulator = tool("aarch64-linux-gnu-g++"), tool("qemu-aarch64")
    driver = tmp_path / "driver"
    run(compiler, "-std=gnu++17", "-O2", "-static", DRIVER, "-o", driver)
    run(emulator, driver)
