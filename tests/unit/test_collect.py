"""From result files to a table: nothing is averaged that should not be, nothing is hidden."""

import itertools
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsn_lab.analysis import aggregate
from dsn_lab.analysis.collect import collect, write_parquet
from dsn_lab.errors import UserError
from tests.synthetic import record, write


def test_a_damaged_file_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    write(tmp_path, record("GunPoint"), "dsn")
    damaged = write(tmp_path, record("GunPoint", seed=1), "dsn")
    (damaged / "result.json").write_text('{"dataset": "GunP')
    (write(tmp_path, record("Coffee"), "dsn") / "result.json").write_text("[1]")
    (write(tmp_path, record("BME"), "dsn") / "result.json").write_text('{"dataset": "BME"}')
    found = collect(tmp_path)
    assert list(found.runs["dataset"]) == ["GunPoint"]
    assert len(found.problems) == 3
    assert any("seed1" in line and "damaged" in line for line in found.problems)
    assert any("BME" in line and "test_accuracy" in line for line in found.problems)


def test_an_unfinished_cell_is_listed_with_its_method(tmp_path: Path) -> None:
    write(tmp_path, record("GunPoint"), "dsn")
    for method, name in (("dsn", "last.ckpt"), ("other", "metrics.csv"), ("empty", "run.log")):
        folder = tmp_path / "GunPoint" / method / "fold0-seed7"
        folder.mkdir(parents=True)
        (folder / name).touch()
    unfinished = collect(tmp_path).unfinished
    assert list(unfinished["method"]) == ["DSN", "other"]
    assert list(unfinished["seed"]) == [7, 7]


def test_the_same_run_twice_counts_once(tmp_path: Path) -> None:
    write(tmp_path / "a", record("GunPoint", accuracy=0.9), "dsn")
    write(tmp_path / "b", record("GunPoint", accuracy=0.1), "dsn")
    found = collect(tmp_path)
    assert list(found.runs["test_accuracy"]) == [0.9]
    assert "repeats" in found.problems[0]


def test_of_the_wanted_runs_methods_are_named_by_what_then_differs(tmp_path: Path) -> None:
    for groups in (1, 3):
        for name in ("GunPoint", "Coffee"):
            write(tmp_path, record(name, config__model__groups=groups), f"dsn{groups}")
    begun = tmp_path / "GunPoint" / "dsn3" / "fold0-seed4"
    begun.mkdir()
    (begun / "metrics.csv").touch()
    assert len(collect(tmp_path).unfinished) == 1
    found = collect(tmp_path, {"model.groups": "1", "dataset": "GunPoint,Coffee"})
    assert list(found.settings) == ["DSN"]
    assert len(found.runs) == 2
    assert found.unfinished.empty
    with pytest.raises(UserError, match=r"model.group=1: .* did you mean model.groups"):
        collect(tmp_path, {"model.group": "1"})


def test_other_data_of_one_name_are_another_dataset(tmp_path: Path) -> None:
    for seed, digest in enumerate(("a" * 64, "a" * 64, "b" * 64)):
        write(tmp_path, record("GunPoint", seed=seed, sha256_train=digest), "dsn")
    found = collect(tmp_path)
    assert list(found.runs["dataset"]) == ["GunPoint", "GunPoint", "GunPoint [bbbbbbbb]"]
    assert "1 run on other data of the name GunPoint" in found.problems[0]


@pytest.mark.parametrize("name", ["missing", "."])
def test_no_results_is_the_users_mistake(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=str(tmp_path)):
        collect(tmp_path / name)


def test_mean_std_and_number_are_of_the_runs(tmp_path: Path) -> None:
    for seed, accuracy in enumerate((0.8, 0.9, 1.0)):
        write(tmp_path, record("GunPoint", accuracy=accuracy, seed=seed, epochs=2), "dsn")
    row = aggregate.summarise(collect(tmp_path), [0]).loc[("GunPoint", "DSN")]
    assert (row["mean"], row["std"]) == pytest.approx((0.9, 0.1))
    assert (row["n"], row["expected"], row["seeds"]) == (3, 3, "0-2")
    assert (row["folds"], row["epochs"], row["protocol_epochs"]) == ("0", "2", "1000")


def test_folds_are_not_mixed(tmp_path: Path) -> None:
    write(tmp_path, record("GunPoint", accuracy=0.5), "dsn")
    write(tmp_path, record("GunPoint", accuracy=0.9, fold=1), "dsn")
    write(tmp_path, record("GunPoint", accuracy=0.6, dst="rigl"), "rigl")
    found = collect(tmp_path)
    assert aggregate.shared_folds(found) == [0]
    scores = aggregate.complete(aggregate.summarise(found, [0]))
    assert scores.loc["GunPoint"].to_dict() == {"DSN": 0.5, "DSN rigl": 0.6}


CELLS = list(itertools.product(("GunPoint", "Coffee"), ("dsn", "rigl"), range(3)))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(CELLS), unique=True, min_size=1))
def test_what_is_missing_is_never_averaged_over(
    tmp_path_factory: pytest.TempPathFactory, done: list[tuple[str, str, int]]
) -> None:
    root = tmp_path_factory.mktemp("runs")
    for dataset, dst, seed in done:
        write(root, record(dataset, accuracy=0.5 + 0.1 * seed, seed=seed, dst=dst), dst)
    found = collect(root)
    scores = aggregate.complete(aggregate.summarise(found, [0]))
    lacking = aggregate.missing(found)
    label = {r.dst: r.method for r in found.runs.itertuples()}
    seeds_of = {dst: {s for _, d, s in done if d == dst} for dst in label}
    for dst, method in label.items():
        for dataset in {d for d, _, _ in done}:
            has = {s for d, t, s in done if (d, t) == (dataset, dst)}
            if has == seeds_of[dst]:
                assert scores.loc[dataset, method] == pytest.approx(0.5 + 0.1 * sum(has) / len(has))
            else:
                assert pd.isna(scores.loc[dataset, method])
            rows = lacking[(lacking["dataset"] == dataset) & (lacking["method"] == method)]
            assert set(rows["seed"]) == seeds_of[dst] - has


def test_tables_keep_every_run_and_leave_gaps_empty(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    write(root, record("GunPoint", accuracy=0.5), "dsn")
    write(root, record("Coffee", accuracy=0.75, seed=2, config__x=[1]), "dsn2")
    write(root, record("Coffee", accuracy=0.25, seed=2), "dsn")
    found = collect(root)
    write_parquet(found.runs, tmp_path / "runs.parquet")
    stored = pd.read_parquet(tmp_path / "runs.parquet")
    assert sorted(stored["test_accuracy"]) == [0.25, 0.5, 0.75]
    aggregate.write_csvs(found.runs, tmp_path / "csv")
    text = (tmp_path / "csv" / "fold0" / "DSN_no-x_accuracy.csv").read_text()
    assert text.splitlines() == ["seeds:,0,2", "Coffee,,0.25", "GunPoint,0.5,"]
