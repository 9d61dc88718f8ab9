"""Every code block of README and site runs, shortened; the site builds with all its links."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dsn_lab import console, estimators
from dsn_lab.data.load import load_dataset
from dsn_lab.nn import DSN
from dsn_lab.records import model_file
from tests import synthetic
from tests.conftest import Run

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Installing is what tests/e2e/test_wheel.py does, completing test_console.py; the last need an
# account, or take an hour.
ELSEWHERE = ("pip install", "pip wheel", "DSN_LAB_MACHINE=", "eval ", "OMP_NUM_THREADS=1")


def blocks(*languages: str) -> list[Any]:
    return [
        pytest.param(page, body, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, (language, body) in enumerate(BLOCK.findall(page.read_text()))
        if language in languages
    ]


def commands() -> list[Any]:
    """Each command line once, without its comment."""
    found: dict[str, str] = {}
    for block in blocks("", "bash"):
        page, body = block.values
        for line in body.splitlines():
            text = re.sub(r"\s+#.*", "", line).strip()
            found.setdefault(text.removeprefix(".venv/bin/"), page.name)
    return [pytest.param(text, id=f"{page}: {text}") for text, page in found.items() if text]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the files that pages name: data, results, a model."""
    monkeypatch.chdir(tmp_path)
    chance = np.random.default_rng(0)
    x, y = chance.normal(size=(12, 1, 24)), np.arange(12) % 2
    for name in ("my_TRAIN.csv", "my_TEST.csv", "new.csv"):
        np.savetxt(name, np.c_[y, x[:, 0]], delimiter=",", fmt="%.6g")
    for name in ("a.tsv", "b.tsv"):
        np.savetxt(name, np.c_[x[:, 0], y], delimiter="\t", fmt="%.6g")
    np.savez("my.npz", X=x, y=y)
    np.savez("mine.npz", X_train=x, y_train=y, X_test=x, y_test=y)
    settings = {"name": "dsn", "in_channels": 1, "n_classes": 2, "width": 4, "kernel_size": 9}
    weights = DSN(in_channels=1, n_classes=2, width=4, kernel_size=9).state_dict()
    italy = load_dataset("ItalyPowerDemand", scaling="train")
    origin = {"dataset": italy.name, "archive": italy.archive, **italy.facts}
    content = model_file.Content(settings, (), italy.classes, weights, italy.cleaning, origin)
    model_file.write(tmp_path / "mine.pt", content)
    synthetic.sweep(tmp_path / "results", ["GunPoint", "Coffee"], [0])
    synthetic.pruning(tmp_path / "results", ["GunPoint"], [0, 1])
    for name in ("PATH", "exported"):
        (tmp_path / name).mkdir()
    published = "dataset,0\nGunPoint,0.9\nCoffee,0.95\n"
    (tmp_path / "PATH" / "Other_accuracy.csv").write_text(published)
    return tmp_path


def as_given(words: list[str]) -> list[str]:
    """Arguments, with the model and the folders that are there for those that are named."""
    words = [re.sub(r"\S*model\.pt$", "mine.pt", word) for word in words]
    words = [word for word in words if word != "--benchmark"]  # half a minute
    there = [sorted(map(str, Path().glob(word))) or [word] for word in words]
    return [word for each in there for word in each]


@pytest.mark.parametrize("text", commands())
def test_a_command_of_the_pages_runs(
    text: str, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    if text.startswith(ELSEWHERE):
        return
    if "wandb sweep" in text:
        text = text.partition(">")[0]
    words = shlex.split(text)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return
    if words[:2] == ["python", "run.py"]:
        words = ["dsn-lab", "train", *words[2:]]
    module = words[:2] == ["python", "-m"] and words[2].removeprefix("dsn_lab.")
    if module in console.COMMANDS:
        words = ["dsn-lab", str(module), *words[3:]]
    if words[0] == "dsn-lab":
        assert through_console(words[1:], run, monkeypatch) == 0, capfd.readouterr()
    else:
        assert words[0] == "python", f"{text}: nothing here runs it"
        done = subprocess.run([sys.executable, *words[1:]], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def through_console(words: list[str], run: Run, monkeypatch: pytest.MonkeyPatch) -> int:
    if words[0] in ("train", "sweep"):
        multirun = ["-m"] if words[0] == "sweep" else []
        dry = [] if "--help" in words else ["dry_run=true"]
        sweeps = any(word.startswith("+sweep=") for word in words)
        shorter = ["dataset=GunPoint", "seed=0"] if sweeps else []
        return run(*multirun, *words[1:], *shorter, *dry)
    monkeypatch.setattr("sys.argv", ["dsn-lab", *as_given(words)])
    try:
        console.main()
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def namespace(folder: Path) -> dict[str, Any]:
    """What the pages take as given."""
    chance, y = np.random.default_rng(0), np.arange(12) % 2
    x = chance.normal(size=(12, 1, 24))
    return {
        "X_train": x, "y_train": y, "X_test": x, "y_test": y, "series": x,
        "path": folder / "mine.pt", "nn": torch.nn,
    }  # fmt: skip


def shortened(given: Callable[..., list[str]]) -> Callable[..., list[str]]:
    return lambda self: [*given(self), "trainer.max_epochs=2"]


@pytest.mark.usefixtures("registers_its_own")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_of_a_page_runs(
    page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimators.Trains, "_given", shortened(estimators.Trains._given))
    names = namespace(folder)
    for language, body in BLOCK.findall(page.read_text()):
        if language == "python":
            exec(compile(re.sub(r'"results/\S*"', "path", body), str(page), "exec"), names)


def test_no_page_has_another_language() -> None:
    languages = {language for page in PAGES for language, _ in BLOCK.findall(page.read_text())}
    # What a C compiler is given is what tests of the export compile.
    assert languages <= {"", "bash", "python", "yaml", "c", "sh"}


def test_the_site_builds_with_all_its_links(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir")
    done = subprocess.run(
        [*command, str(tmp_path / "site")],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    reference = (tmp_path / "site" / "reference" / "models" / "index.html").read_text()
    assert "dsn_lab.estimators.DSNClassifier" in reference
