"""Files that are there whole or not at all, and those of the package."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name to write to, renamed to ``path`` at the end or removed on an error."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def packaged_yaml(package: str, name: str) -> Any:
    """What a YAML file of the package holds, interpolations as they are written."""
    text = files(package).joinpath(name).read_text(encoding="utf-8")
    return OmegaConf.to_container(OmegaConf.create(text))
