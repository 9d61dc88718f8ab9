"""Downloads into the data folder: nothing half-written is ever visible, all of it is recorded.

A download works in a hidden staging folder of the data folder, under a lock per dataset. Finished
files are entered in ``SHA256SUMS`` and then renamed into place, so a file that is already recorded
with another digest is refused before it is seen.
"""

import os
import shutil
import ssl
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from filelock import FileLock

from dsn_lab.data import folder as files
from dsn_lab.errors import UserError

TIMEOUT = 60.0  # seconds without a byte
_BLOCK = 1 << 20


def obtain(
    root: Path,
    archive: str,
    name: str,
    *,
    find: Callable[[], tuple[Path, ...] | None],
    prepare: Callable[[Path], Sequence[Path]],
) -> tuple[Path, ...]:
    """Fill ``<root>/<archive>/<name>`` once, whatever number of processes ask for it.

    Args:
        root: the data folder; made if missing.
        archive: ``"UCR"``, ``"UEA"`` or ``"UCI"``.
        name: the dataset's name.
        find: returns the dataset's files, or None; asked again under the lock, as another
            process may have been quicker.
        prepare: downloads into the staging folder it is given; returns the finished files.

    Returns:
        The dataset's files.

    Raises:
        UserError: the folder cannot be written, or what ``prepare`` raises, or a file differs
            from the one recorded in ``SHA256SUMS``. Nothing is left behind.
    """
    staging = root / archive / f".{name}.part"
    try:
        staging.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(root / archive / f".{name}.lock"):
            if found := find():
                return found
            shutil.rmtree(staging, ignore_errors=True)  # left by a killed process
            staging.mkdir()
            try:
                return _install(root, root / archive / name, prepare(staging))
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"cannot write {name} into the data folder {root}: {files.reason(error)}; "
            "free some space or name another folder by data_dir or DSN_LAB_DATA"
        ) from error


def fetch(url: str, target: Path) -> None:
    """Stream a URL into a file, with a progress bar on a terminal.

    Raises:
        UserError: no connection, an HTTP error, or fewer bytes than announced.
        OSError: the file cannot be written.
    """
    request = Request(url, headers={"User-Agent": "dsn_lab"})
    try:
        with urlopen(request, timeout=TIMEOUT) as response, target.open("wb") as out:
            total = int(response.headers.get("Content-Length") or 0)
            received = _copy(response.read, out.write, target.name, total)
    except HTTPError as error:
        raise UserError(
            f"{url} answered HTTP {error.code} {error.reason}: try again later"
        ) from error
    except (URLError, HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
        cause = error.reason if isinstance(error, URLError) else error
        told = files.reason(cause) if isinstance(cause, BaseException) else str(cause)
        raise UserError(
            f"cannot download {url}: {told}; check the network and try again"
        ) from error
    if total and received != total:
        raise UserError(f"the download of {url} ended after {received} of {total} bytes: try again")


def _copy(
    read: Callable[[int], bytes], write: Callable[[bytes], object], label: str, total: int
) -> int:
    """Copy blocks until there are no more; return the number of bytes."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(label), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    received = 0
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(label, total=total or None)
        while block := read(_BLOCK):
            write(block)
            received += len(block)
            progress.update(task, completed=received)
    return received


def _install(root: Path, folder: Path, finished: Sequence[Path]) -> tuple[Path, ...]:
    """Record the finished files in ``SHA256SUMS``, then rename them into their folder."""
    new = {}
    for path in finished:
        _sync(path)
        new[(folder / path.name).relative_to(root).as_posix()] = files.digest(path)
    with FileLock(root / f".{files.SUMS}.lock"):
        sums = files.read_sums(root)
        for name, value in new.items():
            if sums.get(name, value) != value:
                raise UserError(
                    f"the download of {name} differs from the one recorded at first download "
                    f"({value[:12]}... instead of {sums[name][:12]}... in {root / files.SUMS}); "
                    "remove its line there to accept it"
                )
        temporary = root / f".{files.SUMS}.part"
        lines = [f"{value}  {name}\n" for name, value in (sums | new).items()]
        temporary.write_text("".join(lines), encoding="utf-8")
        _sync(temporary)
        temporary.replace(root / files.SUMS)
    folder.mkdir(exist_ok=True)
    return tuple(path.replace(folder / path.name) for path in finished)


def _sync(path: Path) -> None:
    """Force a file's content to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
