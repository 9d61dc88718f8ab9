"""The DSP paper's comparison in the report: from records and predictions, and from real runs."""

import csv
import re
from pathlib import Path

import pytest

from dsn_lab.report.__main__ import main
from tests.conftest import Run
from tests.synthetic import pruning

SETS = ("Coffee", "GunPoint", "BME", "Beef", "Car", "CBF", "ECG200", "Fish")
STAGES = ("pretrained", "pruned", "fine-tuned", "scratch")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_five_methods_singly_and_as_ensembles(tmp_path: Path) -> None:
    pruning(tmp_path / "results", SETS, range(3), narrow=(12,))
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    parts = tmp_path / "parts"
    shown = rows(parts / "pruning_lite.csv")
    five = ["LITE 32-filters", *(f"LITE DSP, {stage}" for stage in STAGES)]
    assert [row["network"] for row in shown] == [*five, "LITE 12-filters"]
    for row in shown:
        assert 0.5 < float(row["accuracy"]) < float(row["ensemble"]) <= 1
        assert float(row["compression"]) == pytest.approx(1 - float(row["params_active"]) / 10_000)
    for name, model in (("pruning_lite", "LITE"), ("pruning_lite_ensembles", "LITETime")):
        pairs = rows(parts / f"pairwise_{name}.csv")
        assert {pair["datasets"] for pair in pairs} == {"8"}
        methods = {pair[side] for pair in pairs for side in ("first", "second")}
        assert methods == {method.replace("LITE", model, 1) for method in five}
        for figure in ("critical_difference", "multi_comparison", "scatter", "accuracy_flops"):
            assert (parts / f"{figure}_{name}.png").exists()
    page = (tmp_path / "report.html").read_text()
    assert re.search(r"mean \d+\.\d %, median \d+\.\d %, least \d+\.\d % \(\w+\), most", page)
    assert "Ensembles of 3 networks" in page


@pytest.mark.parametrize(
    "stages", [("pretrained", "pruned", "finetuned"), ("pretrained", "pruned")]
)
def test_one_dataset_and_seed_with_the_stages_there_are(
    tmp_path: Path, stages: tuple[str, ...]
) -> None:
    pruning(tmp_path / "results", ["GunPoint"], [9409], stages=stages)
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    shown = rows(tmp_path / "parts" / "pruning_lite.csv")
    said = [f"LITE DSP, {stage}" for stage in STAGES[: len(stages)]]
    assert [row["network"] for row in shown] == ["LITE", *said]
    assert {row["ensemble"] for row in shown} == {""}
    pairs = rows(tmp_path / "parts" / "pairwise_pruning_lite.csv")
    assert len(pairs) == len(said) * (len(said) + 1) // 2


def test_a_narrow_network_that_lacks_a_dataset_is_left_out_of_the_means(tmp_path: Path) -> None:
    pruning(tmp_path / "results", SETS[:3], range(2), narrow=(12,))
    for path in (tmp_path / "results" / "BME" / "lite-12").rglob("result.json"):
        path.unlink()
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    shown = rows(tmp_path / "parts" / "pruning_lite.csv")
    assert "LITE 12-filters" not in [row["network"] for row in shown]
    assert {row["datasets"] for row in shown} == {"3"}


def test_without_a_base_there_are_no_differences(tmp_path: Path) -> None:
    pruning(tmp_path / "results", SETS[:2], range(2))
    for path in (tmp_path / "results").rglob("lite/*/result.json"):
        path.unlink()
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    shown = rows(tmp_path / "parts" / "pruning_lite.csv")
    assert [row["network"] for row in shown] == [f"LITE DSP, {stage}" for stage in STAGES]
    assert {row["difference"] for row in shown} == {row["compression"] for row in shown} == {""}


def test_sensitivity_to_lambda(tmp_path: Path) -> None:
    pruning(tmp_path / "results", SETS[:2], [0], (1e-4, 1e-5, 1e-6))
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    shown = rows(tmp_path / "parts" / "sensitivity_lite.csv")
    assert [float(row["penalty"]) for row in shown] == [1e-6, 1e-5, 1e-4]
    removed = [float(row["removed"]) for row in shown]
    assert removed == sorted(removed)
    assert (tmp_path / "parts" / "sensitivity_lite_lambda.png").exists()
    # Only the paper's lambda is shown with all its stages.
    assert "penalty=1e-05" in (tmp_path / "parts" / "pruning_lite.csv").read_text()


def test_ways_of_pruning_without_a_common_dataset_are_not_compared(tmp_path: Path) -> None:
    pruning(tmp_path / "results", ["Coffee"], [0], (1e-4,))
    pruning(tmp_path / "results", ["GunPoint"], [0], (1e-5,))
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    assert "pruned in several ways on a common dataset" in (tmp_path / "report.html").read_text()


