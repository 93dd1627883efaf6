"""The engine that options of the command line choose."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..engines.engine import Engine
from ..engines.registry import resolve_engine
from ..validation import one_of
from .output import CommandError
from .wording import flag


def chosen_engine(name: str, options: Mapping[str, Any]) -> Engine:
    """The engine of this name with these options; options that are None keep the engine's defaults.

    Raises
    ------
    CommandError
        If the engine does not have one of the options.
    EngineError
        If there is no engine of this name, or an option is out of range.
    """
    kind = type(resolve_engine(name))
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    given = {option: value for option, value in options.items() if value is not None}
    for option in given:
        if option not in known:
            others = [flag(other) for other in options if other in known]
            raise CommandError(f"--engine {name.lower()} does not have the option {flag(option)}; {one_of(others)}.")
    if "progress" in known:
        given["progress"] = sys.stderr.isatty()
    engine: Engine = kind(**given)
    return engine
