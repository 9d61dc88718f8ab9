"""One's own data through the command line."""

from pathlib import Path

import numpy as np
import pytest

from dsn_lab.run.dataset import added_by_folder
from tests.conftest import SMALL, Run, record

SHORT = ("trainer.max_epochs=1", "threads=1", *SMALL)


def rows(n: int, seed: int, separator: str) -> str:
    random = np.random.default_rng(seed)
    return "".join(
        separator.join(["ab"[i % 2], *(f"{v:.3f}" for v in random.normal(i % 2, 1, 12))]) + "\n"
        for i in range(n)
    )


def put(root: Path, name: str) -> None:
    folder = root / "UCR" / name
    folder.mkdir(parents=True)
    for seed, split in enumerate(("TRAIN", "TEST")):
        (folder / f"{name}_{split}.tsv").write_text(rows(8, seed, "\t"))


def test_a_file_of_ones_own_is_trained_on(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine_train.csv").write_text(rows(12, 0, ","))
    (tmp_path / "mine_test.csv").write_text(rows(12, 0, ","))
    assert run("dataset=own", "dataset.path=mine_train.csv", "output_dir=out", *SHORT) == 0
    result = record(tmp_path / "out")
    assert (result["dataset"], result["archive"], result["source"]) == ("mine", "own", "own")
    assert (result["n_train"], result["n_test"], result["n_test_in_train"]) == (12, 12, 12)
    assert result["data_path"] == str(tmp_path / "mine_train.csv")
    assert result["data_test_path"] == str(tmp_path / "mine_test.csv")
    assert (result["config.dataset.scaling"], result["config.dataset.name"]) == ("train", "mine")
    assert result["sha256_train"] == result["sha256_test"]


def test_every_setting_of_own_data_counts(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.random.default_rng(0).normal(size=(20, 2, 9)), y=[1, 2] * 10)
    command = ("dataset=own", "dataset.path=a.npz", "dataset.name=Mine", "dataset.test_size=0.3")
    assert run("-m", *command, "dataset.split_seed=0,1", "model=lite", *SHORT[:2]) == 0
    cells = [path.parent for path in (tmp_path / "results" / "Mine").rglob("result.json")]
    assert {record(cell)["config.dataset.split_seed"] for cell in cells} == {0, 1}
    assert {record(cell)["config.dataset.scaling"] for cell in cells} == {"series"}


@pytest.mark.parametrize("launcher", [(), ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")])
def test_folders_of_the_data_folder_are_swept(
    run: Run, tmp_path: Path, launcher: tuple[str, ...]
) -> None:
    for name in ("MyData", "ItalyPowerDemand"):
        put(tmp_path / "data", name)
    sweep = ("-m", "dataset=MyData,ItalyPowerDemand", f"data_dir={tmp_path / 'data'}")
    assert run(*sweep, *launcher, *SHORT) == 0
    found = {record(path.parent)["dataset"] for path in tmp_path.rglob("result.json")}
    assert found == {"MyData", "ItalyPowerDemand"}


@pytest.mark.filterwarnings("error:.*ConfigStore schema")
def test_a_folder_of_configurations_may_name_a_dataset(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "Other")
    monkeypatch.setenv("DSN_LAB_DATA", str(tmp_path))
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    for name in ("Other", "Alias"):
        path = tmp_path / "conf" / "dataset" / f"{name}.yaml"
        path.write_text("name: Other\narchive: UCR\nscaling: none\n")
        command = ("--config-dir", str(tmp_path / "conf"), f"dataset={name}")
        assert run(*command, f"output_dir={name}", *SHORT) == 0
        assert record(tmp_path / name)["scaling"] == "none"


def test_the_last_data_dir_of_a_command_line_counts(tmp_path: Path) -> None:
    put(tmp_path / "one", "One")
    put(tmp_path / "two", "own")
    overrides = [f"++data_dir='{tmp_path / 'two'}'", "seed=1", f'data_dir="{tmp_path / "one"}"']
    assert added_by_folder(overrides) == {"One": "UCR"}
    assert added_by_folder(overrides[:2]) == {}


MISTAKES = [
    (("dataset=MyDatum",), "did you mean MyData"),
    (("dataset=own",), "dataset=own needs dataset.path=PATH"),
    (("dataset=own", "dataset.path=no.csv"), "dataset.path=no.csv: there is no such file"),
    (("dataset=own", "dataset.path=a.csv", "dataset.test_size=1"), "dataset.test_size=1: must be"),
    (("dataset=own", "dataset.path=a.csv", "dataset.test_size=0.5"), "a.csv line 2 holds 'x'"),
    (("dataset=GunPoint", "dataset.path=a.csv"), "dataset.path=a.csv: only dataset=own takes"),
    (("dataset.archive=XYZ",), "dataset.archive=XYZ: dataset=GunPoint says it already"),
]


@pytest.mark.parametrize(("overrides", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_status_2(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...],
    message: str,
) -> None:  # fmt: skip
    put(tmp_path, "MyData")
    (tmp_path / "a.csv").write_text("a,1,2\nb,3,x\n")
    capsys.readouterr()
    assert run(*overrides, f"data_dir={tmp_path}", *SHORT) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert message in lines[0]


def test_other_data_of_ones_own_are_another_cell(run: Run, tmp_path: Path) -> None:
    for number, folder in enumerate("ab"):
        (tmp_path / folder).mkdir()
        for seed, split in enumerate(("TRAIN", "TEST")):
            text = rows(12, 2 * number + seed, ",")
            (tmp_path / folder / f"mine_{split}.csv").write_text(text)
    paths = "dataset.path=a/mine_TRAIN.csv,b/mine_TRAIN.csv"
    assert run("-m", "dataset=own", paths, *SHORT) == 0
    found = {path.parent: record(path.parent) for path in tmp_path.rglob("result.json")}
    assert len({made["sha256_train"] for made in found.values()}) == len(found) == 2
    # A moved file is the same data.
    (tmp_path / "a").rename(tmp_path / "c")
    assert run("dataset=own", "dataset.path=c/mine_TRAIN.csv", *SHORT) == 0
    assert len(list(tmp_path.rglob("result.json"))) == 2


def test_a_grid_over_folders_with_other_data_of_one_name_is_refused(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "one", "MyData")
    put(tmp_path / "two", "MyData")
    path = tmp_path / "two" / "UCR" / "MyData" / "MyData_TRAIN.tsv"
    path.write_text(rows(8, 9, "\t"))
    sweep = ("-m", "dataset=MyData", f"data_dir={tmp_path / 'one'},{tmp_path / 'two'}")
    assert run(*sweep, "dry_run=true") == 2
    assert "they hold other data of the name MyData" in capsys.readouterr().err
