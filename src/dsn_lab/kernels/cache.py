"""Where compiled kernels are kept, and when one that is kept may be loaded.

A library runs with all that its user may do, so it is loaded only if it lies in a folder that is
the user's own, and to which nobody else may write; and only if it is what was built, byte by byte:
a damaged one ends in a signal, or in other numbers.
"""

import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

log = logging.getLogger(__name__)

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def folder() -> Path:
    """``dsn_lab`` in the user's cache folder.

    Raises:
        OSError: the user has no home.
    """
    home = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(home or Path.home() / ".cache") / "dsn_lab"
    except RuntimeError as error:
        raise OSError("there is no home folder") from error


def kept(name: str, build: Callable[[Path], None]) -> Path:
    """The library of this name, undamaged and the user's own; built if there is none.

    Its file appears whole, and is called by the digest of its content, too, so processes may race.
    Where the cache cannot be used, it is built into a folder that lasts as long as this process.

    Args:
        name: begins the library's file name.
        build: writes it to a path; may use the folder of that for more.

    Raises:
        OSError: the temporary folder cannot be used, either.
    """
    try:
        return _kept(_own(folder()), name, build)
    except OSError as error:
        log.warning("the native kernel is compiled for this process only: %s", error)
        return _kept(Path(_temporary().name), name, build)


@cache
def _temporary() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix=f"dsn_lab-{os.getpid()}-")


def _kept(place: Path, name: str, build: Callable[[Path], None]) -> Path:
    for library in sorted(place.glob(f"{name}-*.so")):
        if _is_sound(library):
            return library
    with tempfile.TemporaryDirectory(dir=place) as inner:
        linked = Path(inner, "kernel.so")
        build(linked)
        linked.chmod(stat.S_IRWXU)
        return linked.replace(place / f"{name}-{_digest(linked)}.so")


def _is_sound(library: Path) -> bool:
    """Whether a library is the user's own, and what was built; if not, it is removed."""
    state = library.lstat()
    own = state.st_uid == os.getuid() and not state.st_mode & OTHERS_WRITE
    if stat.S_ISREG(state.st_mode) and own and library.stem.endswith(_digest(library)):
        return True
    log.warning("%s is damaged, or not only yours: it is compiled anew", library)
    library.unlink()
    return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def _own(place: Path) -> Path:
    """Make a folder, or take rights to write from all but its owner.

    Raises:
        PermissionError: it is another user's.
    """
    place.mkdir(parents=True, exist_ok=True)
    state = place.stat()
    if state.st_uid != os.getuid():
        raise PermissionError(f"{place} belongs to another user")
    if state.st_mode & OTHERS_WRITE:
        place.chmod(stat.S_IMODE(state.st_mode) & ~OTHERS_WRITE)
    return place
