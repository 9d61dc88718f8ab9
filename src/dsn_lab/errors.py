"""The one exception for a user's mistake, and two that tell a sweep what to do with a cell."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError


class UserError(Exception):
    """What the user gave cannot be used; the message is one line and says what to do.

    The command line prints it without a traceback and exits with status 2.
    """


class PostponedError(UserError):
    """The cell cannot run now, for no fault of its own: a sweep comes back to it."""


class DiedError(Exception):
    """The cell's process ended without a word: a sweep tries again, a few times."""


def described(error: ValidationError, prefix: str = "") -> str:
    """Say in one line which values are wrong and what they must be."""
    return "; ".join(
        f"{prefix}{'.'.join(map(str, wrong['loc']))}={wrong['input']}: "
        + wrong["msg"]
        .replace("Input should be", "must be")
        .replace("Extra inputs are not permitted", "there is no such setting")
        for wrong in error.errors()
    )


@contextmanager
def refusing() -> Iterator[None]:
    """Let a command end with one line and status 2 on a user's mistake, 130 on Ctrl-C."""
    try:
        yield
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing is left to be written to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        sys.exit(2)
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
