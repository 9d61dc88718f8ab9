"""What a run is, by the user's commands: finished stays finished, nothing is taken for another."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dsn_lab.records.networks import load_network
from tests.conftest import SMALL, Run, record

ROOT = Path(__file__).parents[2]
FORMAT0 = ROOT / "tests" / "fixtures" / "format0"
ITALY = ("dataset=ItalyPowerDemand", *SMALL, "threads=1")
LITE = (
    *("dataset=ItalyPowerDemand", "model=lite", "model.widths=[[2,2,2],[2],[2]]"),
    *("threads=1", "trainer.max_epochs=6", "dsp.rule=largest_activity", "dsp.tau=0.7"),
    *("dsp.penalty=2e-5", "scheduler.threshold_mode=abs"),  # what were defaults then
)
# What the first version of these commands has left in the fixtures.
COMMANDS = [
    (*ITALY, "trainer.max_epochs=6"),
    (*ITALY, "trainer.max_epochs=6", "dst=rigl", "sparsity=0.5"),
    (*ITALY, "trainer.max_epochs=6", "dst=dense"),
    (*LITE, "dsp=default"),
    (*LITE, "dsp=scratch"),
    ("-m", *ITALY, "trainer.max_epochs=2", "sparsity=0.5,0.9", "seed=1"),
]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A results folder of the first version."""
    return Path(shutil.copytree(FORMAT0, tmp_path / "results"))