def test_the_authors_results_stand_beside_ours(tmp_path: Path) -> None:
    pruning(tmp_path / "results", SETS[:3], range(2))
    dsp = tmp_path / "reference" / "dsp"
    dsp.mkdir(parents=True)
    header = "dataset,base_ens_acc,dsp_scratch_ens_acc,base_params,dsp_params_mean5\n"
    lines = "Coffee,1.0,0.9,10438,1043.8\nTrace,1.0,0.9,10438,5219\n"
    (dsp / "litetime_lambda1e-5_params.csv").write_text(header + lines)
    header = "dataset,LITETime_base,scratch_2e-5,finetuned_1e-5,LITE12,LITE16\n"
    lines = "Coffee,0.99,0.9,0.8,0.7,0.6\nBME,0.99,0.9,0.8,0.7,0.6\n"
    (dsp / "litetime_ensembles_128.csv").write_text(header + lines)
    main([str(tmp_path / "results"), f"out={tmp_path}", f"reference_dir={tmp_path / 'reference'}"])
    beside = {row["dataset"]: row for row in rows(tmp_path / "parts/pruning_lite_authors.csv")}
    assert list(beside) == ["BME", "Coffee"]
    coffee = {key: float(value) for key, value in beside["Coffee"].items() if key != "dataset"}
    assert coffee["removed_theirs"] == pytest.approx(0.9)
    assert coffee["frozen"] == 438
    left = 10_000 * (1 - coffee["removed"])
    assert coffee["removed_their_count"] == pytest.approx(1 - (left + 438) / 10_438)
    assert (coffee["base_theirs"], coffee["fine-tuned_theirs"], coffee["scratch_theirs"]) == (
        1.0, 0.8, 0.9,
    )  # fmt: skip
    assert coffee["base_difference"] == pytest.approx(coffee["base"] - 1)
    assert (beside["BME"]["base_theirs"], beside["BME"]["removed_theirs"]) == ("0.99", "")
    against = {row["second"] for row in rows(tmp_path / "parts/pairwise_published_ensembles.csv")}
    assert "LITETime DSP fine-tuned 1e-5 †" in against


def test_networks_and_ensembles_are_mixed_only_if_asked(tmp_path: Path) -> None:
    pruning(tmp_path / "results", SETS[:3], range(2))
    for name, folder, head in (
        ("results.csv", "lite", "dataset,LITE,LITETime,MultiROCKET"),
        ("HC2_accuracy.csv", "tsml", "folds:,0"),
        ("H-InceptionTime_accuracy.csv", "tsml", "folds:,0"),
    ):
        (tmp_path / "reference" / folder).mkdir(parents=True, exist_ok=True)
        lines = [f"{dataset}{',0.9' * head.count(',')}" for dataset in SETS[:3]]
        (tmp_path / "reference" / folder / name).write_text("\n".join([head, *lines]))
    published = {}
    for mixed in ("false", "true"):
        out = tmp_path / mixed
        reference = f"reference_dir={tmp_path / 'reference'}"
        main([str(tmp_path / "results"), f"out={out}", reference, f"mixed={mixed}"])
        for kind in ("published", "published_ensembles"):
            names = {
                row["second"].removesuffix(" †")
                for path in (out / "parts").glob(f"pairwise_{kind}*.csv")
                if kind == "published_ensembles" or "ensembles" not in path.name
                for row in rows(path)
                if row["second"].endswith("†")
            }
            published[kind, mixed] = names
    either = {"MultiROCKET", "HC2"}
    assert published["published", "false"] == {"LITE"} | either
    assert published["published_ensembles", "false"] == {"LITETime", "H-InceptionTime"} | either
    everything = {"LITE", "LITETime", "H-InceptionTime"} | either
    assert published["published", "true"] == everything
    assert published["published_ensembles", "true"] == everything


def test_a_pruned_run_and_its_base_are_enough(run: Run, tmp_path: Path) -> None:
    lite = ("model=lite", "model.widths=[[4,4,4],[4],[4]]", "dataset=ItalyPowerDemand")
    for dsp in ("none", "default"):
        assert run(*lite, f"dsp={dsp}", "trainer.max_epochs=3", "threads=1") == 0
    main([str(tmp_path / "results"), f"out={tmp_path}"])
    shown = rows(tmp_path / "parts" / "pruning_lite.csv")
    assert shown[0]["network"] == "LITE"
    assert [row["network"] for row in shown[1:4]] == [f"LITE DSP, {stage}" for stage in STAGES[:3]]
    redundancy = rows(tmp_path / "parts" / "redundancy_lite.csv")
    assert [row["network"] for row in redundancy] == ["base", "pretrained", "pruned", "final"]
    for row in redundancy:
        assert float(row["authors"]) >= 0
        assert 0 <= float(row["ours"]) <= 1
    assert int(float(redundancy[0]["filters"])) == 20
    (next((tmp_path / "results").rglob("pretrained.pt"))).write_bytes(b"damaged")
    main([str(tmp_path / "results"), f"out={tmp_path / 'again'}"])
    page = (tmp_path / "again" / "report.html").read_text()
    assert "Needs the saved networks of a pruned run" in page
