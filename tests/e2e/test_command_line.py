"""The user's command, in this process, on data that aeon bundles."""

import csv
from pathlib import Path

import pytest
import torch

from dsn_lab import load_model
from dsn_lab.data import names
from dsn_lab.records.networks import load_network
from tests.conftest import SMALL, Run, record

CELL = ("dataset=ItalyPowerDemand", "trainer.max_epochs=6", *SMALL)


def test_a_run_leaves_result_metrics_figures_and_weights(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*CELL, "output_dir=out", "sparsity=0.5") == 0
    out = tmp_path / "out"
    result = record(out)
    assert result["dataset"] == "ItalyPowerDemand"
    assert (result["model"], result["dst"], result["sparsity"]) == ("dsn", "dsn", 0.5)
    assert (result["seed"], result["fold"], result["epochs"]) == (0, 0, 6)
    assert (result["n_train"], result["n_test"], result["length"]) == (67, 1029, 24)
    assert result["backend"] in {"packed", "dense"}
    assert isinstance(result["test_accuracy"], float)
    assert 0.4 < result["test_accuracy"] <= 1
    assert all(not isinstance(value, dict | list) for value in result.values())
    with (out / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["train_loss"]) for row in rows]
    assert len(losses) == 6
    assert result["best_epoch"] == max(e for e in range(6) if losses[e] == min(losses))
    # The update after epoch 4 is logged in its row and in no other.
    logged = [bool(row["topology/layer1/group1/replaced"]) for row in rows]
    assert logged == [False, False, False, False, True, False]
    assert float(rows[0]["lr"]) == pytest.approx(3e-4)
    figures = {path.name for path in (out / "figures").iterdir()}
    assert figures == {"learning_curve.png", "receptive_fields.png", "active_weights.png"}
    model = load_model(out / "model.pt")
    assert model.classes == ("1", "2")
    printed = capsys.readouterr().out
    assert f"{result['test_accuracy']:.4f}" in printed
    assert "shortened; protocol: 1000" in printed


def test_the_cells_folder_depends_on_its_settings_only(run: Run, tmp_path: Path) -> None:
    assert run(*CELL, "trainer.max_epochs=1", "seed=3") == 0
    assert run(*CELL, "trainer.max_epochs=1", "seed=4", "threads=1") == 0
    assert run(*CELL, "trainer.max_epochs=1", "seed=4", "sparsity=0.5") == 0
    folders = sorted(p.parent.relative_to(tmp_path) for p in tmp_path.rglob("result.json"))
    assert len(folders) == 3
    assert [folder.name for folder in folders] == ["fold0-seed4", "fold0-seed3", "fold0-seed4"]
    assert folders[1].parent == folders[2].parent
    assert "S0.5" in str(folders[0])
    assert "S0.8" in str(folders[1])