def written(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[4:]))
def test_results_of_the_first_version_are_finished(
    run: Run, old: Path, command: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    before = written(old)
    assert run(*command) == 0
    said = "".join(capfd.readouterr())
    assert "is finished; force=true" in said or "2 of 2 cells are finished already" in said
    assert written(old) == before


def test_an_unfinished_run_of_the_first_version_is_resumed(
    run: Run, old: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder,) = old.glob("*/*/fold0-seed2")
    before = (folder / "metrics.csv").read_text().splitlines()
    assert run(*ITALY, "trainer.max_epochs=60", "seed=2") == 0
    assert "resuming after epoch" in capfd.readouterr().err
    after = (folder / "metrics.csv").read_text().splitlines()
    assert after[1].split(",")[:2] == before[1].split(",")[:2]
    assert record(folder)["epochs"] == 60
    assert record(folder)["format"] == 1


def test_networks_of_the_first_version_are_loaded(old: Path) -> None:
    for path in old.rglob("model.pt"):
        assert load_network(path)(torch.zeros(2, 1, 24)).shape == (2, 2)


class Trap:
    """What a file of somebody else's may name."""

    sprung = False

    def __init__(self, **_: object) -> None:
        """Be made."""
        Trap.sprung = True


def test_a_file_makes_registered_networks_only(run: Run, old: Path, tmp_path: Path) -> None:
    (path,) = old.glob("*/dsn-rigl*/*/model.pt")
    saved = torch.load(path, weights_only=True)
    trap = f"{Trap.__module__}.Trap"
    for model in (
        {"_target_": trap, "in_channels": 1, "n_classes": 2},
        {"name": trap, "in_channels": 1, "n_classes": 2},
        saved["model"] | {"widths": {"_target_": trap}},
    ):
        torch.save(saved | {"model": model}, path)
        with pytest.raises(Exception, match=r"registered|model\.pt"):
            load_network(path)
    assert run(*LITE, "dsp=scratch", f"dsp.shape_from={path.parent}", "output_dir=out") == 2
    assert not Trap.sprung


def test_records_say_which_code_made_them(run: Run, tmp_path: Path) -> None:
    assert run(*ITALY, "trainer.max_epochs=1", "output_dir=out") == 0
    made = record(tmp_path / "out")
    assert made["format"] == 1
    assert made["version"].count(".") == 2
    assert len(made["commit"].removesuffix("-dirty")) == 40
    assert made["finished"].endswith("+00:00")
    assert {"cpu", "cores", "python", "version_numpy", "version_aeon"} <= made.keys()
    assert not [key for key, value in made.items() if "dsn_lab." in str(value) or "_target_" in key]


def italy(folder: Path, flip: bool = False) -> Path:
    """A data folder with a small dataset of that name, its labels as they are or exchanged."""
    target = folder / "UCR" / "ItalyPowerDemand"
    target.mkdir(parents=True)
    for split in ("TRAIN", "TEST"):
        rows = (
            f"{1 + (row + flip) % 2}\t" + "\t".join(str((row * 7 + t * t) % 11) for t in range(24))
            for row in range(30)
        )
        (target / f"ItalyPowerDemand_{split}.tsv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_finished_cell_on_other_data_is_not_shown(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = italy(tmp_path / "one"), italy(tmp_path / "other", flip=True)
    command = (*ITALY, "trainer.max_epochs=1")
    assert run(*command, f"data_dir={one}") == 0
    (result,) = tmp_path.rglob("result.json")
    before = result.read_text()
    capsys.readouterr()
    assert run(*command, f"data_dir={other}") == 2
    said = capsys.readouterr()
    assert "holds a run on other data of this name (sha256_train was" in said.err
    assert "test accuracy" not in said.out
    # In a sweep it fails, and the other cells run.
    assert run("-m", *command, f"data_dir={other}", "seed=0,1") == 2
    assert "1 of 2 cells failed" in capsys.readouterr().err
    assert result.read_text() == before
    # A moved folder is the same data; one that is gone cannot be mistaken.
    moved = one.rename(tmp_path / "moved")
    assert run(*command, f"data_dir={moved}") == 0
    assert run(*command, f"data_dir={other}", "force=true") == 0
    assert result.read_text() != before


def test_an_unfinished_cell_on_other_data_is_not_resumed(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = italy(tmp_path / "one"), italy(tmp_path / "other", flip=True)
    command = (*ITALY, "trainer.max_epochs=2", "output_dir=out")
    assert run(*command, f"data_dir={one}") == 0
    (tmp_path / "out" / "result.json").unlink()
    assert run(*command, f"data_dir={other}") == 2
    assert "holds a run on other data" in capsys.readouterr().err
    assert run(*command, f"data_dir={one}") == 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model=lite", "sparsity=0.5"), "sparsity: nothing reads it with model=lite"),
        (("dst=dense", "sparsity=0.5"), "sparsity: nothing reads it"),
        (("sparsity=0.5", "model.sparsity=0.7"), "sparsity: nothing reads it"),
        (("penalty_weights=[1,2,3]",), "penalty_weights: nothing reads it"),
        (("archive_defaults.UEA.width=3",), "archive_defaults.UEA.width: nothing reads it"),
        (("-m", "model=lite", "sparsity=0.5,0.9"), "sparsity: nothing reads it with model=lite"),
        (("dst=none", "+dst.alpha=0.3"), "dst.alpha: nothing reads it"),
        (("+dsp.tau=0.5",), "dsp.tau: nothing reads it"),
        (("+logger.project=x",), "logger.project: nothing reads it"),
        (("model=lite", "model.groups=1"), "model=lite has model.widths"),
    ],
)
def test_a_setting_that_nothing_reads_is_refused(
    run: Run, capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...], message: str
) -> None:
    assert run(*overrides, "dataset=GunPoint", "dry_run=true") == 2
    assert message in capsys.readouterr().err


