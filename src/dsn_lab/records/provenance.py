"""By which code a result was made, and where and when."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dsn_lab.records.identity import FORMAT

# Packages that a result's numbers come from, besides torch and lightning, which a run names.
PACKAGES = ("numpy", "scipy", "aeon", "torchmetrics", "hydra-core")
HERE = Path(__file__).parent


@cache
def provenance() -> dict[str, str | int]:
    """The record's ``format``, the package's ``version`` and, in a checkout, its ``commit``.

    A commit whose code was changed since ends in ``-dirty``.
    """
    try:
        known = version("dsn-lab")
    except PackageNotFoundError:
        known = "unknown"
    result: dict[str, str | int] = {"format": FORMAT, "version": known}
    # An installed package may lie in somebody else's checkout, which then does not track it.
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is not None:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", str(HERE.parent))
        if commit:
            result["commit"] = commit + ("-dirty" if changed else "")
    return result


def circumstances() -> dict[str, str | int | None]:
    """When a run was finished (UTC), on what processor, and with which versions of what."""
    return {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{f"version_{name}": _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _cpu() -> str:
    """The processor as the system calls it; nothing that names the machine or its user."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(HERE), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
