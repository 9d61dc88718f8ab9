"""What a sweep does with cells that fail, die, or are in another process's hands."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from dsn_lab.data.sizes import ucr
from dsn_lab.errors import DiedError, PostponedError, UserError
from dsn_lab.records import results
from dsn_lab.records.settings import Config
from dsn_lab.sweep import rounds as sweep
from dsn_lab.sweep.cost import rates, remaining_seconds, usual_seconds
from dsn_lab.sweep.durations import spelled
from dsn_lab.sweep.plan import Planned
from dsn_lab.sweep.watch import Watch, summary


class Launcher:
    """Does with each cell, named by its folder, what its next plan says; then finishes it."""

    def __init__(self, **plans: list[Exception]) -> None:
        self.plans, self.launched = plans, Counter[str]()

    def __call__(self, cells: Sequence[Planned]) -> list[Exception | None]:
        return [self._run(cell) for cell in cells]

    def _run(self, cell: Planned) -> Exception | None:
        self.launched[cell.folder.name] += 1
        plan = self.plans.get(cell.folder.name)
        if plan:
            return plan.pop(0)
        results.write({}, cell)
        return None


@pytest.fixture
def cells(tmp_path: Path) -> list[Planned]:
    for name in "abc":
        (tmp_path / name).mkdir()
    dataset = SimpleNamespace(name="GunPoint")
    settings = cast(Config, SimpleNamespace(epochs=10, dataset=dataset, seed=0))
    return [Planned(tmp_path / name, {}, settings, (name,)) for name in "abc"]


def test_what_died_or_was_postponed_is_launched_again_and_nothing_else(
    cells: list[Planned],
) -> None:
    launcher = Launcher(a=[DiedError("killed")], b=[PostponedError("busy")])
    assert sweep.run_all(cells, launcher) == {}
    assert launcher.launched == {"a": 2, "b": 2, "c": 1}
    assert all(cell.finished() for cell in cells)


def test_failures_are_final_and_deaths_become_final(cells: list[Planned]) -> None:
    launcher = Launcher(a=[UserError("diverged")], b=[DiedError("killed")] * 9)
    failures = {cell.folder.name: reason for cell, reason in sweep.run_all(cells, launcher).items()}
    assert failures == {"a": "diverged", "b": f"killed, {sweep.ATTEMPTS} times"}
    assert launcher.launched == {"a": 1, "b": sweep.ATTEMPTS, "c": 1}


def test_a_cell_in_other_hands_is_waited_for_and_not_run(
    cells: list[Planned], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = cells[0].lock
    lock.acquire()

    def others_finish(_: float) -> None:
        results.write({}, cells[0])
        lock.release()

    monkeypatch.setattr("time.sleep", others_finish)
    launcher = Launcher()
    assert sweep.run_all(cells, launcher) == {}
    assert launcher.launched == {"b": 1, "c": 1}


def test_force_discards_what_is_finished(cells: list[Planned], tmp_path: Path) -> None:
    results.write({}, cells[0])
    launcher = Launcher()
    sweep.run(cells, launcher, tmp_path, force=False)
    assert launcher.launched == {"b": 1, "c": 1}
    sweep.run(cells, launcher, tmp_path, force=True)
    assert launcher.launched == {"a": 1, "b": 2, "c": 2}


def test_an_epoch_costs_the_median_of_its_kind() -> None:
    kind = {"dataset": "GunPoint", "model": "dsn", "dst": "dsn", "dsp": "none", "epochs": 10}
    records = [
        kind | {"sparsity": 0.5, "fit_seconds": 10.0},
        kind | {"sparsity": 0.8, "fit_seconds": 20.0},
        kind | {"sparsity": 0.8, "fit_seconds": 40.0},
    ]
    assert rates(records).epochs == {
        ("GunPoint", "dsn", "dsn", "none"): 2.0,
        ("GunPoint", "dsn", "dsn", "none", "0.5"): 1.0,
        ("GunPoint", "dsn", "dsn", "none", "0.8"): 3.0,
    }


def said(estimate: tuple[float, bool] | None) -> tuple[str, bool]:
    assert estimate is not None
    return f"{estimate[0]:.6f}", estimate[1]


def test_what_was_never_timed_costs_in_proportion_to_its_steps(tmp_path: Path) -> None:
    dataset = SimpleNamespace(name="GunPoint")
    given = SimpleNamespace(epochs=10, dataset=dataset, batch_size=None, model={"sparsity": 0.8})
    names = {"model": "dsn", "dst": "dsn", "dsp": "none"}
    cell = Planned(tmp_path, names, cast(Config, given))
    usual, beef = (usual_seconds("dsn", ucr()[name], None) for name in ("GunPoint", "Beef"))
    assert usual is not None
    assert beef is not None
    assert usual == pytest.approx(10 * (1.3 + 0.0096 * 5 * 150) / 1000)  # 10 batches of 5
    assert said(remaining_seconds(cell, rates([]))) == (f"{10 * usual:.6f}", False)
    slow = {"dataset": "Beef", **names, "sparsity": 0.8, "epochs": 2, "fit_seconds": 6 * beef}
    known = rates([slow | {"n_train": 30, "length": 470}])
    assert said(remaining_seconds(cell, known)) == (f"{3 * 10 * usual:.6f}", True)
    dataset.name = "mine"
    assert remaining_seconds(cell, known) is None


def test_a_line_says_how_far_a_sweep_is(cells: list[Planned]) -> None:
    watch = Watch(cells, live=False)
    assert watch.line() == "0/3 done"
    results.write({"test_accuracy": 0.9}, cells[0])
    for cell, epochs in ((cells[1], 5), (cells[2], 0)):
        cell.log.touch()
        cell.metrics.write_text("epoch\n" + "1\n" * epochs)
    watch.began -= 30
    watch._look()
    line = watch.line()
    assert line.startswith("1/3 done, mean 0.9000, about 30 s left; runs: GunPoint seed 0 at 50%, ")
    assert len(line) <= 79
    assert summary(cells) == [f"0.9000  1/3  GunPoint  {cells[0].folder.parent.name}"]


def test_a_watched_sweep_logs_now_and_then(
    cells: list[Planned], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dsn_lab.sweep.watch.LINE_SECONDS", 0.01)
    caplog.set_level("INFO")
    with Watch(cells, live=False):
        time.sleep(0.2)
    assert "0/3 done" in caplog.messages


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(42, "42 s"), (300, "5 min"), (7500, "2 h 5 min"), (300_000, "3 d 11 h")],
)
def test_durations_have_two_units(seconds: float, said: str) -> None:
    assert spelled(seconds) == said
