"""SLURM gets a time limit by what a job's cells are estimated to take."""

from typing import Any

import pytest

from hydra_plugins.dsn_lab.slurm import UNKNOWN, Batch, SlurmLauncher, time_limit


@pytest.mark.parametrize(
    ("estimates", "minutes"),
    [
        ([], UNKNOWN),
        ([60.0, None], UNKNOWN),
        ([60.0], 30),
        ([300.0, 301.0], 60),
        ([3600.0], 240),
        ([1e6], 2880),
    ],
)
def test_the_limit_holds_three_times_the_estimate(
    estimates: list[float | None], minutes: int
) -> None:
    assert time_limit(estimates) == minutes


def test_jobs_of_one_limit_are_an_array_and_come_back_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrays: list[tuple[int, list[Batch]]] = []

    class Executor:
        def __init__(self, limit: int) -> None:
            self.limit = limit

        def submit_array(self, batches: list[Batch]) -> list[Any]:
            arrays.append((self.limit, batches))
            return [(self.limit, batch.cells) for batch in batches]

    launcher = SlurmLauncher(cells_per_job=1, timeout_min=None)
    monkeypatch.setattr(launcher, "_executor", Executor)
    launcher.estimates = [10.0, 3600.0, 20.0, None]
    batches = [Batch(lambda *_: None, [(i,)]) for i in range(4)]  # type: ignore[arg-type]
    jobs: list[Any] = launcher._submitted(batches)
    assert jobs == [(30, [(0,)]), (240, [(1,)]), (30, [(2,)]), (240, [(3,)])]
    assert [limit for limit, _ in arrays] == [30, 240]
