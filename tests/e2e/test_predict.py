"""Predicting new series with a run's model.pt, by the user's command."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from aeon.datasets import load_classification

from dsn_lab import load_model, predict
from dsn_lab.nn import DSN
from dsn_lab.records import model_file
from tests.conftest import SMALL, Run

Predict = Callable[..., int]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Predict:
    """Call the command; returns the exit status."""

    def call(*arguments: object) -> int:
        capsys.readouterr()
        try:
            predict.main([str(each) for each in arguments])
        except SystemExit as left:
            return int(left.code or 0)
        return 0

    return call


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def written(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, Path]:
    """The series in every kind of file, with labels and without."""
    table = [[str(each) for each in row] for row in x[:, 0].tolist()]
    labelled = [[name, *row] for name, row in zip(y, table, strict=True)]
    named = [["Class", *(f"t{step}" for step in range(x.shape[2]))], *labelled]
    texts = {
        "labelled.tsv": ["\t".join(row) for row in labelled],
        "plain.csv": [",".join(row) for row in table],
        "named.csv": [",".join(row) for row in named],
        "header.csv": [",".join(row) for row in [named[0][1:], *table]],
        "labelled.ts": [
            "@timestamps false", "@classLabel true 1 2", "@data",
            *(f"{','.join(row[1:])}:{row[0]}" for row in labelled),
        ],
        "plain.ts": ["@classLabel false", "@data", *(",".join(row) for row in table)],
    }  # fmt: skip
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    np.savez(folder / "labelled.npz", X=x, y=y)
    np.savez(folder / "plain.npz", X_test=x[:, 0])
    np.save(folder / "plain.npy", x)
    return {name: folder / name for name in (*texts, "labelled.npz", "plain.npz", "plain.npy")}


def test_new_series_get_the_answers_of_the_test(
    run: Run, call: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("dataset=ItalyPowerDemand", "trainer.max_epochs=4", *SMALL, "output_dir=out")
    assert run(*command) == 0
    stored = np.load(tmp_path / "out" / "predictions.npz")
    x, y = load_classification("ItalyPowerDemand", split="test")
    accuracy = f"accuracy {(stored['trained'].argmax(axis=1) == stored['labels']).mean():.4f}"
    out = tmp_path / "predicted.csv"
    for name, path in written(tmp_path, x, y).items():
        assert call(tmp_path / "out" / "model.pt", path, "--output", out) == 0, name
        assert (accuracy in capsys.readouterr().err) == (not name.startswith(("plain", "header")))
        found = rows(out)
        assert list(found[0]) == ["class", "probability_1", "probability_2"]
        proba = [[float(row[f"probability_{name}"]) for name in "12"] for row in found]
        np.testing.assert_allclose(proba, stored["trained"], rtol=0, atol=2e-6)
        assert [row["class"] for row in found] == [str(1 + np.argmax(row)) for row in proba]
    model = load_model(tmp_path / "out" / "model.pt")
    assert model.predict(x).tolist() == [row["class"] for row in found]
    assert model.provenance["cell"].startswith("ItalyPowerDemand/dsn-dsn-S0.8-")
    assert call(tmp_path / "out" / "model.pt", tmp_path / "plain.csv") == 0
    assert capsys.readouterr().out == out.read_text()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An untrained network for series of 2 channels and 12 steps."""
    from dsn_lab.data.transforms import learn

    settings = {"name": "dsn", "in_channels": 2, "n_classes": 2, "width": 4, "kernel_size": 5}
    network = DSN(in_channels=2, n_classes=2, width=4, kernel_size=5)
    cleaning = learn(np.random.default_rng(0).normal(size=(4, 2, 12)), "train")
    content = model_file.Content(settings, (), ("a", "b"), network.state_dict(), cleaning, {})
    model_file.write(tmp_path / "model.pt", content)
    return tmp_path / "model.pt"


