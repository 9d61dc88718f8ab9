"""Cells on SLURM through submitit; unlike Hydra's own launcher it survives a job that dies."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher

from dsn_lab.errors import DiedError, UserError

if TYPE_CHECKING:
    from submitit import Job

log = logging.getLogger(__name__)

# A cluster takes 1001 jobs in one array unless told otherwise.
ARRAY_SIZE = 1000
# Minutes that a job may be given where the user has not said: the least that holds three times what
# its cells are estimated to take, and a quarter of an hour to start; 240 where nobody knows.
LIMITS, UNKNOWN = (30, 60, 120, 240, 480, 720, 1440, 2880), 240
# Between two looks at the result files, and between two questions to sacct.
POLL_SECONDS, ACCOUNTING_SECONDS = 1.0, 15.0


@dataclass
class Batch:
    """The cells of one job, one after the other; a job that is requeued skips the finished ones."""

    run: Callable[..., JobReturn]
    cells: Sequence[tuple[Any, ...]]

    def __call__(self) -> list[JobReturn]:
        """Run in the job."""
        return [self.run(*cell) for cell in self.cells]

    def checkpoint(self) -> Any:
        """What submitit queues when the job runs out of time: the same again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class SlurmLauncher(BaseSubmititLauncher):  # type: ignore[misc]
    """Submits arrays of jobs and waits for all of them, whatever becomes of some.

    Args:
        cells_per_job: cells that share a job, and its start.
        params: what ``hydra_submitit_launcher`` takes.
    """

    _EXECUTOR = "slurm"

    def __init__(self, *, cells_per_job: int, **params: Any) -> None:
        super().__init__(**params)
        self.cells_per_job = cells_per_job
        self.estimates: Sequence[float | None] = ()  # seconds of each cell that is launched next

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list[JobReturn]:
        """Run cells; what is returned for one whose job died holds a ``DiedError``."""
        state, run = Singleton.get_state(), super().__call__
        cells = [
            (list(overrides), "hydra.sweep.dir", index, str(index), state)
            for index, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        batches = [
            Batch(run, cells[start : start + self.cells_per_job])
            for start in range(0, len(cells), self.cells_per_job)
        ]
        jobs = self._submitted(batches)
        log.info("%d cells in %d SLURM jobs, from %s on", len(cells), len(jobs), jobs[0].job_id)
        _wait(jobs)
        returns = [
            _returned(job, len(batch.cells)) for job, batch in zip(jobs, batches, strict=True)
        ]
        return [each for batch in returns for each in batch]

    def _submitted(self, batches: Sequence[Batch]) -> "list[Job[list[JobReturn]]]":
        """A job a batch, in their order; an array for those of one time limit."""
        size = self.cells_per_job
        limits = [
            self.params["timeout_min"] or time_limit(self.estimates[i * size : (i + 1) * size])
            for i in range(len(batches))
        ]
        jobs: dict[int, Job[list[JobReturn]]] = {}
        for limit in sorted(set(limits)):
            chosen = [i for i, each in enumerate(limits) if each == limit]
            executor = self._executor(limit)
            for start in range(0, len(chosen), ARRAY_SIZE):
                part = chosen[start : start + ARRAY_SIZE]
                submitted = executor.submit_array([batches[i] for i in part])
                jobs |= zip(part, submitted, strict=True)
        return [jobs[i] for i in range(len(batches))]

    def _executor(self, limit: int) -> Any:
        import submitit

        params = self.params | {"timeout_min": limit}
        folder, timeouts = params.pop("submitit_folder"), params.pop("max_num_timeout")
        try:
            executor = submitit.AutoExecutor(
                folder, cluster=self._EXECUTOR, slurm_max_num_timeout=timeouts
            )
        except RuntimeError as error:
            raise UserError(
                "hydra/launcher=slurm: there is no srun here; submit from a login node of the "
                "cluster, or use hydra/launcher=joblib"
            ) from error
        common = BaseQueueConf.__dataclass_fields__
        executor.update_parameters(
            **{key if key in common else f"slurm_{key}": params[key] for key in params}
        )
        return executor


def time_limit(estimates: Sequence[float | None]) -> int:
    """Minutes for a job of cells that are estimated to take so many seconds; None: nobody knows."""
    seconds = [each for each in estimates if each is not None]
    if not seconds or len(seconds) < len(estimates):
        return UNKNOWN
    needed = 3 * sum(seconds) / 60 + 15
    return next((limit for limit in LIMITS if limit >= needed), LIMITS[-1])


def _wait(jobs: "Sequence[Job[Any]]") -> None:
    """Wait until SLURM is done with all jobs; a requeued job is not done."""
    waiting, asked = list(jobs), time.monotonic()
    while waiting:
        time.sleep(POLL_SECONDS)
        # Submitit itself would ask every ten minutes only.
        if time.monotonic() - asked > ACCOUNTING_SECONDS:
            waiting[0].watcher.update()
            asked = time.monotonic()
        left = [job for job in waiting if not _done(job)]
        if len(left) < len(waiting):
            log.info("%d of %d jobs are done", len(jobs) - len(left), len(jobs))
        waiting = left


def _done(job: "Job[Any]") -> bool:
    done: bool = job.paths.result_pickle.exists() or job.watcher.is_done(job.job_id, mode="cache")
    return done


def _returned(job: "Job[list[JobReturn]]", n_cells: int) -> list[JobReturn]:
    from submitit.core.utils import FailedJobError, UncompletedJobError

    where = f"SLURM job {job.job_id}"
    error: Exception
    try:
        return job.result()
    except FailedJobError:
        error = UserError(f"{where} failed outside of its cells, see {job.paths.stderr}")
    except UncompletedJobError:
        # Who cancels a job does not want it again.
        kind = UserError if job.state.startswith("CANCELLED") else DiedError
        error = kind(f"{where} ended as {job.state}, see {job.paths.stderr}")
    return [JobReturn(_return_value=error, status=JobStatus.FAILED)] * n_cells
