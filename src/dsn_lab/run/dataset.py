"""Which datasets there are to choose from, by Hydra's names."""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from dsn_lab.data import sources
from dsn_lab.data.folder import data_folder
from dsn_lab.data.names import UCR_OF_2018
from dsn_lab.data.wanted import OWN, name_of
from dsn_lab.records.settings import DatasetConfig

GROUP = "dataset"
PREPARED = ("scaling", "gaps")
OWN_KEYS = [key for key in DatasetConfig.model_fields if key not in ("name", "archive", *PREPARED)]


def register() -> None:
    """Make every dataset a choice of the group ``dataset``, those of the data folder, too."""
    plugins = Plugins.instance()
    plugins.register(Datasets)
    plugins.register(DatasetsAreFound)


class Datasets(ConfigSource):
    """A configuration for each dataset, made when it is asked for.

    Hydra's ``ConfigStore`` would hold all of them, and is copied with every composition.
    """

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider, path)
        # Workers of a sweep are sent this, and have another command line.
        self.archives = _offered()

    @staticmethod
    def scheme() -> str:
        """What its address begins with."""
        return "datasets"

    def available(self) -> bool:
        """Always."""
        return True

    def load_config(self, config_path: str) -> ConfigResult:
        """Make the configuration of a dataset."""
        name = self._name(config_path)
        archive = self.archives[name]
        scaling = f"${{archive_defaults.{archive}.scaling}}"
        node = {
            "name": name,
            "archive": archive,
            "scaling": scaling,
            "gaps": "interpolate",
        } | dict.fromkeys(OWN_KEYS)
        header: dict[str, str | None] = {"package": None}  # the group's
        return ConfigResult(self.provider, self.full_path(), OmegaConf.create(node), header)

    def is_group(self, config_path: str) -> bool:
        """Whether it is the group."""
        return config_path == GROUP

    def is_config(self, config_path: str) -> bool:
        """Whether it is a dataset in it."""
        return self._name(config_path) in self.archives

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """What is there."""
        if config_path == GROUP and results_filter != ObjectType.GROUP:
            return sorted(self.archives)
        return [GROUP] if config_path == "" and results_filter != ObjectType.CONFIG else []

    @staticmethod
    def _name(config_path: str) -> str:
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        return name if group == GROUP else ""


class DatasetsAreFound(SearchPathPlugin):
    """Has Hydra look among the datasets."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append them."""
        search_path.append("dsn_lab", f"{Datasets.scheme()}://")


def _offered() -> dict[str, str]:
    """Name -> archive of all datasets but those that a folder of the user's configures."""
    named = {name: archive for archive, names in sources.known().items() for name in names}
    folders = _given(sys.argv[1:], r"(?:--config-dir|-cd)[=\0]")
    own = {file.stem for folder in folders for file in Path(folder, GROUP).glob("*.yaml")}
    every = named | added_by_folder(sys.argv[1:])
    return {name: archive for name, archive in every.items() if name not in own}


def added_by_folder(overrides: Iterable[str]) -> dict[str, str]:
    """Name -> archive of what the data folder of a command line adds to the archives.

    Hydra composes the command line only when it knows all choices, so it is read here.
    """
    given = _given(overrides, r"\+{0,2}data_dir=")
    roots = [data_folder(folder) for folder in (given[-1].split(",") if given else [None])]
    found = [added for root in roots for added in sources.in_folder(root).items()]
    return {name: archive for name, archive in found if name != OWN}


def _given(arguments: Iterable[str], option: str) -> list[str]:
    """Return what follows each option of a command line that fits a regular expression."""
    found = re.findall(rf"(?:^|\0){option}([^\0]+)", "\0".join(arguments))
    return [value.strip("'\"") for value in found]


# On import, because workers of a sweep import this and call nothing.
OmegaConf.register_new_resolver(
    "dataset_name", lambda path: name_of(str(path)) if path else OWN, replace=True
)
OmegaConf.register_new_resolver("came_in_2018", lambda name: name in UCR_OF_2018, replace=True)