def test_a_finished_cell_is_shown_and_forced_anew(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (*CELL, "trainer.max_epochs=1", "output_dir=out")
    assert run(*command) == 0
    first = record(tmp_path / "out")
    capsys.readouterr()
    assert run(*command) == 0
    assert "test accuracy" in capsys.readouterr().out
    assert record(tmp_path / "out") == first
    assert run(*command, "force=true") == 0
    again = record(tmp_path / "out")
    assert again["fit_seconds"] != first["fit_seconds"]
    assert again["test_loss"] == first["test_loss"]


def test_other_trainer_arguments_can_be_given(run: Run, tmp_path: Path) -> None:
    assert run(*CELL, "output_dir=out", "+trainer.limit_train_batches=2") == 0
    with (tmp_path / "out" / "metrics.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4", "6", "8", "10", "12"]


def test_batchnorm_is_recalibrated_on_the_training_set_unless_told_not_to(
    run: Run, tmp_path: Path
) -> None:
    tested = []
    for choice in ("true", "false"):
        command = (*CELL, f"recalibrate={choice}", f"output_dir=out-{choice}")
        assert run(*command) == 0
        tested.append(record(tmp_path / f"out-{choice}"))
    assert tested[0]["train_loss"] == tested[1]["train_loss"]
    assert tested[0]["test_loss"] != tested[1]["test_loss"]
    counts = [
        load_network(tmp_path / f"out-{choice}" / "model.pt").state_dict()[
            "features.1.num_batches_tracked"
        ]
        for choice in ("true", "false")
    ]
    # All 67 series in one batch, against the 12 batches of each epoch.
    assert counts[0] == 1
    assert counts[1] % 12 == 0


def test_multirun_makes_a_cell_of_every_combination(run: Run, tmp_path: Path) -> None:
    sweep = ("sparsity=0.5,0.9", "seed=0,1", "hydra.sweep.dir=sweep")
    assert run("-m", *CELL, "trainer.max_epochs=1", *sweep) == 0
    results = [record(path.parent) for path in (tmp_path / "sweep").rglob("result.json")]
    cells = {(result["sparsity"], result["seed"]) for result in results}
    assert cells == {(0.5, 0), (0.5, 1), (0.9, 0), (0.9, 1)}


def test_multivariate_data_of_another_archive_take_its_defaults(run: Run, tmp_path: Path) -> None:
    command = ("dataset=BasicMotions", "trainer.max_epochs=1", "model.kernel_size=9")
    assert run(*command, "output_dir=out") == 0
    result = record(tmp_path / "out")
    assert (result["sparsity"], result["config.model.width"]) == (0.9, 59)
    assert (result["config.model.padding"], result["config.dataset.scaling"]) == (
        "replicate",
        "none",
    )


def test_a_folder_of_other_settings_is_left_alone(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (*CELL, "trainer.max_epochs=1", "output_dir=out")
    assert run(*command) == 0
    before = record(tmp_path / "out")
    assert run(*command, "sparsity=0.5") == 2
    assert "model.sparsity was 0.8, now 0.5" in capsys.readouterr().err
    assert record(tmp_path / "out") == before
    (tmp_path / "out" / "result.json").unlink()
    assert run(*command, "model.start=random") == 2
    assert "model.start was 'tap_first', now 'random'" in capsys.readouterr().err
    (tmp_path / "out" / "last.ckpt").write_bytes(b"not a checkpoint")
    assert run(*command) == 2
    assert "last.ckpt is damaged" in capsys.readouterr().err


LARGEST = ("model=lite", "dsp=default", "dsp.rule=largest_activity")
MISTAKES = [
    (("dataset=GunPiont",), "did you mean GunPoint"),
    (("sparsity=1",), "sparsity=1: must be less than 1"),
    (("sparsity=-0.1",), "sparsity=-0.1: must be greater than or equal to 0"),
    (("sparsity='0.5'",), "is a number in quotes"),
    (("sparsity=abc",), "sparsity=abc: must be a valid number"),
    (("sparcity=0.5",), "sparcity: there is no such setting; did you mean sparsity"),
    (("model.widht=3",), "did you mean model.width"),
    (("+nonsense=1",), "nonsense=1: there is no such setting"),
    (("model=resnat",), "model=resnat: must be one of aeon, dsn, inception, lite"),
    (("dst=foo",), "dst=foo: must be one of dense, dsn, none, rigl, static"),
    (("sparsity=[",), "no viable alternative"),
    (("model.groups=2",), "groups=2: does not divide the 141"),
    (("model.width=0",), "model.width=0: must be greater than 0"),
    (("model.kernel_size=300",), "series of 150 steps allow at most 299"),
    (("dst.alpha=2",), "dst.alpha=2: must be less than or equal to 1"),
    (("dst.growth=randon",), "dst.growth: 'randon' is not registered; did you mean random"),
    (("dst.growth={name:momentum,decay:1}",), "dst.growth.decay=1: must be less than 1"),
    (("dst.growth={name:random,decay:0}",), "dst.growth.decay: random has no such setting"),
    (("dst.growth={decay:0.5}",), "dst.growth={'decay': 0.5}: must be a name, or settings with"),
    (("dst.drop=size",), "dst.drop: 'size' is not registered; known are magnitude, saliency"),
    (("dst.state=one",), "dst.state=one: must be 'zero', 'mean'"),
    (("dst.update_steps=0",), "dst.update_steps=0: must be greater than 0"),
    (("dst.growth=none", "dst.alpha=0.3"), "dst.alpha=0.3: nothing reads it with dst.growth=none"),
    (("dst=static", "dst.alpha=0.3"), "dst.alpha: there is no such setting"),
    (("model.distribution=ekr",), "model.distribution: 'ekr' is not registered; did you mean erk"),
    (("model=lite", "dst=dsn"), "dst: LITE has no sparse layers; use dst=none"),
    (("model=lite", "dsp=default", "dsp.penalty=-1"), "dsp.penalty=-1: must be greater than or"),
    ((*LARGEST, "dsp.tau=1"), "dsp.tau=1: must be in (0, 1) or auto"),
    ((*LARGEST, "dsp.tau=half"), "dsp.tau=half: must be in (0, 1) or auto"),
    ((*LARGEST, "dsp.min_series=2"), "dsp.min_series: largest_activity has no such setting"),
    (("model=lite", "dsp=default", "dsp.tau=0.7"), "dsp.tau: instance_mean has no such setting"),
    (("model=lite", "dsp=default", "dsp.min_series=0"), "dsp.min_series=0: must be greater"),
    (("model=lite", "dsp=default", "dsp.rule=instance_maen"), "did you mean instance_mean?"),
    (("model=lite", "dsp=default", "dsp.report=scratch"), "dsp: report=scratch needs scratch=true"),
    (("model=lite", "dsp=default", "dsp.scratch_epochs=1"), "contradicts scratch=False"),
    (("model=lite", "dsp=default", "dsp.layer_weights=[1]"), "must be 3 numbers, one a layer"),
    (("model=lite", "dsp=default", "dsp.finetune_epochs=0"), "dsp.finetune_epochs=0: must be"),
    (("model=lite", "dsp=defualt"), "dsp=defualt: must be one of default, none, scratch"),
    (("model=lite", "model.widths=[[3,3],[2],[2]]"), "must be 3 layers of 3, 1 and 1 branches"),
    (("optimizer.lr=-1",), "optimizer.lr=-1: must be greater than 0"),
    (("trainer.max_epochs=0",), "trainer.max_epochs=0: must be greater than 0"),
    (("trainer.precision=64",), "+trainer.precision="),
    (("+trainer.max_epoch=1",), "did you mean max_epochs"),
    (("+trainer.limit_train_batches=x",), "trainer.limit_train_batches=x: must be a valid"),
    (("trainer.accelerator=abacus",), "trainer.accelerator=abacus: must be 'auto', 'cpu'"),
    (("logger=wandb", "logger.mode=online"), "nobody is logged in to W&B"),
    (("output_dir=/dev/null/out",), "cannot write /dev/null/out"),
    (("dataset=HAR", "fold=1"), "HAR"),
]


@pytest.mark.parametrize(("overrides", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_status_2(
    run: Run, capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...], message: str
) -> None:
    capsys.readouterr()
    assert run("dataset=GunPoint", "trainer.max_epochs=1", *overrides) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert message in lines[0]


GROWTH_OF_MINE = """
from dsn_lab.registry import growths
from dsn_lab.sparse.growth.base import Growth

@growths.register("outermost")
class Outermost(Growth):
    def __init__(self, reverse: bool = False) -> None:
        self.reverse = reverse

    def grow(self, group, held, count, generator):
        free = (~held[group.region.span]).nonzero().flatten() + group.region.first
        taps = group.region.kernel_size
        free = free[free % taps < group.region.taps]
        return free[(free % taps).argsort(descending=not self.reverse, stable=True)[:count]]
"""


@pytest.mark.usefixtures("registers_its_own")
def test_a_growth_rule_of_ones_own_is_one_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "growth_of_mine.py").write_text(GROWTH_OF_MINE)
    taps = []
    for growth in ("outermost", "{name:outermost,reverse:true}"):
        command = (*CELL, "imports=[growth_of_mine]", "dst.update_every=1", f"dst.growth={growth}")
        assert run(*command, "output_dir=out", "force=true") == 0
        checkpoint = torch.load(tmp_path / "out" / "last.ckpt", weights_only=True)
        positions = checkpoint["state_dict"]["network.features.0.positions"]
        taps.append((positions % 9).float().mean())
    assert taps[0] > taps[1]


def test_diverged_training_says_so(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*CELL, "trainer.max_epochs=1", "optimizer.lr=1e30") == 2
    assert "lower optimizer.lr" in capsys.readouterr().err


def test_in_half_precision_all_is_tested_and_others_are_refused(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = (*CELL, "trainer.max_epochs=1", "output_dir=out")
    assert run(*cell, "+trainer.precision=bf16-mixed") == 0
    assert 0 <= record(tmp_path / "out")["test_accuracy"] <= 1
    assert run(*cell, "+trainer.precision=64-true") == 2
    assert "must be '32-true' or 'bf16-mixed'" in capsys.readouterr().err


def test_every_dataset_can_be_composed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (*names.UCI, names.UCR[0], names.UEA[-1]):
        capsys.readouterr()
        assert run(f"dataset={name}", "--cfg", "job", "--resolve") == 0
        assert f"name: {name}" in capsys.readouterr().out


def test_help_shows_the_commands_and_the_settings(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--help") == 0
    printed = capsys.readouterr().out
    assert "python run.py dataset=HAR sparsity=0.8" in printed
    assert "protocol_epochs: 1000" in printed
