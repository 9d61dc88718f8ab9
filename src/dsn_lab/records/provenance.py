"""By which code a result was made."""

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dsn_lab.records.identity import FORMAT

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


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(HERE), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
