"""Hydra's basic sweeper over cells: what is finished is not submitted, what died is, again."""

import time
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from dsn_lab.data.load import digests
from dsn_lab.errors import DiedError, PostponedError, UserError
from dsn_lab.run import config
from dsn_lab.sweep import plan
from dsn_lab.sweep import rounds as sweep
from dsn_lab.sweep.plan import Planned


class ResumingSweeper(BasicSweeper):
    """Works with every launcher, because a cell's folder is a function of its settings."""

    _workers: int | None = None  # that were asked for

    def sweep(self, arguments: list[str]) -> None:
        """Run every combination that is not finished.

        Raises:
            UserError: a setting cannot be used, before anything runs; or some cells failed.
        """
        assert self.config is not None
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        config.refuse_misplaced(config.mentioned(overrides), in_sweep=True)
        # A job that is requeued must resume: what force marks to be run anew, it marks once, here.
        overrides = [o for o in overrides if o.key_or_group not in {"force", "dry_run"}]
        (combinations,) = self.split_arguments(overrides, None)
        cells = self._cells(combinations)
        folder = Path(self.config.hydra.sweep.dir)
        if self.config.dry_run:
            plan.show(cells, folder)
            return
        live = not isinstance(self.launcher, BasicLauncher)
        sweep.run(cells, self._launch, folder, force=self.config.force, live=live)

    def _cells(self, combinations: Sequence[Sequence[str]]) -> list[Planned]:
        """The distinct cells of the combinations, in their order."""
        composed: dict[tuple[str, ...], DictConfig] = {}
        cells: dict[Path, Planned] = {}
        lost: list[set[str]] = []
        before = HydraConfig.instance().cfg
        for combination in combinations:
            # To compose takes a tenth of a second; nothing composed depends on the seed.
            seeds = [part for part in combination if part.startswith("seed=")]
            rest = tuple(part for part in combination if part not in seeds)
            if rest not in composed:
                composed[rest] = self._compose(rest)
                given, choices = config.mentioned(rest), composed[rest].hydra.runtime.choices
                config.refuse_contradictions(composed[rest], given, choices)
                lost.append(config.unread(_own(composed[rest]), given))
            cfg = composed[rest]
            for seed in seeds:
                OmegaConf.update(cfg, "seed", OmegaConf.from_dotlist([seed]).seed)
            cell = self._cell(cfg, combination)
            _require_one_dataset(cells.setdefault(cell.folder, cell), cell)
        # Of a grid, cells that do not read a setting are one; if none reads it, it is a mistake.
        config.refuse_unread(set.intersection(*lost), cfg.hydra.runtime.choices)
        HydraConfig.instance().cfg = before
        return list(cells.values())

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        assert self.hydra_context is not None
        assert self.config is not None
        loader = self.hydra_context.config_loader
        return loader.load_sweep_config(self.config, list(overrides))

    @staticmethod
    def _cell(cfg: DictConfig, overrides: Sequence[str]) -> Planned:
        HydraConfig.instance().set_config(cfg)
        folder = Path(cfg.hydra.sweep.dir, cfg.hydra.sweep.subdir).absolute()
        cell = config.cell(_own(cfg), folder, cfg.hydra.runtime.choices)
        return Planned(cell.folder, cell.names, cell.config, tuple(overrides))

    def _launch(self, cells: Sequence[Planned]) -> list[Exception | None]:
        """Why each cell is not finished, None for those that are."""
        assert self.launcher is not None
        assert self.config is not None
        began = time.time()
        self._spare_workers(len(cells))
        if hasattr(self.launcher, "estimates"):  # to give SLURM a time limit by
            self.launcher.estimates = plan.estimates(cells, Path(self.config.hydra.sweep.dir))
        try:
            returns = self.launcher.launch([cell.overrides for cell in cells], initial_job_idx=0)
            errors = [_error(returned) for returned in returns]
        except BrokenProcessPool:
            # All that joblib says when one of its workers is killed.
            errors = [DiedError("its process, or one beside it, was killed")] * len(cells)
        return _without_the_innocent(cells, errors, began)

    def _spare_workers(self, cells: int) -> None:
        """Have joblib start no worker that has no cell: nothing would tell it to end."""
        if isinstance(given := getattr(self.launcher, "joblib", None), dict):
            from joblib import effective_n_jobs  # type: ignore[import-untyped]

            if self._workers is None:
                self._workers = int(effective_n_jobs(given["n_jobs"]))
            given["n_jobs"] = min(self._workers, cells)


def _own(cfg: DictConfig) -> DictConfig:
    """A composed configuration without Hydra's part."""
    own = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    assert isinstance(own, DictConfig)
    return own


def _require_one_dataset(one: Planned, other: Planned) -> None:
    """Refuse two cells of one folder whose data differ (``data_dir=one,other``)."""
    wanted = [(each.config.dataset.wanted, each.config.data_dir) for each in (one, other)]
    if one.config.data_dir != other.config.data_dir and digests(*wanted[0]) != digests(*wanted[1]):
        raise UserError(
            f"data_dir={one.config.data_dir},{other.config.data_dir}: they hold other data of the "
            f"name {one.config.dataset.name}; give each its own results_dir"
        )


def _error(returned: JobReturn) -> Exception | None:
    failed = returned.status == JobStatus.FAILED
    return returned._return_value if failed else None


def _without_the_innocent(
    cells: Sequence[Planned], errors: Sequence[Exception | None], began: float
) -> list[Exception | None]:
    """Blame a death on the cells that were at work; those behind them had only to wait.

    Args:
        cells: the cells launched.
        errors: what the launcher knows of each.
        began: when they were launched; a cell that began has logged since.
    """
    at_work = {
        cell
        for cell, error in zip(cells, errors, strict=True)
        if isinstance(error, DiedError)
        and cell.log.exists()
        and cell.log.stat().st_mtime >= began
        and not cell.finished()
    }
    result: list[Exception | None] = []
    for cell, error in zip(cells, errors, strict=True):
        if not isinstance(error, DiedError) or cell in at_work or not at_work:
            result.append(error)
        else:
            result.append(None if cell.finished() else PostponedError("it had not begun"))
    return result
