"""Which datasets there are to choose from, by Hydra's names."""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from dsn_lab.data import sources
from dsn_lab.data.folder import data_folder
from dsn_lab.data.wanted import OWN, name_of
from dsn_lab.records.settings import DatasetConfig

OWN_KEYS = [key for key in DatasetConfig.model_fields if key not in ("name", "archive", "scaling")]


def register() -> None:
    """Make every dataset a choice of the group ``dataset``, those of the data folder, too."""
    named = {name: archive for archive, names in sources.known().items() for name in names}
    folders = _given(sys.argv[1:], r"(?:--config-dir|-cd)[=\0]")
    files = [file for folder in folders for file in Path(folder, "dataset").glob("*.yaml")]
    store = ConfigStore.instance()
    for name, archive in (named | added_by_folder(sys.argv[1:])).items():
        if name in {file.stem for file in files}:
            continue  # or Hydra would hold the file against what is stored here
        scaling = f"${{archive_defaults.{archive}.scaling}}"
        node = {"name": name, "archive": archive, "scaling": scaling} | dict.fromkeys(OWN_KEYS)
        store.store(group="dataset", name=name, node=node, provider="dsn_lab")


def added_by_folder(overrides: Iterable[str]) -> dict[str, str]:
    """Name -> archive of what the data folder of a command line adds to the archives.

    Hydra composes the command line only when it knows all choices, so it is read here.
    """
    given = _given(overrides, r"\+{0,2}data_dir=")
    root = data_folder(given[-1] if given else None)
    return {name: archive for name, archive in sources.in_folder(root).items() if name != OWN}


def _given(arguments: Iterable[str], option: str) -> list[str]:
    """Return what follows each option of a command line that fits a regular expression."""
    found = re.findall(rf"(?:^|\0){option}([^\0]+)", "\0".join(arguments))
    return [value.strip("'\"") for value in found]


# On import, because workers of a sweep import this and call nothing.
OmegaConf.register_new_resolver(
    "dataset_name", lambda path: name_of(str(path)) if path else OWN, replace=True
)
