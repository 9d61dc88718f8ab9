"""Classifiers of aeon by the names of their classes."""

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

from dsn_lab.errors import UserError
from dsn_lab.registry import classifiers

PACKAGE = "aeon.classification"


@classifiers.register("aeon")
def make(estimator: str | None = None, *, seed: int, threads: int, **settings: Any) -> Any:
    """An unfitted classifier.

    Args:
        estimator: name of a class below ``aeon.classification``.
        seed: its ``random_state``, if it has one.
        threads: its ``n_jobs``, if it has them.
        settings: its other arguments.

    Raises:
        UserError: there is no such class, it needs a package that is not there, or it does not
            have such an argument.
    """
    kind = _find(estimator)
    taken = inspect.signature(kind).parameters
    if unknown := settings.keys() - taken.keys():
        raise UserError(
            f"model.{min(unknown)}: {estimator} has no such argument; it has {', '.join(taken)}"
        )
    given = {"random_state": seed, "n_jobs": threads}
    try:
        return kind(**settings, **{name: each for name, each in given.items() if name in taken})
    except ModuleNotFoundError as error:
        raise UserError(f"model.estimator={estimator}: {error}".splitlines()[0]) from error


def _find(name: str | None) -> Any:
    known: dict[str, Any] = {}
    for module in _modules():
        offered = {each: getattr(module, each) for each in getattr(module, "__all__", ())}
        found = {each: kind for each, kind in offered.items() if inspect.isclass(kind)}
        if name in found:
            return found[name]
        known |= found
    near = difflib.get_close_matches(str(name), known, n=3) or (
        "HydraClassifier",
        "QUANTClassifier",
    )
    raise UserError(f"model.estimator={name}: must be a classifier of aeon, as {', '.join(near)}")


def _modules() -> Iterator[Any]:
    """The packages below, those first from which most is asked for: an import takes seconds."""
    package = importlib.import_module(PACKAGE)
    names = [
        each.name
        for each in pkgutil.iter_modules(package.__path__)
        if each.ispkg and each.name != "tests"
    ]
    first = ["convolution_based", "interval_based"]
    for name in sorted(names, key=lambda each: (each not in first, each)):
        yield importlib.import_module(f"{PACKAGE}.{name}")
