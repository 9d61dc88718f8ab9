"""What can be chosen by name: networks, growth rules, distributions, ...

A choice registers itself where it is defined, and files name it by that name, never by a Python
path: a class may move, and what a file names can only be what is registered. Ours are found in
their package, one module a choice; those of others in modules named by ``imports=`` on the command
line, or by an entry point in the group ``dsn_lab.<kind>``.
"""

import difflib
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from dsn_lab.errors import UserError, described

T = TypeVar("T", bound=Callable[..., Any])

ABSENT = object()


class Registry(Generic[T]):
    """The choices of one kind.

    Args:
        kind: what they are, which is the configuration key that chooses among them.
        package: whose modules are imported to find ours.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind, self.package = kind, package
        self._items: dict[str, T] = {}
        self._small: dict[str, Mapping[str, Any]] = {}
        self._first: dict[str, Mapping[str, Any]] = {}
        self._complete = False

    def register(
        self,
        name: str,
        *,
        small: Mapping[str, Any] | None = None,
        first: Mapping[str, Any] | None = None,
    ) -> Callable[[T], T]:
        """Decorate a class or function to make it a choice.

        Args:
            name: what the configuration and files call it, for good.
            small: settings with which it has every part and trains in a second; the contract
                tests take them.
            first: of settings whose default has changed since they came, the value that they came
                with (:data:`dsn_lab.records.identity.FIRST` holds those of ours).

        Raises:
            ValueError: another item has this name.
        """

        def keep(item: T) -> T:
            held = self._items.get(name)
            if held is not None and _place(held) != _place(item):
                raise ValueError(f"{self.kind}={name} is {_place(held)} already")
            self._items[name], self._small[name] = item, small or {}
            self._first[name] = first or {}
            return item

        return keep

    def __iter__(self) -> Iterator[str]:
        self._find()
        return iter(sorted(self._items))

    def __contains__(self, name: object) -> bool:
        return name in self._items or name in list(self)

    def __getitem__(self, name: str) -> T:
        """The choice of this name.

        Raises:
            UserError: nothing is registered by it.
        """
        if name not in self._items:
            self._find()
        if name not in self._items:
            near = difflib.get_close_matches(str(name), self._items, n=3)
            known = " or ".join(near) if near else ", ".join(self)
            raise UserError(
                f"{self.kind}: {name!r} is not registered; "
                + (f"did you mean {known}?" if near else f"known are {known}")
                + " (a module of your own that registers it is named by imports=)"
            )
        return self._items[name]

    def small(self, name: str) -> Mapping[str, Any]:
        """Settings with which a choice trains in a second."""
        self[name]
        return self._small[name]

    def first(self, name: str, setting: str) -> Any:
        """The value that a setting of a choice came with: as given, else its signature's default.

        ``ABSENT`` if there is neither.
        """
        self[name]
        return self._first[name].get(setting, self.default(name, setting))

    def default(self, name: str, setting: str) -> Any:
        """The default of a setting in the choice's signature, or ``ABSENT``."""
        parameter = inspect.signature(self[name]).parameters.get(setting)
        if parameter is None or parameter.default is inspect.Parameter.empty:
            return ABSENT
        return parameter.default

    def make(self, settings: Mapping[str, Any], /, *, key: str = "", **arguments: Any) -> Any:
        """Call what ``settings["name"]`` names with the other settings and ``arguments``.

        Args:
            settings: of the configuration.
            key: where they stand in the configuration, for errors.
            arguments: what is not configured.

        Raises:
            UserError: a setting is unknown, of a wrong type or out of range.
        """
        given = {str(name): value for name, value in settings.items() if name != "name"}
        item = self[settings["name"]]
        prefix = f"{key or self.kind}."
        taken = inspect.signature(item).parameters
        # What takes any setting hands it on to whoever refuses it.
        closed = all(each.kind is not each.VAR_KEYWORD for each in taken.values())
        if closed and (unknown := [name for name in given if name not in taken]):
            raise UserError(f"{prefix}{unknown[0]}: {settings['name']} has no such setting")
        for name, parameter in taken.items():
            if _is_switch(given.get(name)) and not _takes_switch(parameter):
                raise UserError(f"{prefix}{name}={given[name]}: must not be true or false")
        if clash := given.keys() & arguments.keys():
            raise UserError(f"{prefix}{min(clash)}: follows from the data, it cannot be set")
        try:
            return item(**given, **arguments)
        except ValidationError as error:
            raise UserError(described(error, prefix)) from error
        except (TypeError, ValueError) as error:
            raise UserError(f"{prefix[:-1]}: {error}".splitlines()[0]) from error

    def _find(self) -> None:
        """Import every module of the package, and the entry points of others."""
        if self._complete:
            return
        self._complete = True
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        for point in entry_points(group=f"dsn_lab.{self.kind}"):
            point.load()


def _is_switch(value: Any) -> bool:
    """Whether true or false is in it, which Python takes for numbers."""
    return (
        any(map(_is_switch, value)) if isinstance(value, list | tuple) else isinstance(value, bool)
    )


def _takes_switch(parameter: inspect.Parameter) -> bool:
    said = inspect.formatannotation(parameter.annotation)
    return parameter.annotation in (parameter.empty, Any) or "bool" in said or "Any" in said


def _place(item: Any) -> str:
    return f"{item.__module__}.{item.__qualname__}"


def import_modules(names: list[str]) -> None:
    """Import modules that register choices of the user's own.

    They are looked for in the working folder, too.

    Raises:
        UserError: there is no such module, or it cannot be imported.
    """
    for name in names:
        if str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))
        try:
            importlib.import_module(name)
        except Exception as error:
            raise UserError(
                f"imports={name}: cannot be imported from {Path.cwd()} or the Python path "
                f"({type(error).__name__}: {error})".splitlines()[0]
            ) from error


networks: Registry[Any] = Registry("model", "dsn_lab.nn")
classifiers: Registry[Any] = Registry("model", "dsn_lab.classical")
sparse_training: Registry[Any] = Registry("dst", "dsn_lab.sparse")
pruning: Registry[Any] = Registry("dsp", "dsn_lab.prune")
growths: Registry[Any] = Registry("dst.growth", "dsn_lab.sparse.growth")
drops: Registry[Any] = Registry("dst.drop", "dsn_lab.sparse.drop")
distributions: Registry[Any] = Registry("model.distribution", "dsn_lab.sparse.distribution")
penalties: Registry[Any] = Registry("dsp.loss", "dsn_lab.prune.penalties")
rules: Registry[Any] = Registry("dsp.rule", "dsn_lab.prune.rules")
metrics: Registry[Any] = Registry("metric", "dsn_lab.run.metrics")
loggers: Registry[Any] = Registry("logger", "dsn_lab.run.loggers")

# By the configuration's group, those whose settings belong to a cell's identity; and the rules that
# are chosen within a group, whose settings come along (dst.growth={name:momentum,decay:0.9}).
GROUPS = {each.kind: each for each in (networks, sparse_training, pruning)}
RULES = {each.kind: each for each in (growths, drops, distributions, penalties)}
