"""Imports of other packages put off until they are used, where a library imports what only a part of it needs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """Stands for a package that is not imported until something in it is used."""

    def __init__(self, name: str, functions: tuple[str, ...]) -> None:
        super().__init__(name)
        spec = find_spec(name)
        self.__path__ = [] if spec is None else list(spec.submodule_search_locations or [])
        vars(self).update({function: self._later(function) for function in functions})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def _real(self) -> ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return import_module(self.__name__)

    def _later(self, function: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            return getattr(self._real(), function)(*arguments, **options)

        return call


@contextmanager
def put_off(packages: Mapping[str, tuple[str, ...]]) -> Iterator[None]:
    """Context in which imports of these packages are put off until something in them is used.

    What is imported meanwhile keeps a stand-in, which imports the package when it is read. Packages that are there
    already stay, and imports after the context are as ever.

    Parameters
    ----------
    packages : mapping of str to tuple of str
        For each package, the functions in it that are imported by their names.

    Examples
    --------
    >>> import sys
    >>> with put_off({"dbm": ()}):
    ...     import dbm
    >>> "dbm" in sys.modules, callable(dbm.whichdb), "dbm" in sys.modules
    (False, True, True)
    """
    made = [_Later(name, functions) for name, functions in packages.items() if name not in sys.modules]
    for module in made:
        sys.modules.setdefault(module.__name__, module)
    try:
        yield
    finally:
        for module in made:
            if sys.modules.get(module.__name__) is module:
                del sys.modules[module.__name__]
