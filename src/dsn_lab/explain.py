"""What is wrong, in one line that says what would be right."""

import difflib
import re
import sys
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dsn_lab.data.names import archive_of
from dsn_lab.errors import UserError
from dsn_lab.records import identity
from dsn_lab.run import dataset

LONGEST = 600  # characters of a line


def explain(error: BaseException) -> str:
    """Say in one line what is wrong, and what would be right."""
    said = " ".join(_explained(error).split()) or type(error).__name__
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}..."


def _explained(error: BaseException) -> str:
    # A missing config is an OSError, too.
    if isinstance(error, ConfigCompositionException):
        return _of_composition(error)
    if isinstance(error, OSError):
        where = error.filename or "the output folder"
        return f"cannot write {where}: {error.strerror or error}"
    if isinstance(error, OmegaConfBaseException):
        # A mistake found while a cell's folder is composed comes wrapped.
        first = str(error).splitlines()[0]
        return re.sub(r"^\w+ raised while resolving interpolation: ", "", first)
    if isinstance(error, RecursionError):
        return "the settings refer to each other in a circle, or are nested too deeply"
    return str(error)


def _of_composition(error: ConfigCompositionException) -> str:
    """Name the key or choice that does not exist, and the nearest that does."""
    text = str(error)
    if choice := re.search(r"Could not find '(\w+)/(.+?)'", text):
        group, name = choice.groups()
        if group == "dataset":
            try:
                archive_of(name, dataset.added_by_folder(sys.argv[1:]))
            except UserError as unknown:
                return str(unknown)
        options = re.findall(r"^\t(\w+)$", text, re.MULTILINE)
        return f"{group}={name}: must be one of {', '.join(options)}"
    if key := re.search(r"Could not override '(.+?)'", text):
        return f"{key[1]}: there is no such setting; {_nearest(key[1])}"
    return " ".join(str(error.__cause__ or error).split())


def _nearest(key: str) -> str:
    """What the user may have meant, among the settings of the groups that were chosen."""
    if key.startswith("trainer."):
        return f"Lightning's other Trainer arguments take a plus: +{key}=..."
    try:
        known, groups = _known()
    except Exception:  # of the same command line, which cannot be composed
        return "python run.py --help lists them"
    if key in known:
        return "not every choice that was made has it"
    near = difflib.get_close_matches(key, known, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    group = key.partition(".")[0]
    said = [name for name in known if name.startswith(f"{group}.") and name != f"{group}.name"]
    chosen = [text for text in groups if text.startswith(f"{group}=")]
    if said:
        return f"{''.join(chosen[-1:]) or group} has {', '.join(said)}"
    return "python run.py --help lists them"


def _known() -> tuple[dict[str, Any], list[str]]:
    """All settings of the groups that were chosen, and those choices."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_module("dsn_lab.conf", version_base="1.3"):
        usual = hydra.compose("config")
        chosen = [
            text for text in sys.argv[1:] if text.partition("=")[0] in usual and "," not in text
        ]
        groups = [text for text in chosen if OmegaConf.is_dict(usual[text.partition("=")[0]])]
        cfg = OmegaConf.to_container(hydra.compose("config", overrides=groups))
    assert isinstance(cfg, dict)
    return identity.flat({str(name): value for name, value in cfg.items()}, ""), groups
