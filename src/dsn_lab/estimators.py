"""Classifiers for aeon and scikit-learn: the same training as from the command line.

::

    from dsn_lab.estimators import DSNClassifier

    classifier = DSNClassifier(random_state=0).fit(X_train, y_train)
    y_predicted = classifier.predict(X_test)

``X`` is ``(n, channel, time)``, ``(n, time)``, a list of series of unequal lengths, or a data
frame in aeon's forms. With the same seed and one thread (``n_jobs=1``) the weights are, bit for
bit, those of ``python run.py dataset=own ... threads=1`` with these settings.
"""

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from aeon.classification.base import BaseClassifier
from aeon.utils.validation import check_n_jobs
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from dsn_lab.data import collections
from dsn_lab.data.split import label_names
from dsn_lab.errors import UserError
from dsn_lab.trained import load_model

__all__ = ["DSNClassifier", "InceptionClassifier", "LITEClassifier"]

# What a file says of the estimator that wrote it.
PARAMETERS, LABELS = "estimator", "labels"


class Trains(BaseClassifier):  # type: ignore[misc]
    """What the classifiers have in common: fit, predict, save, load.

    A subclass says which settings of the command line its parameters are.
    """

    _tags = {  # noqa: RUF012, as aeon wants it
        "X_inner_type": ["np-list", "numpy3D"],
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:missing_values": True,
        "capability:multithreading": True,
        "algorithm_type": "deeplearning",
        "non_deterministic": False,
        "python_dependencies": ["torch"],
    }

    # The network's registered name.
    _network: str
    # Parameters, as settings of the command line; None leaves a setting at its default.
    _settings: dict[str, str] = {  # noqa: RUF012
        "n_epochs": "trainer.max_epochs",
        "batch_size": "batch_size",
        "learning_rate": "optimizer.lr",
        "scaling": "dataset.scaling",
    }

    # Parameters that all of them have.
    prune: bool
    overrides: tuple[str, ...]
    n_jobs: int
    random_state: Any
    verbose: bool

    def _fit(self, X: Any, y: Any) -> Self:
        from dsn_lab.run import in_memory

        self._n_jobs = check_n_jobs(self.n_jobs)
        try:
            self.model_ = in_memory.fit(
                collections.raw(X),
                label_names(np.asarray(y)),
                self._given(),
                threads=self._n_jobs,
                verbose=self.verbose,
            )
        except UserError as error:
            raise ValueError(str(error)) from error
        self._columns = self._order()
        return self

    def _given(self) -> list[str]:
        """The settings of the command line."""
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31 - 1)
        given = {key: getattr(self, name) for name, key in self._settings.items()}
        given |= {"model": self._network, "dsp": "default" if self.prune else "none"}
        given |= self._derived() | {"seed": seed}
        chosen = (f"{key}={_text(value)}" for key, value in given.items() if value is not None)
        return [*chosen, *self.overrides]

    def _derived(self) -> dict[str, Any]:
        """Settings that follow from several parameters, or whose form is another."""
        return {}

    def _order(self) -> NDArray[np.intp]:
        """For each of ``classes_`` its place among the network's classes."""
        names = label_names(self.classes_).tolist()
        return np.array([self.model_.classes.index(name) for name in names])

    def _predict_proba(self, X: Any) -> NDArray[np.float64]:
        threads = torch.get_num_threads()
        torch.set_num_threads(self._n_jobs)
        try:
            probabilities: NDArray[np.float64] = self.model_.predict_proba(X)[:, self._columns]
        except UserError as error:
            raise ValueError(str(error)) from error
        finally:
            torch.set_num_threads(threads)
        return probabilities

    def _predict(self, X: Any) -> NDArray[Any]:
        predicted: NDArray[Any] = self.classes_[self._predict_proba(X).argmax(axis=1)]
        return predicted

    def save(self, path: str | Path) -> None:
        """Write the fitted classifier to a file, a model.pt that everything here can read.

        Raises:
            NotFittedError: it is not fitted.
        """
        self._check_is_fitted()
        parameters = {name: _plain(value) for name, value in self.get_params(deep=False).items()}
        labels = {"type": self.classes_.dtype.str, "values": self.classes_.tolist()}
        said = {PARAMETERS: parameters, LABELS: labels}
        self.model_.save(path, said)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A fitted classifier from a file of :meth:`save`, or from a run's ``model.pt``.

        Raises:
            UserError: the file is damaged, or holds another network.
            FileNotFoundError: there is none.
        """
        model = load_model(path)
        if model.settings["name"] != cls._network:
            raise UserError(
                f"{path} holds a {model.settings['name']}: {cls.__name__} is of {cls._network}"
            )
        parameters = dict(model.provenance.get(PARAMETERS, {}))
        if "overrides" in parameters:
            parameters["overrides"] = tuple(parameters["overrides"])
        made = cls(**parameters)
        labels = model.provenance.get(LABELS)
        values = model.classes if labels is None else labels["values"]
        made.classes_ = np.unique(np.array(values, dtype=labels and labels["type"]))
        made.n_classes_ = len(made.classes_)
        made._class_dictionary = {name: place for place, name in enumerate(made.classes_)}
        made.metadata_ = {"n_channels": model.channels, "n_timepoints": model.length}
        made.model_, made._n_jobs = model, check_n_jobs(made.n_jobs)
        made._columns = made._order()
        made.is_fitted = True
        return made


class DSNClassifier(Trains):
    """The dynamic sparse network (Xiao et al., NeurIPS 2022), trained from scratch, always sparse.

    Args:
        width: c in the paper's ``c -> 3c``.
        depth: number of sparse convolutions.
        kernel_size: taps of the largest exploration region.
        groups: kernel groups; must divide ``3 * width``.
        sparsity: share of each exploration region that is not active, in [0, 1).
        padding: ``"replicate"`` or ``"zeros"``.
        dst: how the topology moves: ``"dsn"``, ``"rigl"``, ``"static"``, or ``"dense"`` for none.
        prune: remove redundant filters after ``n_epochs``, fine-tune for a third of them (DSP).
        n_epochs: epochs of training.
        batch_size: series in a batch; None for a tenth of the training set, from 2 to 16.
        learning_rate: Adam's, at first.
        scaling: ``"train"``, ``"series"`` or ``"none"``, see :mod:`dsn_lab.data.transforms`.
        backend: ``"auto"``, ``"packed"`` or ``"dense"``.
        overrides: further settings as on the command line, ``("dst.alpha=0.3", ...)``.
        n_jobs: CPU threads.
        random_state: a seed, a ``RandomState``, or None.
        verbose: show a progress bar.
    """

    _network = "dsn"
    _settings = Trains._settings | {
        "dst": "dst",
        "width": "model.width",
        "depth": "model.depth",
        "kernel_size": "model.kernel_size",
        "padding": "model.padding",
        "backend": "model.backend",
    }

    def __init__(
        self,
        width: int = 47,
        depth: int = 4,
        kernel_size: int = 39,
        groups: int = 3,
        sparsity: float = 0.8,
        padding: str = "replicate",
        dst: str = "dsn",
        prune: bool = False,
        n_epochs: int = 1000,
        batch_size: int | None = None,
        learning_rate: float = 3e-4,
        scaling: str = "train",
        backend: str = "auto",
        overrides: tuple[str, ...] = (),
        n_jobs: int = 1,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.width = width
        self.depth = depth
        self.kernel_size = kernel_size
        self.groups = groups
        self.sparsity = sparsity
        self.padding = padding
        self.dst = dst
        self.prune = prune
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.scaling = scaling
        self.backend = backend
        self.overrides = overrides
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        super().__init__()

    def _derived(self) -> dict[str, Any]:
        # The dense twin has one group and all weights.
        if self.dst == "dense":
            return {}
        return {"sparse_layers.groups": self.groups, "sparsity": self.sparsity}

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        """Parameters with which aeon's checks take seconds."""
        return {"width": 4, "depth": 2, "kernel_size": 9, "n_epochs": 2, "batch_size": 4}


