import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hypothesis import settings

from dsn_lab import cli, registry

# How long an example takes depends on what else the machine does.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# Small enough to train in a second, with every part of the real network.
SMALL = ("model.width=4", "model.kernel_size=9", "model.depth=2")

Run = Callable[..., int]


def record(folder: Path) -> dict[str, Any]:
    """The result in a cell's folder."""
    loaded = json.loads((folder / "result.json").read_text())
    assert isinstance(loaded, dict)
    return loaded


# What a clock or a machine decides.
MEASURED = ("fit_seconds", "fit_mj", "test_seconds", "finished", "latency_", "inference_")


def lasting(result: dict[str, Any]) -> dict[str, Any]:
    """Of a record what two equal runs agree on."""
    return {key: value for key, value in result.items() if not key.startswith(MEASURED)}


def left_in(folder: Path) -> list[Path]:
    """What there is but the home folder, where packages keep their caches."""
    return [path for path in folder.iterdir() if path.name != "home"]


@pytest.fixture(autouse=True)
def _alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One thread, no account, no data but what aeon bundles; one cache, for the kernel's build."""
    torch.set_num_threads(1)
    for name in ("DSN_LAB_DATA", "WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp().parent / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def registers_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this test registers, no other sees."""
    for choices in vars(registry).values():
        if isinstance(choices, registry.Registry):
            list(choices)  # finds ours, for good
            for held in ("_items", "_small", "_first"):
                monkeypatch.setattr(choices, held, dict(getattr(choices, held)))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """Call the command line in this process, in a folder of its own; returns the exit status."""
    monkeypatch.chdir(tmp_path)

    def call(*overrides: str) -> int:
        monkeypatch.setattr("sys.argv", ["run.py", *overrides])
        GlobalHydra.instance().clear()
        try:
            cli.main()
        except SystemExit as left:
            return int(left.code or 0)
        return 0

    # Hydra changes the environment and the logging of the process.
    environment = dict(os.environ)
    yield call
    # Workers are kept for the next sweep, in the folder of this one.
    if loky := sys.modules.get("joblib.externals.loky"):
        loky.get_reusable_executor().shutdown(wait=True)
    os.environ.clear()
    os.environ.update(environment)
