"""The estimators: the command line's training, and what scikit-learn does with classifiers."""

import logging
import os
import pickle
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from dsn_lab import load_model
from dsn_lab.errors import UserError
from dsn_lab.estimators import DSNClassifier, InceptionClassifier, LITEClassifier
from tests.conftest import Run

TINY: dict[str, Any] = {"width": 4, "depth": 2, "kernel_size": 9, "n_epochs": 3}
DSN_TINY = ("model.width=4", "model.depth=2", "model.kernel_size=9", "trainer.max_epochs=3")
LITE_TINY: dict[str, Any] = {"n_filters": 3, "n_epochs": 3, "batch_size": 8}


def data(channels: int = 2, n: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Series of three classes whose names, sorted as text, are not sorted as numbers."""
    y = np.array(["10", "2", "1"])[np.arange(n) % 3]
    chance = np.random.default_rng(0)
    time = np.arange(30)
    periods = {"10": 5, "2": 9, "1": 14}
    waves = np.stack([np.sin(2 * np.pi * time / periods[label]) for label in y])
    return 100 + 20 * (waves[:, None] + 0.3 * chance.standard_normal((n, channels, 30))), y


SAME = [
    (DSNClassifier(**TINY, random_state=3), ("model=dsn", *DSN_TINY)),
    (DSNClassifier(**TINY, dst="dense", random_state=3), ("dst=dense", *DSN_TINY)),
    (
        LITEClassifier(**LITE_TINY, prune=True, overrides=("dsp.penalty=1e-3",), random_state=3),
        (
            *("model=lite", "model.widths=[[3,3,3],[3],[3]]", "trainer.max_epochs=3"),
            *("batch_size=8", "dsp=default", "dsp.penalty=1e-3"),
        ),
    ),
    (
        InceptionClassifier(n_filters=2, depth=3, n_epochs=2, random_state=3),
        ("model=inception", f"model.widths={[[2] * 4] * 3}", "trainer.max_epochs=2"),
    ),
]


@pytest.mark.parametrize(
    ("estimator", "command"), SAME, ids=[f"{type(e).__name__}-{c[0]}" for e, c in SAME]
)
def test_the_same_seed_makes_the_same_bits_as_the_command_line(
    run: Run, tmp_path: Path, estimator: Any, command: tuple[str, ...]
) -> None:
    x, y = data()
    np.savez(tmp_path / "mine.npz", X_train=x, y_train=y, X_test=x, y_test=y)
    own = ("dataset=own", "dataset.path=mine.npz", "seed=3", "threads=1", "output_dir=out")
    assert run(*own, *command) == 0
    there, here = load_model(tmp_path / "out" / "model.pt"), clone(estimator).fit(x, y).model_
    assert (here.classes, here.settings) == (there.classes, there.settings)
    assert here.cleaning.fitted.mean == there.cleaning.fitted.mean
    weights = here.network.state_dict()
    assert weights.keys() == there.network.state_dict().keys()
    for name, tensor in there.network.state_dict().items():
        assert weights[name].equal(tensor), name


def test_it_is_a_classifier_of_scikit_learn(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    x, y = data()
    classifier = DSNClassifier(**TINY, random_state=0)
    scores = cross_val_score(classifier, x, y, cv=2)
    assert scores.shape == (2,)
    grid = GridSearchCV(classifier, {"sparsity": np.array([0.5, 0.9])}, cv=2)
    grid.fit(x, y)
    assert grid.best_estimator_.model_.settings["sparsity"] == grid.best_params_["sparsity"]
    piped = Pipeline([("scale", FunctionTransformer(np.negative)), ("classify", classifier)])
    assert piped.fit(x, y).predict(x).shape == y.shape
    assert list((tmp_path / "here").iterdir()) == []


def test_pickled_saved_and_loaded_it_says_the_same(tmp_path: Path) -> None:
    x, y = data()
    before = pickle.loads(pickle.dumps(DSNClassifier(**TINY, random_state=1)))
    classifier = before.fit(x, y.astype(int))
    assert classifier.classes_.tolist() == [1, 2, 10]
    proba = classifier.predict_proba(x)
    assert (classifier.predict(x) == classifier.classes_[proba.argmax(axis=1)]).all()
    assert pickle.loads(pickle.dumps(classifier)).predict_proba(x).tolist() == proba.tolist()
    classifier.save(tmp_path / "mine.pt")
    loaded = DSNClassifier.load(tmp_path / "mine.pt")
    assert loaded.get_params() == classifier.get_params()
    assert loaded.classes_.dtype == classifier.classes_.dtype
    assert loaded.predict_proba(x).tolist() == proba.tolist()
    assert loaded.score(x, y.astype(int)) == classifier.score(x, y.astype(int))
    named = load_model(tmp_path / "mine.pt")
    assert named.predict(x).tolist() == [str(each) for each in loaded.predict(x)]
    with pytest.raises(UserError, match=r"holds a dsn: LITEClassifier is of lite"):
        LITEClassifier.load(tmp_path / "mine.pt")
    with pytest.raises(NotFittedError):
        DSNClassifier().save(tmp_path / "other.pt")


def test_a_runs_model_becomes_an_estimator(run: Run, tmp_path: Path) -> None:
    x, y = data()
    np.savez(tmp_path / "mine.npz", X_train=x, y_train=y, X_test=x, y_test=y)
    assert run("dataset=own", "dataset.path=mine.npz", *DSN_TINY, "output_dir=out") == 0
    loaded = DSNClassifier.load(tmp_path / "out" / "model.pt")
    assert loaded.classes_.tolist() == ["1", "10", "2"]
    stored = np.load(tmp_path / "out" / "predictions.npz")["trained"]
    by_name = stored[:, [("1", "2", "10").index(name) for name in loaded.classes_]]
    np.testing.assert_allclose(loaded.predict_proba(x), by_name, rtol=0, atol=1e-6)


def test_series_of_unequal_length_and_with_gaps() -> None:
    x, y = data()
    unequal = [one[:, : 30 - 2 * (row % 5)] for row, one in enumerate(x)]
    classifier = LITEClassifier(**LITE_TINY, random_state=0).fit(unequal, y)
    assert classifier.predict(unequal).shape == y.shape
    assert classifier.model_.length == 30
    gaps = x.copy()
    gaps[::3, 0, 7] = np.nan
    assert LITEClassifier(**LITE_TINY).fit(gaps, y).predict(gaps).shape == y.shape


def test_random_states() -> None:
    x, y = data()

    def proba(state: Any) -> list[Any]:
        fitted = DSNClassifier(**TINY, random_state=state).fit(x, y)
        return list(fitted.predict_proba(x).flatten().tolist())

    assert proba(5) == proba(5) != proba(6)
    assert proba(np.random.RandomState(5)) == proba(np.random.RandomState(5))
    assert proba(None) != proba(None)
    two = DSNClassifier(**TINY, random_state=5, n_jobs=2).fit(x, y).predict_proba(x)
    np.testing.assert_allclose(two.flatten(), proba(5), atol=0.05)


def test_the_process_is_left_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    x, y = data()

    def state() -> tuple[Any, ...]:
        levels = [logging.getLogger(name).level for name in ("dsn_lab", "lightning.pytorch")]
        numpy_state = str(np.random.get_state())  # noqa: NPY002
        chance = (torch.get_rng_state().tolist(), random.getstate(), numpy_state)
        return (*chance, torch.get_num_threads(), levels, list(warnings.filters), dict(os.environ))

    torch.set_num_threads(2)
    before = state()
    DSNClassifier(**TINY, random_state=0).fit(x, y).predict(x)
    assert state() == before
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
    DSNClassifier(**TINY, random_state=0, verbose=True).fit(x, y)
    said = capfd.readouterr()
    assert said.out == ""
    assert "3/3" in said.err


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sparsity": 1.0}, "sparsity=1.0: must be less than 1"),
        ({"groups": 5}, "groups=5: does not divide"),
        ({"padding": "mirror"}, "model.padding=mirror: must be"),
        ({"dst": "sparse"}, "dst"),
        ({"overrides": ("nonsense=1",)}, "nonsense"),
        ({"overrides": ("dst.alpha=3",)}, "dst.alpha=3: must be less than or equal to 1"),
        ({"scaling": "minmax"}, "scaling"),
    ],
    ids=str,
)
def test_a_parameter_that_cannot_be_is_one_line(parameters: Any, message: str) -> None:
    x, y = data()
    with pytest.raises(ValueError, match=message) as caught:
        DSNClassifier(**{**TINY, **parameters}).fit(x, y)
    assert "\n" not in str(caught.value)


def test_series_that_do_not_fit_are_refused() -> None:
    x, y = data()
    classifier = DSNClassifier(**TINY).fit(x, y)
    with pytest.raises(ValueError, match="channels"):
        classifier.predict(x[:, :1])
    with pytest.raises(ValueError, match="infinite"):
        classifier.predict(np.where(x > 100, np.inf, x))
