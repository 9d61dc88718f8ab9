"""The command line: Hydra composes, a user's mistake becomes one line and exit status 2."""

import difflib
import logging
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dsn_lab.data.names import archive_of
from dsn_lab.errors import PostponedError, UserError
from dsn_lab.records import identity, results
from dsn_lab.run import config, dataset
from dsn_lab.run.experiment import run
from dsn_lab.sweep import plan

log = logging.getLogger(__name__)

CONF = "pkg://dsn_lab.conf"


def main() -> None:
    """Run what the command line asks for."""
    # Hydra then raises instead of printing and leaving with status 1.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    # A full disk must not print a traceback for each line that cannot be logged.
    logging.raiseExceptions = False
    dataset.register()
    _register_plugins()
    try:
        _run()
    except (UserError, OSError, HydraException, OmegaConfBaseException) as error:
        _refuse(_explain(error))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


def _register_plugins() -> None:
    plugins = Plugins.instance()
    # Hydra does not find plugins of an editable installation, and it runs the modules of those it
    # finds a second time: what is imported before it has looked derives from classes of the past.
    from hydra_plugins.dsn_lab.slurm import SlurmLauncher
    from hydra_plugins.dsn_lab.sweeper import ResumingSweeper

    plugins.register(ResumingSweeper)
    plugins.register(SlurmLauncher)
    # Else Hydra would hold conf/hydra/launcher/joblib.yaml against the plugin's own of that name.
    ConfigStore.instance().repo["hydra"]["launcher"].pop("joblib.yaml", None)


@hydra.main(version_base="1.3", config_path=CONF, config_name="config")
def _run(cfg: DictConfig) -> float | None:
    hydra_config = HydraConfig.get()
    choices = hydra_config.runtime.choices
    folder = Path(hydra_config.runtime.output_dir)
    in_sweep = hydra_config.mode == RunMode.MULTIRUN
    try:
        cell = config.cell(cfg, folder, choices)
        if not in_sweep:
            given = config.mentioned(hydra_config.overrides.task)
            config.refuse_unread(config.unread(cfg, given), choices)
        if cell.config.dry_run:
            plan.show(
                [plan.Planned(folder, cell.names, cell.config)], Path(cell.config.results_dir)
            )
            return None
        record = run(cell)
    except PostponedError as error:
        if in_sweep:
            raise
        _refuse(_explain(error))
    except (UserError, OSError) as error:
        if not in_sweep:
            _refuse(_explain(error))
        log.error(_explain(error))
        raise UserError(_explain(error)) from None
    except Exception as error:
        if not in_sweep:
            raise
        # The sweep lists a line for each failure; the whole story belongs into the cell's log.
        log.exception("%s failed", folder)
        raise UserError(f"{type(error).__name__}: {_explain(error)}") from None
    if in_sweep:
        print(f"{folder}: test accuracy {record['test_accuracy']:.4f}")
    else:
        results.show(record, folder)
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
    if isinstance(error, OmegaConfBaseException):
        # A mistake found while a cell's folder is composed comes wrapped.
        first = str(error).splitlines()[0]
        return re.sub(r"^\w+ raised while resolving interpolation: ", "", first)
    return " ".join(str(error).split())


def _explain_composition(error: ConfigCompositionException) -> str:
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
    GlobalHydra.instance().clear()
    with hydra.initialize_config_module("dsn_lab.conf", version_base="1.3"):
        usual = hydra.compose("config")
        chosen = [
            text for text in sys.argv[1:] if text.partition("=")[0] in usual and "," not in text
        ]
        groups = [text for text in chosen if OmegaConf.is_dict(usual[text.partition("=")[0]])]
        cfg = OmegaConf.to_container(hydra.compose("config", overrides=groups))
    assert isinstance(cfg, dict)
    known = identity.flat({str(name): value for name, value in cfg.items()}, "")
    near = difflib.get_close_matches(key, known, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    group = key.partition(".")[0]
    said = [name for name in known if name.startswith(f"{group}.") and name != f"{group}.name"]
    chosen = [text for text in groups if text.startswith(f"{group}=")]
    if said:
        return f"{''.join(chosen[-1:]) or group} has {', '.join(said)}"
    return "python run.py --help lists them"
