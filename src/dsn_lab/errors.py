"""The one exception for a user's mistake, and two that tell a sweep what to do with a cell."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError
from pydantic_core import ErrorDetails

WORDS = {
    "Input should be": "must be",
    "Extra inputs are not permitted": "there is no such setting",
    "Field required": "is missing",
}
# Of the alternatives of a union, what pydantic calls them.
TYPES = {"int", "float", "str", "bool", "none"}
SHOWN = 60  # characters of a value


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
    said = (f"{prefix}{_said(wrong)}" for wrong in error.errors())
    return " ".join("; ".join(dict.fromkeys(said)).split())


def _said(wrong: ErrorDetails) -> str:
    message = wrong["msg"]
    for pydantic, ours in WORDS.items():
        message = message.replace(pydantic, ours)
    path = ".".join(str(part) for part in wrong["loc"] if _is_key(part))
    if "key" in wrong.get("ctx", {}):  # found within, and named in the message
        return f"{path}.{message}"
    value = str(wrong["input"])
    return f"{path}={value if len(value) <= SHOWN else value[:SHOWN] + '...'}: {message}"


def _is_key(part: int | str) -> bool:
    """Whether a part of a place is a setting, and not which of several types was tried."""
    return isinstance(part, int) or (re.fullmatch(r"\w+", part) is not None and part not in TYPES)


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
