"""Cells that train in a second, and what they leave."""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch

from dsn_lab.records.cell import Cell
from dsn_lab.run import inference
from tests.conftest import SMALL, lasting
from tests.contract.training import checked

# Enough penalty and tau for filters to go after so few epochs.
PRUNED = (
    *("dsp=default", "dsp.penalty=1e-3", "dsp.rule=largest_activity", "dsp.tau=0.5"),
    *("dsp.finetune_epochs=10", "dsp.scratch=true", "dsp.scratch_epochs=20"),
)
KINDS = {
    "dsn": ({"model": "dsn", "dst": "dsn", "dsp": "none"}, SMALL),
    "rigl": ({"model": "dsn", "dst": "rigl", "dsp": "none"}, ("dst=rigl", *SMALL)),
    "validated": (
        {"model": "dsn", "dst": "dsn", "dsp": "none"},
        (*SMALL, "validation=0.3", "patience=8"),
    ),
    "lite": (
        {"model": "lite", "dst": "none", "dsp": "default"},
        ("model=lite", "model.widths=[[4,4,4],[4],[4]]", *PRUNED),
    ),
    "dsn-dsp": ({"model": "dsn", "dst": "dsn", "dsp": "default"}, (*SMALL, *PRUNED)),
}


def cell_in(folder: Path, kind: str = "dsn", epochs: int = 2) -> Cell:
    """A cell on a bundled dataset."""
    names, settings = KINDS[kind]
    usual = ("dataset=ItalyPowerDemand", f"trainer.max_epochs={epochs}", "threads=1")
    return Cell(folder, names, checked(*usual, *settings))


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small figures, and next to no measuring, which take most of a short run's time."""
    monkeypatch.setitem(mpl.rcParams, "savefig.dpi", 20)
    monkeypatch.setattr(inference, "SECONDS", 0.0)


def left_by(folder: Path) -> dict[str, Any]:
    """All that a finished cell has left but what a clock decides."""
    assert not list(folder.rglob("*.tmp"))
    record = json.loads((folder / "result.json").read_text())
    state = torch.load(folder / "last.ckpt", weights_only=True)
    state["callbacks"]["History"].pop("seconds")
    with np.load(folder / "predictions.npz") as predictions:
        arrays = {name: torch.from_numpy(predictions[name]) for name in predictions}
    return {
        "record": lasting(record),
        "state": {key: state[key] for key in ("state_dict", "optimizer_states", "callbacks")},
        "predictions": arrays,
        "files": {name: (folder / name).read_bytes() for name in ("metrics.csv", "model.pt")},
        "figures": sorted(path.name for path in (folder / "figures").iterdir()),
    }
