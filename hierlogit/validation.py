"""Checks of options that every public function shares, and quoted lists of words for messages.

Each check returns the value in Python's own type, or raises the error class of the caller with the option's name, what
was given and what is allowed.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from .errors import HierlogitError

#: How many items a message names before it counts the rest.
SHOWN = 8
#: Seeds are below this: what NumPy, nutpie and PyMC all take.
SEED_BOUND = 2**32

type ErrorClass = type[HierlogitError]


def quoted_list(items: Sequence[Any]) -> str:
    """Items in quotation marks, separated by commas and shortened after `SHOWN`.

    Examples
    --------
    >>> quoted_list(["a", "b"])
    "'a', 'b'"
    """
    shown = ", ".join(repr(plain_value(item)) for item in items[:SHOWN])
    return shown if len(items) <= SHOWN else f"{shown} and {len(items) - SHOWN} more"


def plain_value(item: Any) -> Any:
    """A NumPy scalar as Python's own number, text or boolean; anything else as it is."""
    return item.item() if isinstance(item, np.generic) else item


def choice[T](name: str, value: object, allowed: Sequence[T], error: ErrorClass) -> T:
    """One of the allowed values.

    Examples
    --------
    >>> from hierlogit.errors import FitError
    >>> choice("unit", "row", ("row", "cluster"), FitError)
    'row'
    """
    for option in allowed:
        # Not `in`, which raises or broadcasts for arrays and tables; and 1 is not True.
        if type(value) is type(option) and value == option:
            return option
    raise error(f"{name}={shortened(value)} is not allowed; choose one of {quoted_list(allowed)}.")


def whole_number(name: str, value: object, error: ErrorClass, *, least: int, most: int | None = None) -> int:
    """A whole number within bounds; booleans and floats are refused.

    Examples
    --------
    >>> import numpy as np
    >>> from hierlogit.errors import FitError
    >>> whole_number("draws", np.int64(500), FitError, least=1)
    500
    """
    if isinstance(value, Integral) and not isinstance(value, bool):
        number = int(value)
        if least <= number and (most is None or number <= most):
            return number
    allowed = f"of at least {least:,}" if most is None else f"from {least:,} to {most:,}"
    raise error(f"{name}={shortened(value)} must be a whole number {allowed}.")


def real_number(
    name: str, value: object, error: ErrorClass, *, above: float | None = None, below: float | None = None
) -> float:
    """A finite number, strictly within bounds where they are given; booleans are refused.

    Examples
    --------
    >>> from hierlogit.errors import FitError
    >>> real_number("reliability", 0.9, FitError, above=0, below=1)
    0.9
    """
    if isinstance(value, Real) and not isinstance(value, (bool, np.bool_)):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number) and (above is None or number > above) and (below is None or number < below):
            return number
    raise error(f"{name}={shortened(value)} must be {_bounds(above, below)}.")


def _bounds(above: float | None, below: float | None) -> str:
    if above is not None and below is not None:
        return f"a number between {above:g} and {below:g}, the ends excluded"
    if above is not None:
        return f"a finite number above {above:g}"
    return "a finite number" if below is None else f"a finite number below {below:g}"


def probability(name: str, value: object, error: ErrorClass) -> float:
    """A number between 0 and 1, the ends excluded."""
    return real_number(name, value, error, above=0, below=1)


def flag(name: str, value: object, error: ErrorClass) -> bool:
    """True or False, NumPy's included."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise error(f"{name}={shortened(value)} must be True or False.")


def text(name: str, value: object, error: ErrorClass) -> str:
    """A text."""
    if isinstance(value, str):
        return str(value)
    raise error(f"{name}={shortened(value)} must be a text.")


def seed_or_none(name: str, value: object, error: ErrorClass) -> int | None:
    """A seed, or None for a random one.

    Examples
    --------
    >>> from hierlogit.errors import EngineError
    >>> seed_or_none("seed", 7, EngineError)
    7
    """
    if value is None:
        return None
    if isinstance(value, Integral) and not isinstance(value, bool) and 0 <= int(value) < SEED_BOUND:
        return int(value)
    raise error(f"{name}={shortened(value)} must be a whole number from 0 to 2**32 - 1, or None.")


def seed_or_new(value: object, error: ErrorClass) -> int:
    """The seed that was given, or a new random one."""
    seed = seed_or_none("seed", value, error)
    return secrets.randbits(31) if seed is None else seed


def shortened(value: object, longest: int = 80) -> str:
    """The value as a message shows it: its `repr`, cut where it is long."""
    try:
        shown = repr(plain_value(value))
    except Exception:  # a __repr__ that fails must not hide the option's own error
        shown = f"<{type(value).__name__}>"
    shown = " ".join(shown.split())
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."
