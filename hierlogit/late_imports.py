"""Imports of other packages put off until they are used, where a library imports what only a part of it needs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """Stands for a package that is not imported until something in it is used."""

    def __init__(self, name: str, members: tuple[str, ...]) -> None:
        super().__init__(name)
        spec = find_spec(name)
        self.__path__ = [] if spec is None else list(spec.submodule_search_locations or [])
        # Read of all modules by what looks for the source of a function.
        self.__file__ = None if spec is None else spec.origin
        vars(self).update({member: _Member(self, member) for member in members})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def _real(self) -> ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return import_module(self.__name__)


class _Member:
    """Stands for a function or an object of a package that is not imported until it is called, or read."""

    def __init__(self, package: _Later, name: str) -> None:
        self._package, self._name = package, name

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._real()(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def _real(self) -> Any:
        return getattr(self._package._real(), self._name)


@contextmanager
def put_off(packages: Mapping[str, tuple[str, ...]]) -> Iterator[None]:
    """Context in which imports of these packages are put off until something in them is used.

    What is imported meanwhile keeps a stand-in, which imports the package when it is read. Packages that are there
    already stay, and imports after the context are as ever.

    Parameters
    ----------
    packages : mapping of str to tuple of str
        For each package, the functions and objects in it that are imported by their names. Those inside of others are
        given after them.

    Examples
    --------
    >>> import sys
    >>> with put_off({"dbm": ()}):
    ...     import dbm
    >>> "dbm" in sys.modules, callable(dbm.whichdb), "dbm" in sys.modules
    (False, True, True)
    """
    made = []
    for name, members in packages.items():  # each is there when the next is looked for, which may be inside of it
        if name not in sys.modules:
            made.append(_Later(name, members))
            sys.modules.setdefault(name, made[-1])
    try:
        yield
    finally:
        for module in made:
            if sys.modules.get(module.__name__) is module:
                del sys.modules[module.__name__]