class LITEClassifier(Trains):
    """LITE (Ismail-Fawaz et al., 2023), LITEMV for several channels; pruned, DSP's network.

    Args:
        n_filters: filters of each branch of each layer.
        prune: remove redundant filters after ``n_epochs``, fine-tune for a third of them (DSP).
        n_epochs: epochs of training.
        batch_size: series in a batch.
        learning_rate: Adam's, at first.
        scaling: ``"series"``, ``"train"`` or ``"none"``, see :mod:`dsn_lab.data.transforms`.
        overrides: further settings as on the command line, ``("dsp.penalty=1e-4", ...)``.
        n_jobs: CPU threads.
        random_state: a seed, a ``RandomState``, or None.
        verbose: show a progress bar.
    """

    _network = "lite"

    def __init__(
        self,
        n_filters: int = 32,
        prune: bool = False,
        n_epochs: int = 1500,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        scaling: str = "series",
        overrides: tuple[str, ...] = (),
        n_jobs: int = 1,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.n_filters = n_filters
        self.prune = prune
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.scaling = scaling
        self.overrides = overrides
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        super().__init__()

    def _derived(self) -> dict[str, Any]:
        return {"model.widths": [[self.n_filters] * 3, [self.n_filters], [self.n_filters]]}

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        """Parameters with which aeon's checks take seconds."""
        return {"n_filters": 4, "n_epochs": 2, "batch_size": 4}


class InceptionClassifier(Trains):
    """Inception, a single network of InceptionTime (Ismail-Fawaz et al., 2020).

    Args:
        n_filters: filters of each branch of each module.
        depth: number of modules.
        prune: remove redundant filters after ``n_epochs``, fine-tune for a third of them (DSP).
        n_epochs: epochs of training.
        batch_size: series in a batch.
        learning_rate: Adam's, at first.
        scaling: ``"series"``, ``"train"`` or ``"none"``, see :mod:`dsn_lab.data.transforms`.
        overrides: further settings as on the command line, ``("dsp.penalty=1e-4", ...)``.
        n_jobs: CPU threads.
        random_state: a seed, a ``RandomState``, or None.
        verbose: show a progress bar.
    """

    _network = "inception"

    def __init__(
        self,
        n_filters: int = 32,
        depth: int = 6,
        prune: bool = False,
        n_epochs: int = 1500,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        scaling: str = "series",
        overrides: tuple[str, ...] = (),
        n_jobs: int = 1,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.n_filters = n_filters
        self.depth = depth
        self.prune = prune
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.scaling = scaling
        self.overrides = overrides
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        super().__init__()

    def _derived(self) -> dict[str, Any]:
        return {"model.widths": [[self.n_filters] * 4] * self.depth}

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        """Parameters with which aeon's checks take seconds."""
        return {"n_filters": 4, "depth": 3, "n_epochs": 2, "batch_size": 4}


def _text(value: Any) -> str:
    """A value as the command line has it."""
    plain = _plain(value)
    return str(plain).lower() if isinstance(plain, bool) else str(plain)


def _plain(value: Any) -> Any:
    """A value as JSON has it; a random state is nothing that a file could keep."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, np.random.RandomState) else value
