"""Ways of estimating a model, one per file; each engine is a value that holds its own options."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import EngineError
from ..validation import nearest, one_of, quoted_list, shortened
from .engine import Engine

if TYPE_CHECKING:
    pass

#: Names of engines and where they live; imported when first used.
ENGINES = {
    "nuts": ("hierlogit.engines.nuts.nuts", "NUTS"),
    "laplace": ("hierlogit.engines.maximum.laplace", "Laplace"),
    "agq": ("hierlogit.engines.maximum.agq", "AGQ"),
    "map": ("hierlogit.engines.maximum.map", "MAP"),
    "importance": ("hierlogit.engines.importance.importance_sampling", "ImportanceSampling"),
}


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
        # Diagnostics have the names of the classes.
        by_name = ENGINES | {name.lower(): (module, name) for module, name in ENGINES.values()}
        if engine.lower() not in by_name:
            raise EngineError(
                f"there is no engine {shortened(engine)}; {one_of(list(ENGINES))}.{nearest(engine, ENGINES)}"
            )
        module, name = by_name[engine.lower()]
        instance: Engine = getattr(import_module(module), name)()
        return instance
    if isinstance(engine, type) or not isinstance(engine, Engine):
        raise EngineError(
            f"an engine must be an object such as hl.NUTS(draws=2000), or one of the names "
            f"{quoted_list(list(ENGINES))}; got {shortened(engine)}."
        )
    return engine
