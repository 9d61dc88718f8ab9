"""``python -m dsn_lab.report``: the page and the files beside it."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dsn_lab.report.__main__ import main
from tests.conftest import SMALL, Run
from tests.synthetic import record, sweep, write

SETS = ("HAR", "EEG2", "BME", "Beef", "Car", "CBF", "Coffee", "GunPoint")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def headings(page: Path) -> list[str]:
    return re.findall(r"<h2>(.+?)</h2>", page.read_text())


def test_test_series_of_the_training_set_are_marked(tmp_path: Path) -> None:
    made = [record("EEG2", n_test_in_train=24), record("HAR", n_test_in_train=0), record("BME")]
    for one in made:
        write(tmp_path / "results", one, "dsn")
    main([str(tmp_path / "results"), f"out={tmp_path / 'out'}"])
    page = (tmp_path / "out" / "report.html").read_text()
    assert "in the training set, too: EEG2 24." in page
    assert [name for name in ("EEG2", "HAR", "BME") if f"{name} †" in page] == ["EEG2"]
    sweep(tmp_path / "old", SETS, [0])
    main([str(tmp_path / "old"), f"out={tmp_path / 'old_out'}"])
    assert "in the training set, too" not in (tmp_path / "old_out" / "report.html").read_text()


def test_every_part_whose_data_is_there_is_on_the_page_and_in_files(tmp_path: Path) -> None:
    sweep(tmp_path / "results", SETS, range(3))
    reference = tmp_path / "reference" / "oscnn"
    reference.mkdir(parents=True)
    rows = "".join(f"{name},{80 + i}\n" for i, name in enumerate(SETS[2:]))
    (reference / "Result_for_128_UCR_datasets.csv").write_text("dataset_name,OS-CNN\n" + rows)
    out = tmp_path / "out"
    main([str(tmp_path / "results"), f"out={out}", f"reference_dir={tmp_path / 'reference'}"])
    assert headings(out / "report.html") == [
        "Contents",
        "Headline",
        "Methods and accuracy",
        "Table 1, pairwise wins on UCR-85",
        "Table 2, multivariate datasets",
        "Table 3, sparsity",
        "Table 4, kernel groups",
        "Comparison of methods",
        "Comparison with published results",
        "Accuracy against FLOPs",
        "Not in this report",
    ]
    names = {path.name for path in (out / "parts").iterdir()}
    for name in ("critical_difference_ours", "multi_comparison_published", "scatter_ours"):
        assert {f"{name}.png", f"{name}.csv", f"{name}.tex"} <= names
    for name in ("methods", "accuracy", "table1", "table2", "table3", "table4", "pairwise_ours"):
        assert {f"{name}.csv", f"{name}.tex"} <= names
    assert r"\toprule" in (out / "parts" / "table3.tex").read_text()
    assert (out / "runs.parquet").exists()
    assert len(list((out / "tsml-eval" / "fold0").glob("*_accuracy.csv"))) == 2 * 5


def test_the_papers_numbers_stand_beside_ours_with_the_difference(tmp_path: Path) -> None:
    for seed, accuracy in ((0, 0.96), (1, 0.97)):
        made = record("HAR", accuracy=accuracy, seed=seed, params_active=160_126, epochs=10)
        write(tmp_path / "results", made, "dsn")
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    with (tmp_path / "parts" / "table3.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["method"]]
    (row,) = rows
    assert (row["row"], row["dataset"]) == ("S = 80 %", "HAR")
    assert float(row["accuracy printed"]) == 96.82
    assert float(row["ours"]) == pytest.approx(96.5)
    assert float(row["difference"]) == pytest.approx(-0.32)
    assert float(row["params (K) difference"]) == pytest.approx(-0.004)
    assert (float(row["n"]), row["deviations"]) == (2, "10 epochs")


def test_an_incomplete_cell_is_marked_and_takes_no_part(tmp_path: Path) -> None:
    for dataset in ("GunPoint", "Coffee"):
        for dst in ("dsn", "rigl"):
            for seed in range(2):
                if (dataset, dst, seed) != ("Coffee", "rigl", 1):
                    write(tmp_path / "results", record(dataset, seed=seed, dst=dst), dst)
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    page = (tmp_path / "report.html").read_text()
    assert "90.00 (1/2)" in page
    assert "over the 1 dataset for which all have" in page
    assert "1 other left out: Coffee" in page
    assert "Missing and damaged" in headings(tmp_path / "report.html")
    with (tmp_path / "parts" / "pairwise_ours.csv").open() as file:
        assert [row["datasets"] for row in csv.DictReader(file)] == ["1"]


def test_one_run_gives_a_page_that_says_what_is_missing(tmp_path: Path) -> None:
    write(tmp_path / "results", record("GunPoint", epochs=2), "dsn")
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    page = (tmp_path / "report.html").read_text()
    assert "90.00 (1)" in page
    assert "1 of 1 runs are shortened" in page
    assert "Needs runs of two methods; there is one." in page


def test_receptive_fields_with_and_without_groups(run: Run, tmp_path: Path) -> None:
    cell = ("dataset=ItalyPowerDemand", "trainer.max_epochs=1", *SMALL)
    for groups in (1, 3):
        assert run(*cell, f"model.groups={groups}") == 0
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    with (tmp_path / "parts" / "enrf_ItalyPowerDemand.csv").open() as file:
        rows = list(csv.DictReader(file))
    kernels = {(row["layer"], row["variant"]): 0 for row in rows}
    for row in rows:
        kernels[row["layer"], row["variant"]] += int(row["kernels"])
    # Two layers of 1 x 12 and 4 x 12 kernels.
    layers = {"1": 12, "2": 48}
    variants = ("3 groups", "without groups")
    assert kernels == {(i, v): n for i, n in layers.items() for v in variants}


def test_pruned_networks_stand_beside_their_base(tmp_path: Path) -> None:
    model: dict[str, Any] = {"model": "lite", "dst": "none", "params_active": 10_000}
    pruned: dict[str, Any] = {
        "accuracy_pretrained": 0.91, "accuracy_pruned": 0.5, "accuracy_finetuned": 0.92,
        "params_base": 10_000, "params_pruned": 4_000, "flops_base": 10, "flops_pruned": 4,
    }  # fmt: skip
    write(tmp_path / "results", record("Coffee", dsp="none", **model), "base")
    write(tmp_path / "results", record("Coffee", dsp="default", **model, **pruned), "dsp")
    scratch = model | {"params_active": 4_000}
    write(tmp_path / "results", record("Coffee", dsp="scratch", **scratch), "scratch")
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    shown = (tmp_path / "parts" / "pruning_lite.tex").read_text()
    lines = [line.rstrip("\\ ") for line in shown.splitlines() if "&" in line]
    rows = [[cell.strip() for cell in line.split("&")] for line in lines]
    assert [row[0] for row in rows[1:]] == [
        "LITE",
        "LITE DSP, pretrained",
        "LITE DSP, pruned",
        "LITE DSP, fine-tuned",
        "LITE DSP-scratch",
    ]
    assert [row[1] for row in rows[1:]] == ["90.00", "91.00", "50.00", "92.00", "90.00"]
    assert [row[-1] for row in rows[1:]] == ["0.0", "0.0", "60.0", "60.0", "60.0"]


def test_the_dry_run_writes_what_wandb_would_get(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep(tmp_path / "results", ("GunPoint", "Coffee"), range(2))
    main([str(tmp_path / "results"), "--wandb", "--dry-run", f"out={tmp_path / 'out'}"])
    workspace, report = capsys.readouterr().out.split()
    text = Path(workspace).read_text()
    assert json.loads(text)["spec"]["section"]["runSets"][0]["grouping"]
    for wanted in ("test_accuracy", "config:model.value.sparsity", "train_loss"):
        assert wanted in text
    blocks = json.loads(Path(report).read_text())["spec"]["blocks"]
    assert sum(block["type"] == "panel-grid" for block in blocks) == 4
    assert "20 runs of 5 methods on 2 datasets" in Path(report).read_text()


def test_without_wandb_workspaces_a_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, record("GunPoint"), "dsn")
    monkeypatch.delitem(sys.modules, "dsn_lab.report.dashboard", raising=False)
    monkeypatch.delattr("dsn_lab.report.dashboard", raising=False)
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    assert "pip install wandb-workspaces" in refused(capsys, str(tmp_path), "--wandb", "--dry-run")


def test_a_report_without_networks_does_not_import_torch(tmp_path: Path) -> None:
    sweep(tmp_path / "results", ("GunPoint", "Coffee"), range(2))
    code = "import sys; from dsn_lab.report.__main__ import main; main(sys.argv[1:])\n"
    code += "print({'torch', 'lightning', 'wandb'} & set(sys.modules))"
    command = [sys.executable, "-c", code, str(tmp_path / "results"), f"out={tmp_path}"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere: there is no such folder"),
        (["results", "refrence_dir=x"], "known: reference_dir="),
        (["results", "reference_dir=nowhere"], "reference_dir=nowhere"),
        (["results", "--dry-run"], "--wandb"),
        (["results", "--wandb"], "entity=NAME"),
    ],
)
def test_mistakes_end_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "results", record("GunPoint"), "dsn")
    assert said in refused(capsys, *arguments)


def test_a_chosen_pair_is_drawn_and_an_unknown_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep(tmp_path / "results", ("GunPoint", "Coffee"), [0])
    chosen = "scatter=DSN S=0.5 groups=3 / DSN dense; DSN dense / DSN S=0.9 groups=3"
    main([str(tmp_path / "results"), f"out={tmp_path}", chosen])
    alts = re.findall(r'alt="(DSN[^"]+)"', (tmp_path / "report.html").read_text())
    found = [re.findall(r"(DSN.+?) against (DSN.+?):", alt) for alt in alts]
    assert [pairs for pairs in found if pairs] == [
        [("DSN S=0.5 groups=3", "DSN dense"), ("DSN dense", "DSN S=0.9 groups=3")]
    ]
    assert "did you mean DSN dense" in refused(
        capsys, str(tmp_path / "results"), f"out={tmp_path}", "scatter=DSN dens / DSN dense"
    )
    assert "must be two methods" in refused(capsys, str(tmp_path / "results"), "scatter=DSN")
