"""Files that are there whole or not at all, read only if undamaged, and those of the package."""

import io
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from dsn_lab.errors import UserError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name to write to, renamed to ``path`` at the end or removed on an error.

    What lies there by that name, be it a link to elsewhere, is not written through.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    if temporary.is_symlink() or temporary.exists():
        temporary.unlink()
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def clear_temporaries(*folders: Path) -> None:
    """Remove what killed processes have left of files that were being written."""
    for folder in folders:
        for path in folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)


def exists(path: Path) -> bool:
    """Whether there is a file.

    Raises:
        UserError: there is something else, such as a folder, or a pipe whose reader would wait.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISREG(mode):
        raise UserError(f"{path} is not a file: move it out of the way")
    return True


class DamagedError(Exception):
    """A file is not what was written; the message says how that shows."""


def torch_bytes(state: Any) -> memoryview:
    """What ``torch.save`` makes of it. Writing itself, torch hides that a disk is full."""
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getbuffer()


def read_torch(path: Path) -> Any:
    """Read what ``torch.save`` has written, with its checksums, which torch itself ignores.

    Only tensors and plain values are made of it; on the CPU.

    Raises:
        DamagedError: the file is damaged, cut off, or another's.
        OSError: it cannot be read.
    """
    import torch

    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if (damaged := archive.testzip()) is not None:
                raise DamagedError(f"{damaged} in it does not have its checksum")
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except DamagedError:
        raise
    except Exception as error:  # whatever a damaged file makes torch stumble over
        raise DamagedError(f"{type(error).__name__}") from error


def packaged_yaml(package: str, name: str) -> Any:
    """What a YAML file of the package holds, interpolations as they are written."""
    text = files(package).joinpath(name).read_text(encoding="utf-8")
    return OmegaConf.to_container(OmegaConf.create(text))