def test_cells_of_a_grid_that_do_not_read_a_setting_are_one(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-m", "dst=dsn,dense", "sparsity=0.5,0.8", "dry_run=true") == 0
    assert "3 cells: 0 done" in capsys.readouterr().out


@pytest.mark.parametrize(
    "overrides",
    [
        ("dst=dense", "sparsity=0"),  # what is used anyway
        ("model=lite", "dsp=scratch", "dsp.tau=0.05"),
    ],
)
def test_a_setting_that_changes_nothing_may_be_given(run: Run, overrides: tuple[str, ...]) -> None:
    assert run(*overrides, "dataset=GunPoint", "dry_run=true") == 0


def test_one_run_has_one_folder_however_it_is_written(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for same in (
        ("sparsity=0", "sparsity=0.0"),
        ("recalibrate=1", "recalibrate=true", "recalibrate=yes"),
        ("dst.stop=1", "dst.stop=1.0"),
        ("model.width=47", "model.width=47.0"),
        ("dst.growth=momentum", "dst.growth={name:momentum,decay:0.9}"),
    ):
        folders = set()
        for override in same:
            assert run("dataset=GunPoint", override, "dry_run=true") == 0
            folders.add(capsys.readouterr().out.splitlines()[0])
        assert len(folders) == 1, folders


def test_folders_named_after_numbers_as_they_were_typed_are_found(
    run: Run, old: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the first version called the cells of these commands."""
    (made,) = old.glob("*/dsn-dsn-S0.8-d70b1280")
    for name, typed in (
        ("dsn-dsn-S0-ba0d682f", ("dst.stop=1", "sparsity=0", "trainer.max_epochs=2")),
        (
            "dsn-dsn-S0.8-77c7cde5",
            ("+trainer.gradient_clip_val=1.0", "+scheduler.last_epoch=-1", "trainer.max_epochs=2"),
        ),
    ):
        made.with_name(name).mkdir()
        assert run(*ITALY, *typed, "dry_run=true") == 0
        assert name in capfd.readouterr().out


def checkout(folder: Path) -> Path:
    """A copy of the code, to be changed."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "conf", folder / "src" / "dsn_lab" / "conf", symlinks=False)
    shutil.copy(ROOT / "run.py", folder)
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_a_setting_that_is_really_added_leaves_finished_cells_finished(
    old: Path, tmp_path: Path
) -> None:
    copy = checkout(tmp_path / "copy")
    conf, network = (
        copy / "src" / "dsn_lab" / part for part in ("conf/model/dsn.yaml", "nn/dsn.py")
    )

    def state() -> str:
        command = [sys.executable, str(copy / "run.py"), *COMMANDS[0], "dry_run=true"]
        environment = os.environ | {"PYTHONPATH": str(copy / "src")}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout

    edit(conf, "depth: 4\n", "depth: 4\nslope: 0.25\n")
    last = "depth: PositiveInt = 4,\n"
    edit(network, last, last + "        slope: float = 0.25,\n")
    assert "1 cells: 1 done" in state()
    edit(conf, "slope: 0.25\n", "slope: 0.5\n")
    assert "1 cells: 0 done" in state()
    edit(conf, "slope: 0.5\n", "slope: 0.25\n")
    edit(conf, "start: tap_first", "start: random")
    assert "1 cells: 0 done" in state()


NETWORK = """
from torch import nn
from dsn_lab.registry import networks

@networks.register("mean")
class MeanClassifier(nn.Module):
    def __init__(self, in_channels: int, n_classes: int, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, n_classes, bias=bias)

    def forward(self, x):
        return self.linear(x.mean(dim=-1))
"""


def test_a_network_may_live_outside_the_repository(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_networks.py").write_text(NETWORK)
    (tmp_path / "lab" / "model").mkdir(parents=True)
    (tmp_path / "lab" / "model" / "mean.yaml").write_text("name: mean\nbias: true\n")
    command = (f"--config-dir={tmp_path}/lab", "model=mean", "dst=none", "trainer.max_epochs=2")
    assert run(*command, "dataset=ItalyPowerDemand") == 2
    assert "'mean' is not registered" in capsys.readouterr().err
    assert run(*command, "dataset=ItalyPowerDemand", "imports=[nothing_here]") == 2
    assert "imports=nothing_here: cannot be imported" in capsys.readouterr().err
    own = (*command, "dataset=ItalyPowerDemand", "imports=[my_networks]")
    assert run(*own, "output_dir=out") == 0
    assert record(tmp_path / "out")["model"] == "mean"
    assert record(tmp_path / "out")["config.model.name"] == "mean"
    assert load_network(tmp_path / "out" / "model.pt")(torch.zeros(1, 1, 24)).shape == (1, 2)
    assert run("-m", *own, "seed=0,1", "hydra/launcher=joblib") == 0
