"""Every network becomes an ONNX file that says what it says, of any batch."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx
import pytest
import torch

from dsn_lab.data.transforms import SCALINGS, learn
from dsn_lab.export import onnx as export
from dsn_lab.trained import TrainedModel
from tests.contract.training import CHANNELS, CLASSES, checked, choices, fitted, made, small

TIME = 30
MODELS = [model for model in choices("model") if model not in fitted()]


def model_of(name: str, scaling: str) -> TrainedModel:
    """A network of random weights with what an export reads of a model."""
    torch.manual_seed(0)
    settings = checked(*small(name)).model
    random = np.random.default_rng(0)
    standin = SimpleNamespace(
        network=made(settings, TIME).eval(),
        cleaning=learn(random.normal(2, 3, (20, CHANNELS, TIME)), scaling),
        channels=CHANNELS,
        length=TIME,
        classes=tuple("abc"),
        settings=settings,
        provenance={"dataset": "noise"},
    )
    return cast(TrainedModel, standin)


@pytest.mark.parametrize(("index", "name"), enumerate(MODELS))
def test_every_network_becomes_onnx(index: int, name: str, tmp_path: Path) -> None:
    model = model_of(name, SCALINGS[index % len(SCALINGS)])
    path = tmp_path / "model.onnx"
    export.write(model, path)
    raw = np.random.default_rng(1).normal(2, 3, (7, CHANNELS, TIME)).astype(np.float32)
    raw[0, 0] = 5  # a constant channel has no deviation to divide by
    cleaned = torch.from_numpy(model.cleaning.apply(raw, "new")[0])
    with torch.inference_mode():
        expected = model.network(cleaned).softmax(dim=1).numpy()
    session = export.session(path)
    for batch in (7, 1):
        says = export.probabilities(session, raw[:batch])
        assert says.shape == (batch, CLASSES)
        np.testing.assert_allclose(says, expected[:batch], atol=1e-5)
    told: dict[str, Any] = {each.key: each.value for each in onnx.load(path).metadata_props}
    assert json.loads(told["class_names"]) == ["a", "b", "c"]
