"""The command line: Hydra composes, a user's mistake becomes one line and exit status 2."""

import difflib
import logging
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from dsn_lab import config
from dsn_lab.data.names import archive_of
from dsn_lab.errors import UserError
from dsn_lab.experiment import run
from dsn_lab.results import flat

CONF = "pkg://dsn_lab.conf"


def main() -> None:
    """Run what the command line asks for."""
    # Hydra then raises instead of printing and leaving with status 1.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    # A full disk must not print a traceback for each line that cannot be logged.
    logging.raiseExceptions = False
    config.register()
    try:
        _run()
    except (UserError, OSError, HydraException) as error:
        _refuse(_explain(error))


@hydra.main(version_base="1.3", config_path=CONF, config_name="config")
def _run(cfg: DictConfig) -> float:
    hydra_config = HydraConfig.get()
    choices = hydra_config.runtime.choices
    folder = Path(hydra_config.runtime.output_dir)
    try:
        names = {group: choices[group] for group in ("model", "dst", "dsp")}
        record = run(config.checked(cfg), folder, names)
    except (UserError, OSError) as error:
        if hydra_config.mode == RunMode.MULTIRUN:
            raise  # Hydra goes on with the other cells and raises at the end.
        _refuse(_explain(error))
    return float(record["test_accuracy"])


def _refuse(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def _explain(error: Exception) -> str:
    """Say in one line what is wrong, and what would be right."""
    # A missing config is an OSError, too.
    if isinstance(error, ConfigCompositionException):
        return _explain_composition(error)
    if isinstance(error, OSError):
        where = error.filename or "the output folder"
        return f"cannot write {where}: {error.strerror or error}"
    return " ".join(str(error).split())


def _explain_composition(error: ConfigCompositionException) -> str:
    """Name the key or choice that does not exist, and the nearest that does."""
    text = str(error)
    if choice := re.search(r"Could not find '(\w+)/(.+?)'", text):
        group, name = choice.groups()
        if group == "dataset":
            try:
                archive_of(name)
            except UserError as unknown:
                return str(unknown)
        options = re.findall(r"^\t(\w+)$", text, re.MULTILINE)
        return f"{group}={name}: must be one of {', '.join(options)}"
    if key := re.search(r"Could not override '(.+?)'", text):
        return f"{key[1]}: there is no such setting; {_nearest(key[1])}"
    return " ".join(str(error.__cause__ or error).split())


def _nearest(key: str) -> str:
    if key.startswith("trainer."):
        return f"Lightning's other Trainer arguments take a plus: +{key}=..."
    GlobalHydra.instance().clear()
    with hydra.initialize_config_module("dsn_lab.conf", version_base="1.3"):
        cfg = OmegaConf.to_container(hydra.compose("config"))
    assert isinstance(cfg, dict)
    near = difflib.get_close_matches(key, flat(cfg, ""), n=3)
    return f"did you mean {' or '.join(near)}?" if near else "python run.py --help lists them"