ROW = ",".join(["1"] * 12)
MISTAKES = [
    ("nowhere.pt", "x.npy", "nowhere.pt: No such file"),
    ("damaged.pt", "x.npy", "damaged.pt is damaged"),
    ("model.pt", "nowhere.csv", "nowhere.csv: there is no such file"),
    ("model.pt", "x.txt", "x.txt: expected one of .ts"),
    ("model.pt", "x.csv", "train has 2 channels but new has 1"),
    ("model.pt", "wide.csv", "has 15 columns, the network's series have 12 steps: say by --label"),
    ("model.pt", "text.csv", "line 1 holds 'hello' where a number is needed"),
    ("model.pt", "empty.csv", "empty.csv holds no series"),
    ("model.pt", "empty.npy", "expected numbers"),
    ("model.pt", "nan.npy", "new series 1 has no observation"),
    ("model.pt", "infinite.npy", "new series 0 is infinite or beyond float32 in channel 0"),
    ("model.pt", "other.npz", "has neither X_test nor X; its keys are Z"),
    ("model.pt", "bad.ts", "bad.ts has no line @data"),
]


@pytest.mark.parametrize(("file", "data", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_status_2(
    model: Path,
    call: Predict,
    capsys: pytest.CaptureFixture[str],
    file: str,
    data: str,
    message: str,
) -> None:
    folder = model.parent
    (folder / "damaged.pt").write_bytes(model.read_bytes()[:900])
    for name, text in {
        "x.txt": ROW, "x.csv": ROW, "wide.csv": ROW + ",1,1,1", "empty.csv": "\n",
        "text.csv": ROW.replace("1", "hello", 1), "bad.ts": "1,2:1",
    }.items():  # fmt: skip
        (folder / name).write_text(text + "\n")
    x = np.zeros((2, 2, 12))
    np.savez(folder / "other.npz", Z=x)
    np.save(folder / "x.npy", x)
    np.save(folder / "empty.npy", x[:0])
    np.save(folder / "nan.npy", np.stack([x[0], x[1] * np.nan]))
    np.save(folder / "infinite.npy", x + np.inf)
    before = sorted(folder.iterdir())
    assert call(folder / file, folder / data, "--output", folder / "out.csv") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert sorted(folder.iterdir()) == before


def test_a_place_that_is_not_there_is_refused_before_anything_is_read(
    model: Path, call: Predict, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call(model, "nowhere.csv", "--output", tmp_path / "no" / "out.csv") == 2
    assert "its folder does not exist" in capsys.readouterr().err
    assert call(model, "x.npy", "--label", "0") == 2
    assert call(model, "x.npy", "--imports", "nothing_here") == 2
    assert "imports=nothing_here: cannot be imported" in capsys.readouterr().err


def test_a_network_of_ones_own_is_named_by_imports(
    call: Predict,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from dsn_lab.data.transforms import learn

    (tmp_path / "networks_of_mine.py").write_text(
        "import torch\nfrom dsn_lab.registry import networks\n\n"
        "@networks.register('flat_of_mine')\nclass Flat(torch.nn.Linear):\n"
        "    def __init__(self, in_channels, n_classes):\n"
        "        super().__init__(in_channels, n_classes)\n"
        "    def forward(self, x):\n        return super().forward(x.mean(dim=-1))\n"
    )
    x = np.random.default_rng(0).normal(size=(4, 2, 12))
    settings = {"name": "flat_of_mine", "in_channels": 2, "n_classes": 2}
    weights = {"weight": np.ones((2, 2)), "bias": np.zeros(2)}
    import torch

    tensors = {name: torch.from_numpy(each).float() for name, each in weights.items()}
    content = model_file.Content(settings, (), ("a", "b"), tensors, learn(x, "none"), {})
    model_file.write(tmp_path / "model.pt", content)
    np.save(tmp_path / "x.npy", x)
    monkeypatch.chdir(tmp_path)
    assert call("model.pt", "x.npy") == 2
    assert "'flat_of_mine' is not registered" in capsys.readouterr().err
    assert call("model.pt", "x.npy", "--imports", "networks_of_mine") == 0
