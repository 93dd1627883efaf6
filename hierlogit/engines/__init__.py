"""Ways of estimating a model, one per file; each engine is a value that holds its own options."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..errors import EngineError

if TYPE_CHECKING:
    from ..fit import Fit
    from ..model import Model

#: Names of engines and where they live; imported when first used.
ENGINES = {
    "nuts": ("hierlogit.engines.nuts", "NUTS"),
    "laplace": ("hierlogit.engines.laplace", "Laplace"),
    "agq": ("hierlogit.engines.agq", "AGQ"),
    "map": ("hierlogit.engines.maximum_posterior", "MAP"),
}


@runtime_checkable
class Engine(Protocol):
    """What every engine can do."""

    def run(self, model: Model) -> Fit:
        """Estimate `model`."""
        ...


def resolve_engine(engine: Engine | str) -> Engine:
    """Return the engine itself, or the one of that name with its default options.

    Raises
    ------
    EngineError
        If there is no engine of that name, or a class was given in place of an engine.

    Examples
    --------
    >>> resolve_engine("nuts").draws
    1000
    """
    if isinstance(engine, str):
        if engine.lower() not in ENGINES:
            near = difflib.get_close_matches(engine.lower(), ENGINES, n=1)
            meant = f" Did you mean '{near[0]}'?" if near else ""
            raise EngineError(f"there is no engine '{engine}'; there are: {', '.join(ENGINES)}.{meant}")
        module, name = ENGINES[engine.lower()]
        made: Engine = getattr(import_module(module), name)()
        return made
    if isinstance(engine, type) or not isinstance(engine, Engine):
        raise EngineError(
            f"an engine must be a value such as hl.NUTS(draws=2000) or a name ({', '.join(ENGINES)}); got {engine!r}."
        )
    return engine
