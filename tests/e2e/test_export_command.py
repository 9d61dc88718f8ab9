"""Exporting a run's model.pt by the user's command."""

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from aeon.datasets import load_classification

from dsn_lab import load_model
from dsn_lab.export import __main__ as export
from dsn_lab.export.c.compiled import STRICT, compiler
from tests.conftest import SMALL, Run

Export = Callable[..., int]
needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C compiler here")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Export:
    """Call the command; returns the exit status."""

    def call(*arguments: object) -> int:
        capsys.readouterr()
        try:
            export.main([str(each) for each in arguments])
        except SystemExit as left:
            return int(left.code or 0)
        return 0

    return call


@pytest.fixture
def model(run: Run) -> Path:
    """The model of a short run."""
    settings = ("dataset=ItalyPowerDemand", "trainer.max_epochs=3", *SMALL)
    assert run(*settings, "output_dir=cell") == 0
    return Path("cell/model.pt")


def series() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_classification("ItalyPowerDemand", split="test")
    return x[:40], y[:40]


def test_onnx_takes_raw_series_of_any_number(model: Path, call: Export) -> None:
    assert call(model, "--to", "onnx", "--output", "model.onnx") == 0
    session = onnxruntime.InferenceSession("model.onnx")
    x, _ = series()
    for part in (x, x[:1]):
        says = session.run(["probabilities"], {"series": part.astype(np.float32)})[0]
        np.testing.assert_allclose(says, load_model(model).predict_proba(part), atol=1e-5)
    told: dict[str, Any] = {e.key: e.value for e in onnx.load("model.onnx").metadata_props}
    assert json.loads(told["class_names"]) == ["1", "2"]


@needs_compiler
def test_the_example_prints_the_classes_of_a_csv(
    model: Path, call: Export, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(model, "--to", "c", "--output", "power.c") == 0
    said = capsys.readouterr().out
    # On the set's own 1029 series, found by what the model says of its data.
    assert "1029 of 1029 labels equal" in said
    command = compiler()
    assert command is not None
    files = ["example.c", "power.c", "-o", "example", "-lm"]
    subprocess.run([command, *STRICT, *files], check=True)
    x, _ = series()
    np.savetxt("new.csv", x[:, 0], delimiter=",", fmt="%.9g")
    done = subprocess.run(["./example", "new.csv"], capture_output=True, text=True, check=True)
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == load_model(model).predict(x).tolist()
    # A series that is not whole is none.
    bad = subprocess.run(["./example"], input="1,2\n", capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stdout) == (2, "")
    nan = ",".join(["nan"] * 24)
    done = subprocess.run(["./example"], input=nan, capture_output=True, text=True, check=True)
    assert done.stdout == "line 1: not finite\n"


@needs_compiler
def test_a_benchmark_measures_all_runtimes(
    model: Path, call: Export, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--to", "c", "--output", "power.c", "--dtype", "int8", "--benchmark")
    assert call(model, *arguments) == 0
    assert "% in int8" in capsys.readouterr().out
    with Path("power.benchmark.csv").open() as file:
        rows = {row["runtime"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["torch", "ONNX Runtime", "C, float32", "C, int8"]
    assert all(float(row["milliseconds"]) > 0 for row in rows.values())
    assert rows["C, float32"]["accuracy"] == rows["torch"]["accuracy"]
    assert rows["ONNX Runtime"]["accuracy"] == rows["torch"]["accuracy"]
    sizes = {name: int(row["weights"]) for name, row in rows.items()}
    assert sizes["C, int8"] < sizes["C, float32"] < sizes["ONNX Runtime"]


def test_without_a_compiler_c_is_written_and_says_so(
    model: Path, call: Export, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert call(model, "--to", "c", "--output", "out", "--dtype", "int8") == 0
    assert "no C compiler" in capsys.readouterr().out
    assert {path.name for path in Path("out").iterdir()} == {"model.c", "model.h", "example.c"}


def test_series_of_ones_own_are_checked_and_calibrated_on(
    model: Path, call: Export, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = series()
    np.savez("mine.npz", X=x, y=y)
    arguments = ("--to", "c", "--output", "out", "--dtype", "int8", "--train", "mine.npz")
    assert call(model, *arguments, "--test", "mine.npz") == 0
    assert "mine.npz (40 series)" in capsys.readouterr().out


MISTAKES = {
    "--to onnx --output out.c": "must end in .onnx",
    "--to c --output none/out.c": "its folder does not exist",
    "--to c --output 1.c": "must begin with a letter",
    "--to c --output example.c": "example.c is the example's name",
    "--to onnx --output out.onnx --dtype int8": "--to onnx takes float32 only",
    "--to c --output out.c --test none.npz": "there is no such file",
    "--to c --output out.c --test short.npz": "no series has the network's 24 steps",
    "--to c --output out.c --test wide.npz": "2 channels, the network has 1",
}


def test_mistakes_end_in_one_line_and_no_file(
    model: Path, call: Export, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez("short.npz", X=np.ones((3, 1, 5)))
    np.savez("wide.npz", X=np.ones((3, 2, 24)))
    for arguments, message in MISTAKES.items():
        refused(call, capsys, message, model, *arguments.split())


def test_what_is_missing_is_named(
    model: Path,
    call: Export,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    to_c = (model, "--to", "c", "--output", "out.c")
    monkeypatch.setenv("CC", "no-such-cc")
    refused(call, capsys, "CC=no-such-cc", *to_c)
    monkeypatch.delenv("CC")
    broken = Path("broken-cc")
    broken.write_text("#!/bin/sh\necho 'error: out of order' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken.absolute()))
    refused(call, capsys, "out of order", *to_c)
    monkeypatch.setattr(util, "find_spec", lambda _: None)
    refused(call, capsys, "needs the package onnx", model, "--to", "onnx", "--output", "out.onnx")
    content = model.read_bytes()
    model.write_bytes(content[: len(content) // 2])
    refused(call, capsys, "damaged", *to_c)


def test_a_network_that_is_no_c_and_int8_without_series_are_refused(
    run: Run, call: Export, capsys: pytest.CaptureFixture[str]
) -> None:
    x, _ = series()
    np.savez("own.npz", X=x, y=np.arange(40) % 2)
    own = ("dataset=own", "dataset.path=own.npz", "dataset.test_size=0.5", "trainer.max_epochs=1")
    assert run(*own, *SMALL, "output_dir=cell") == 0
    to_c = ("--to", "c", "--output", "out.c")
    refused(call, capsys, "--train", "cell/model.pt", *to_c, "--dtype", "int8")
    small = "model.widths=[[2,2,2,2],[2,2,2,2],[2,2,2,2]]"
    assert run(*own, "model=inception", small, "output_dir=wide") == 0
    refused(call, capsys, "Inception cannot be a C file", "wide/model.pt", *to_c)


def refused(
    call: Export, capsys: pytest.CaptureFixture[str], message: str, *arguments: object
) -> None:
    before = set(Path().rglob("*"))
    assert call(*arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert set(Path().rglob("*")) == before
