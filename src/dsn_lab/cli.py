"""The command line: Hydra composes, a user's mistake becomes one line and exit status 2."""

import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import RunMode
from omegaconf import DictConfig

from dsn_lab.errors import PostponedError, UserError
from dsn_lab.explain import explain
from dsn_lab.records import results
from dsn_lab.records.cell import Cell
from dsn_lab.run import config, dataset
from dsn_lab.run.experiment import run
from dsn_lab.sweep import plan
from dsn_lab.sweep.orphans import end_with_parent

log = logging.getLogger(__name__)

CONF = "pkg://dsn_lab.conf"
MULTIRUN = ("-m", "--multirun")


class _InnerError(Exception):
    """What went wrong once everything that a user can do wrong was checked."""


def main() -> None:
    """Run what the command line asks for."""
    # Hydra then raises instead of printing and leaving with status 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # A full disk must not print a traceback for each line that cannot be logged.
    logging.raiseExceptions = False
    # Hydra would take what follows an option for something else.
    given = sys.argv[1:]
    sys.argv[1:] = sorted(given, key=lambda argument: argument not in MULTIRUN)
    in_sweep = any(each in (*MULTIRUN, "hydra.mode=MULTIRUN") for each in given)
    try:
        config.refuse_misplaced(config.mentioned(given), in_sweep=in_sweep)
        dataset.register()
        _register_plugins()
        _run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # of stdout: whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except _InnerError as error:
        raise error.__cause__ or error from None
    except Exception as error:
        log.debug("where it went wrong", exc_info=True)
        _refuse(explain(error))


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
    if hydra_config.mode == RunMode.MULTIRUN:
        return _run_in_sweep(cfg, Path(hydra_config.runtime.output_dir))
    try:
        return _run_alone(cfg, hydra_config)
    except _InnerError:
        raise
    except Exception as error:
        # Hydra would put a line of its own before ours.
        log.debug("where it went wrong", exc_info=True)
        _refuse(explain(error))


def checked(cfg: DictConfig, hydra_config: HydraConf) -> Cell:
    """The cell of a single run, its settings checked.

    Args:
        cfg: composed, without Hydra's part.
        hydra_config: that part.

    Raises:
        UserError: a setting cannot be used, or nothing reads it.
    """
    choices = hydra_config.runtime.choices
    given = config.mentioned(hydra_config.overrides.task)
    if "sweep" in choices:
        config.refuse_half_a_sweep(choices["sweep"], hydra_config.sweeper.params, given)
    config.refuse_contradictions(cfg, given, choices)
    cell = config.cell(cfg, Path(str(cfg.output_dir)).absolute(), choices)
    config.refuse_unread(config.unread(cfg, given), choices)
    return cell


def _run_alone(cfg: DictConfig, hydra_config: HydraConf) -> float | None:
    cell = checked(cfg, hydra_config)
    if cell.config.dry_run:
        plan.show([plan.Planned(cell.folder, cell.names, cell.config)], Path(cfg.results_dir))
        return None
    record = _trained(cell)
    results.show(record, cell.folder)
    return float(record["test_accuracy"])


def _trained(cell: Cell) -> results.Record:
    try:
        return run(cell)
    except (UserError, OSError):
        raise
    except Exception as error:
        raise _InnerError from error


def _run_in_sweep(cfg: DictConfig, folder: Path) -> float:
    end_with_parent()
    try:
        record = run(config.cell(cfg, folder, HydraConfig.get().runtime.choices))
    except PostponedError:
        raise
    except (UserError, OSError) as error:
        log.error(explain(error))
        raise UserError(explain(error)) from None
    except Exception as error:
        # The sweep lists a line for each failure; the whole story is in the cell's log.
        raise UserError(f"{type(error).__name__}: {explain(error)}") from None
    print(f"{folder}: test accuracy {record['test_accuracy']:.4f}")
    return float(record["test_accuracy"])


def _refuse(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
