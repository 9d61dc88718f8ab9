"""The file of a trained network: enough to predict, and noticed when it is not what was written."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dsn_lab import TrainedModel, load_model
from dsn_lab.data import transforms
from dsn_lab.errors import UserError
from dsn_lab.nn import DSN
from dsn_lab.records import model_file

FIXTURE = Path(__file__).parents[1] / "fixtures" / "format0"
SETTINGS: dict[str, Any] = {
    "name": "dsn", "in_channels": 2, "n_classes": 3, "width": 4, "kernel_size": 9, "depth": 2,
}  # fmt: skip
RAW = np.random.default_rng(0).normal(50, 9, (7, 2, 30))


def content() -> model_file.Content:
    torch.manual_seed(0)
    network = DSN(**{key: value for key, value in SETTINGS.items() if key != "name"})
    return model_file.Content(
        model=SETTINGS,
        shape=(),
        classes=("rest", "walk", "run"),
        weights=network.state_dict(),
        cleaning=transforms.learn(RAW, "train"),
        provenance={"dataset": "mine", "seed": 3},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    model_file.write(tmp_path / "model.pt", content())
    return tmp_path / "model.pt"


@pytest.fixture
def model(path: Path) -> TrainedModel:
    return load_model(path)


def test_what_is_written_is_read(path: Path, model: TrainedModel, tmp_path: Path) -> None:
    assert model.classes == ("rest", "walk", "run")
    assert (model.channels, model.length) == (2, 30)
    assert model.provenance == {"dataset": "mine", "seed": 3}
    assert not model.network.training
    for name, tensor in model.network.state_dict().items():
        assert tensor.equal(content().weights[name])
    model.save(tmp_path / "again.pt")
    assert (tmp_path / "again.pt").read_bytes() == path.read_bytes()


def test_the_scaling_of_training_is_applied(model: TrainedModel) -> None:
    x = model.prepare(RAW)
    expected = ((RAW - RAW.mean()) / RAW.std()).astype(np.float32)
    torch.testing.assert_close(x, torch.from_numpy(expected))
    proba = model.predict_proba(RAW)
    assert proba.shape == (7, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=0, atol=1e-12)
    assert model.predict(RAW).tolist() == [model.classes[best] for best in proba.argmax(axis=1)]


def test_series_come_in_all_forms(model: TrainedModel) -> None:
    from aeon.utils.conversion import convert_collection

    x = model.prepare(RAW)
    forms = [list(RAW), [one.tolist() for one in RAW], RAW.tolist(), RAW.astype(np.float64)]
    forms += [convert_collection(RAW, form) for form in ("df-list", "pd-multiindex")]
    for form in forms:
        assert model.prepare(form).equal(x)
    wide = transforms.learn(RAW[:, :1], "none")
    one = replace(content(), model=SETTINGS | {"in_channels": 1}, cleaning=wide)
    torch.manual_seed(0)
    network = DSN(1, 3, width=4, kernel_size=9, depth=2).eval()
    univariate = TrainedModel(one, wide, network)
    x = univariate.prepare(RAW[:, :1])
    frame = convert_collection(RAW[:, :1], "pd-wide")
    for form in (RAW[:, 0], list(RAW[:, 0]), frame):
        assert univariate.prepare(form).equal(x)


def test_lengths_and_gaps_are_treated_as_the_policy_says(model: TrainedModel) -> None:
    short, long = RAW[0, :, :20], np.concatenate([RAW[1], RAW[2]], axis=1)
    x = model.prepare([short, long])
    assert x.shape == (2, 2, 30)
    assert x[0, :, 20:].eq(0).all()
    assert x[1].equal(model.prepare(RAW[1:2])[0])
    gap = RAW[:1].copy()
    gap[0, 1, 4] = np.nan
    filled = RAW[:1].copy()
    filled[0, 1, 4] = (filled[0, 1, 3] + filled[0, 1, 5]) / 2
    torch.testing.assert_close(model.prepare(gap), model.prepare(filled))


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (RAW[:, :1], "train has 2 channels but new has 1"),
        (RAW[:, 0], "train has 2 channels but new has 1"),
        (RAW[:0], "needs at least one|expected"),
        ([], "needs at least one"),
        (RAW[:, :, :0], "expected"),
        ([RAW[0], RAW[1, :, :0]], "new series 1 has shape"),
        (np.full((1, 2, 30), np.nan), "no observation"),
        (np.full((1, 2, 30), np.inf), "infinite"),
        (3.0, "expected an array"),
        ([["a"]], "no numbers"),
        ([RAW], r"series 0 has shape \(7, 2, 30\)"),
    ],
    ids=str,
)
def test_series_that_cannot_be_used_are_refused(
    model: TrainedModel, series: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        model.predict(series)
    assert "\n" not in str(caught.value)


def test_every_altered_byte_is_noticed(path: Path) -> None:
    raw = path.read_bytes()
    header = 8 + int.from_bytes(raw[:8], "little")
    random = np.random.default_rng(0)
    places = [0, 8, header - 1, header, len(raw) - 1, *random.integers(0, len(raw), 60).tolist()]
    for place in places:
        altered = bytearray(raw)
        altered[place] ^= 1
        path.write_bytes(altered)
        with pytest.raises(UserError, match=r"damaged|altered|is no model") as caught:
            load_model(path)
        assert "\n" not in str(caught.value)
    for length in (0, 1, 7, 8, header - 5, header, len(raw) - 1):
        path.write_bytes(raw[:length])
        with pytest.raises(UserError, match=r"damaged|is no model"):
            load_model(path)


def rewritten(path: Path, **changes: Any) -> None:
    """Write the file with other words in its text, and the digest that belongs to them."""
    said, weights = model_file.told(content()) | changes, content().weights
    text = json.dumps(said | {"sha256": model_file.digest(said, weights)})
    save_file(weights, path, {model_file.KEY: text})


def test_files_of_other_times_and_other_people_are_refused(path: Path, tmp_path: Path) -> None:
    rewritten(path)
    load_model(path)
    rewritten(path, format=2)
    with pytest.raises(UserError, match="format 2, this version reads 1 to 1: install a later"):
        load_model(path)
    rewritten(path, model=SETTINGS | {"name": "os.system"})
    with pytest.raises(UserError, match=r"'os.system' is not registered"):
        load_model(path)
    rewritten(path, model=SETTINGS | {"width": 5})
    with pytest.raises(UserError, match="weights are of another network"):
        load_model(path)
    rewritten(path, cleaning={"scaling": "train"})
    with pytest.raises(UserError, match="damaged"):
        load_model(path)
    save_file(content().weights, path)
    with pytest.raises(UserError, match="is no model of dsn_lab"):
        load_model(path)
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "nowhere.pt")


def test_an_early_file_says_that_the_scaling_is_lost() -> None:
    for path in FIXTURE.rglob("model.pt"):
        with pytest.raises(UserError, match="does not say how raw series are scaled"):
            load_model(path)
