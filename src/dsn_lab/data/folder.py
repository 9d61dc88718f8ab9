"""The data folder: where it is, finding a dataset's files, and reading them verified.

Layout: ``<folder>/<archive>/<name>/<file>``, each file plain, ``.gz`` or ``.xz``. A ``SHA256SUMS``
file in the folder (the format of ``sha256sum -c``) is binding for every file it lists.
"""

import gzip
import hashlib
import lzma
import os
import platform
import shutil
import string
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath

from dsn_lab.data.wanted import PACKED
from dsn_lab.errors import UserError

SUMS = "SHA256SUMS"
_BLOCK = 1 << 20
# Followed by the host's name and the process's number.
_TEMPORARY = f"dsn_lab-{platform.node()}-"
# What a file may unpack to: so many bytes, or times its size if that is more.
USUAL, RATIO = 256 << 20, 200


def data_folder(data_dir: str | Path | None) -> Path:
    """Return the data folder: the argument, else ``$DSN_LAB_DATA``, else a per-user cache."""
    if data_dir is not None:
        return Path(data_dir).expanduser()
    if os.environ.get("DSN_LAB_DATA"):
        return Path(os.environ["DSN_LAB_DATA"]).expanduser()
    return _cache()


def is_named(root: Path) -> bool:
    """Return whether a data folder was named, so that no other place counts."""
    return root != _cache()


def _cache() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(cache) if cache else Path.home() / ".cache") / "dsn_lab"
    except RuntimeError as error:
        raise UserError("there is no home folder: name a data folder by data_dir") from error


def locate(folder: Path, names: Sequence[str]) -> tuple[Path, ...] | None:
    """Return the path of each named file, plain or compressed, or None unless all are there."""
    try:
        found = [_plain_or_packed(folder / name) for name in names]
    except OSError as error:
        raise UserError(f"cannot look into {folder}: {reason(error)}") from error
    paths = tuple(path for path in found if path is not None)
    return paths if len(paths) == len(names) else None


@contextmanager
def verified(path: Path, root: Path | None) -> Iterator[tuple[Path, str]]:
    """Yield a plain copy of a file (itself if not compressed) and its content's SHA-256.

    Args:
        path: the file, plain, ``.gz`` or ``.xz``.
        root: the data folder whose ``SHA256SUMS`` binds the file; None for files without one.

    Raises:
        UserError: the file cannot be read, is damaged, or differs from its recorded digest.
    """
    if root is not None:
        _check_sum(path, root)
    if path.suffix not in PACKED:
        yield path, digest(path)
        return
    try:
        _clear_orphans()
        temporary = tempfile.TemporaryDirectory(prefix=f"{_TEMPORARY}{os.getpid()}-")
    except OSError as error:
        raise UserError(f"no folder to unpack {path}: {reason(error)}; set TMPDIR") from error
    with temporary as folder:
        plain = Path(folder) / path.stem
        sha256 = hashlib.sha256()
        try:
            with plain.open("wb") as out:
                for block in _blocks(path):
                    sha256.update(block)
                    out.write(block)
        except OSError as error:
            raise UserError(
                f"cannot unpack {path} into {folder}: {reason(error)}; "
                "free some space or set TMPDIR"
            ) from error
        yield plain, sha256.hexdigest()


def _clear_orphans() -> None:
    """Remove what killed processes of this machine and user have left of unpacked files."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*-*"):
        pid = folder.name.removeprefix(_TEMPORARY).partition("-")[0]
        try:
            own = pid.isdecimal() and folder.lstat().st_uid == os.getuid()
            if own and not folder.is_symlink() and _is_gone(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # another process was quicker
            continue


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def digest(path: Path) -> str:
    """Return the SHA-256 of a file as it lies on disk, in hexadecimal."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file's uncompressed content, as :func:`verified` does.

    A file that has not changed is read once a process.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    return _content_digest(path.absolute(), state.st_mtime_ns, state.st_size)


@cache
def _content_digest(path: Path, mtime: int, size: int) -> str:
    if path.suffix not in PACKED:
        return digest(path)
    sha256 = hashlib.sha256()
    for block in _blocks(path):
        sha256.update(block)
    return sha256.hexdigest()


def read_sums(root: Path) -> dict[str, str]:
    """Return path -> digest of the folder's ``SHA256SUMS``; empty when there is none.

    Raises:
        UserError: the file cannot be read or a line is not ``<64 hex digits>  <path>``.
    """
    path = root / SUMS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    sums = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        value, _, name = line.partition(" ")
        name = name[1:] if name[:1] in (" ", "*") else ""
        if len(value) != 64 or not set(value) <= set(string.hexdigits) or not name:
            raise UserError(
                f"{path} line {number} is not '<64 hex digits>  <path>': correct or remove it"
            )
        sums[str(PurePosixPath(name))] = value.lower()
    return sums


def reason(error: BaseException) -> str:
    """Return an exception's message on one line, its type's name if it has none."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _plain_or_packed(path: Path) -> Path | None:
    """Return the first that exists of the file itself, its .gz and its .xz."""
    packed = (path.with_name(path.name + end) for end in ("", *PACKED))
    return next((candidate for candidate in packed if candidate.is_file()), None)


def _check_sum(path: Path, root: Path) -> None:
    """Compare a file with ``SHA256SUMS`` if it is listed there, whatever its compression."""
    sums, name = read_sums(root), path.relative_to(root).as_posix()
    plain = name.removesuffix(path.suffix) if path.suffix in PACKED else name
    others = [plain + end for end in ("", *PACKED) if plain + end in sums]
    if others and name not in sums:
        raise UserError(
            f"{path} is not listed in {SUMS}, and {others[0]} is: remove one of the two"
        )
    listed = sums.get(name)
    if listed is not None and (found := digest(path)) != listed:
        raise UserError(
            f"{path} does not match {SUMS}: expected {listed[:12]}..., found {found[:12]}...; "
            "restore the file, or correct its line there"
        )


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the decompressed content in blocks."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else lzma.open(path) as file:
            size, most = 0, max(USUAL, RATIO * path.stat().st_size)
            while block := file.read(_BLOCK):
                size += len(block)
                if size > most:
                    raise UserError(
                        f"{path} unpacks to more than {most >> 20} MB, as no data do; if that is "
                        "what you want, unpack it yourself"
                    )
                yield block
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged ({reason(error)})") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
