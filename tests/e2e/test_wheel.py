"""The wheel in an environment of its own, where there is no compiler and no checkout."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dsn_lab.kernels.sources import INSTRUCTIONS, PLAIN, ready_name

# One worker builds the wheel that all of these take.
pytestmark = [pytest.mark.compiler, pytest.mark.xdist_group("wheel")]

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "src", "conf", "sweeps")


def do(*command: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def compiler(name: str) -> str:
    found = shutil.which(name)
    if found is None and os.environ.get("CI") != "true":
        pytest.skip(f"needs {name}")
    assert found is not None, f"CI has to install {name}"
    return found


def built(folder: Path, **environment: str) -> Path:
    """Build a wheel of the working tree's files."""
    source = folder / "source"
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        source.mkdir(exist_ok=True)
        copy(ROOT / name, source / name)
    pip = (sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index")
    do(*pip, "--wheel-dir", folder, source, cwd=folder, **environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler("g++")
    return built(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment with the wheel; what it depends on lies beside ours."""
    folder = tmp_path_factory.mktemp("clean")
    do(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "venv" / "lib" / version / "site-packages"
    (site / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = (sys.executable, "-m", "pip", "--python", folder / "venv", "install")
    do(*pip, "--no-deps", "--no-index", wheel, cwd=folder)
    return folder / "venv" / "bin"


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_holds_every_module_configuration_and_kernel(wheel: Path) -> None:
    held = names(wheel)
    passed_over = re.compile(r"__pycache__|\.egg-info|\.pyc$")
    files = (path for path in (ROOT / "src").rglob("*") if path.is_file())
    wanted = [path.relative_to(ROOT / "src") for path in files if not passed_over.search(str(path))]
    wanted += [Path("dsn_lab", path.relative_to(ROOT)) for path in (ROOT / "conf").rglob("*.yaml")]
    wanted += [Path("dsn_lab/conf/sweep", path.name) for path in (ROOT / "sweeps").iterdir()]
    assert {str(path) for path in wanted} <= held
    assert f"linux_{platform.machine()}" in wheel.name
    for instructions in (*INSTRUCTIONS, PLAIN) if platform.machine() == "x86_64" else (PLAIN,):
        ready = ready_name(platform.machine(), instructions)
        assert f"dsn_lab/kernels/ready/{ready}" in held
    assert not [name for name in held if name.startswith(("tests", "source"))]


def csv(path: Path, n: int, seed: int) -> list[str]:
    """Write series of two kinds with their labels; returns the labels."""
    chance, time = np.random.default_rng(seed), np.arange(40)
    labels = [("slow", "fast")[row % 2] for row in range(n)]
    rows = [
        [label, *(np.sin(time / (5 if label == "slow" else 1)) + 0.1 * chance.normal(size=40))]
        for label in labels
    ]
    path.write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
    return labels


def test_from_the_wheel_alone_without_a_compiler(clean: Path, tmp_path: Path) -> None:
    csv(tmp_path / "mine_TRAIN.csv", 20, seed=0)
    csv(tmp_path / "mine_TEST.csv", 10, seed=1)
    labels = csv(tmp_path / "new.csv", 12, seed=2)
    alone = {"PATH": str(clean), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": ""}
    train = ("train", "dataset=own", "dataset.path=mine_TRAIN.csv", "model.width=8", "threads=1")
    more = ("trainer.max_epochs=15", "optimizer.lr=0.003", "output_dir=out")
    said = do(clean / "dsn-lab", *train, *more, cwd=tmp_path, **alone)
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["backend"] == "packed", said
    assert "commit" not in result
    assert not (tmp_path / "cache" / "dsn_lab").exists()
    predict = ("predict", "out/model.pt", "new.csv", "--output", "predicted.csv")
    do(clean / "dsn-lab", *predict, cwd=tmp_path, **alone)
    rows = (tmp_path / "predicted.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == labels
    said = do(
        clean / "dsn-lab",
        "export",
        "out/model.pt",
        "--to",
        "c",
        "--output",
        "device",
        cwd=tmp_path,
        **alone,
    )
    assert "there is no C compiler here" in said
    # Elsewhere, where there is one.
    device = tmp_path / "device"
    do(compiler("gcc"), "-O2", "example.c", "model.c", "-lm", "-o", "classify", cwd=device)
    series = "\n".join(line.partition(",")[2] for line in (tmp_path / "new.csv").open())
    (device / "series.csv").write_text(series)
    answers = do(device / "classify", "series.csv", cwd=device).splitlines()
    assert [answer.split()[0] for answer in answers] == labels
    said = do(clean / "dsn-lab", "sweep", "+sweep=fig8", "dry_run=true", cwd=tmp_path, **alone)
    assert "cells: 0 done" in said


def test_without_kernels_and_compiler_it_says_so_and_runs_dense(
    clean: Path, tmp_path: Path
) -> None:
    code = (
        "import logging; logging.basicConfig();"
        "from dsn_lab.kernels import build, prebuilt; from pathlib import Path;"
        "prebuilt.FOLDER = Path('nowhere'); print(build.why_unavailable())"
    )
    alone = {"PATH": str(clean), "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": "", "CXX": "g++"}
    said = do(clean / "python", "-c", code, cwd=tmp_path, **alone)
    assert "no C++ compiler found (install g++ or set CXX)" in said
    assert "sparse convolutions run as dense ones" in said


def test_a_wheel_for_another_processor(tmp_path: Path) -> None:
    cross = compiler("aarch64-linux-gnu-g++")
    wheel = built(tmp_path, DSN_LAB_MACHINE="aarch64", CXX=cross)
    assert wheel.name.endswith("-py3-none-linux_aarch64.whl")
    (ready,) = (name for name in names(wheel) if "/ready/" in name)
    assert ready == f"dsn_lab/kernels/ready/{ready_name('aarch64', PLAIN)}"
    with zipfile.ZipFile(wheel) as archive:
        assert int.from_bytes(archive.read(ready)[18:20], "little") == 183  # AArch64 in ELF
