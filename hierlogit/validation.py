"""Checks of options that every public function shares, and words for messages: lists, numbers, singular and plural.

Each check returns the value in Python's own type, or raises the error class of the caller with the option's name, what
was given and what is allowed. What a check refuses must end there, never in an error of another library: it looks at
the type before it compares, converts or prints a value.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set, Sized
from decimal import Decimal
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import HierlogitError

#: How many items a message names before it counts the rest.
SHOWN = 8
#: Seeds are below this: what NumPy, nutpie and PyMC all take.
SEED_BOUND = 2**32
#: The largest number of draws, replicates, clusters or steps that an option takes.
LARGEST_COUNT = 10_000_000
#: Numbers beyond this are refused: products of two of them would overflow.
LARGEST_NUMBER = 1e100
#: Counts that differ less than this from whole numbers are rounded: products such as ``prop * n`` are not exact.
WHOLE_TOLERANCE = 1e-6

type ErrorClass = type[HierlogitError]
FloatArray = npt.NDArray[np.float64]


# ---- words for messages -----------------------------------------------------------------------------------------


def quoted_list(items: Sequence[Any]) -> str:
    """Items in quotation marks, separated by commas and shortened after `SHOWN`; ``none`` for no items.

    Examples
    --------
    >>> quoted_list(["a", "b"])
    "'a', 'b'"
    """
    shown = ", ".join(shortened(item) for item in items[:SHOWN])
    return (shown or "none") if len(items) <= SHOWN else f"{shown} and {len(items) - SHOWN:,} more"


def one_of(items: Sequence[Any]) -> str:
    """What can be chosen, as the end of a sentence.

    Examples
    --------
    >>> one_of(["a", "b"])
    "choose one of 'a', 'b'"
    >>> one_of(["a"])
    "the only choice is 'a'"
    """
    if not items:
        return "there is none to choose from"
    return f"the only choice is {quoted_list(items)}" if len(items) == 1 else f"choose one of {quoted_list(items)}"


def number_of(count: int, one: str, several: str = "") -> str:
    """A number with its noun in the singular or plural.

    Examples
    --------
    >>> number_of(1, "node"), number_of(2000, "row")
    ('1 node', '2,000 rows')
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def agree(items: Sized | int, one: str, several: str) -> str:
    """The word that agrees in number with the items, or with their number.

    Examples
    --------
    >>> agree(["a"], "is", "are"), agree(2, "is", "are")
    ('is', 'are')
    """
    return one if (items if isinstance(items, int) else len(items)) == 1 else several


def nearest(name: object, known: Iterable[str]) -> str:
    """The known name that was probably meant, as a question after a space; nothing if none is near.

    Examples
    --------
    >>> nearest("agee", ["age", "urban"])
    " Did you mean 'age'?"
    """
    # Compared without regard to case: 'Age' for 'age' is the commonest slip.
    folded = {str(other).casefold(): str(other) for other in known}
    near = difflib.get_close_matches(name[:100].casefold(), folded, n=1) if isinstance(name, str) else []
    return f" Did you mean '{folded[near[0]]}'?" if near else ""


def unknown_names(
    option: str, unknown: Sequence[Any], known: Sequence[str], what: str, where: str = "the model", hint: str = ""
) -> str:
    """The message that names are not known, with those that are.

    Examples
    --------
    >>> unknown_names("x", ["agee"], ["age", "urban"], "predictor")
    "x: there is no predictor 'agee' in the model; choose one of 'age', 'urban'. Did you mean 'age'?"
    """
    meant = nearest(unknown[0], known) if len(unknown) == 1 and len(known) > 1 else ""
    noun = agree(unknown, f"is no {what}", f"are no {what}s")
    return f"{option}: there {noun} {quoted_list(unknown)} in {where}; {one_of(known)}.{meant}{hint}"


def shortened(value: object, longest: int = 80) -> str:
    """The value as a message shows it: its `repr`, cut where it is long."""
    try:
        shown = repr(plain_value(value))
    except Exception:  # a __repr__ that fails must not hide the option's own error
        shown = f"<{type(value).__name__}>"
    shown = " ".join(shown.split())
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."


def reason_of(error: Exception) -> str:
    """What another library's error says, on one line and without a full stop at the end.

    Examples
    --------
    >>> reason_of(ValueError("All arrays must be of the same length."))
    'All arrays must be of the same length'
    >>> reason_of(TypeError("no loop for types <class 'numpy.dtypes.StrDType'> -> None"))
    'no loop for types numpy.dtypes.StrDType -> None'
    >>> reason_of(FileNotFoundError(2, "errno = 2, flags = 13", "fit.nc.1-2.partial"))
    'No such file or directory'
    """
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)  # without the names of temporary files
    words = re.sub(r"<class '([^']*)'>", r"\1", " ".join(str(error).split()))
    return words.rstrip(".") or type(error).__name__


def kind_of(value: object) -> str:
    """The type of a value, in a few words.

    Examples
    --------
    >>> kind_of("a"), kind_of(None), kind_of(int)
    ('str', 'None', 'the class int')
    """
    if value is None:
        return "None"
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def plain_value(item: Any) -> Any:
    """A NumPy scalar as Python's own number, text or boolean; anything else as it is."""
    return item.item() if isinstance(item, np.generic) else item


# ---- single values ----------------------------------------------------------------------------------------------


def choice[T](name: str, value: object, allowed: Sequence[T], error: ErrorClass) -> T:
    """One of the allowed values.

    Examples
    --------
    >>> from hierlogit.errors import FitError
    >>> choice("unit", "row", ("row", "cluster"), FitError)
    'row'
    """
    plain = plain_value(value)
    for option in allowed:
        # Not `in`, which raises or broadcasts for arrays and tables; and 1 is not True.
        if type(plain) is type(option) and plain == option:
            return option
    raise error(f"{name}={shortened(value)} is not allowed; {one_of(allowed)}.")


def whole_number(name: str, value: object, error: ErrorClass, *, least: int, most: int = LARGEST_COUNT) -> int:
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
        if least <= number <= most:
            return number
    raise error(f"{name}={shortened(value)} must be a whole number from {least:,} to {most:,}.")


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
    number = as_float(value)
    inside = (above is None or number > above) and (below is None or number < below)
    if inside and abs(number) <= LARGEST_NUMBER:
        return number
    large = f", not beyond {LARGEST_NUMBER:g}" if inside and math.isfinite(number) else ""
    raise error(f"{name}={shortened(value)} must be {_bounds(above, below)}{large}.")


def as_float(value: object) -> float:
    """The value as a float: NaN if it is not a real number, infinite if it is too large for a float."""
    if not isinstance(value, (Real, Decimal)) or isinstance(value, (bool, np.bool_)):
        return math.nan
    try:
        return float(value)
    except OverflowError:  # of a whole number or a fraction, which may be negative
        number: Any = value
        return math.copysign(math.inf, 1 if number > 0 else -1)
    except ValueError:  # a signalling NaN of decimal numbers
        return math.nan


def _bounds(above: float | None, below: float | None) -> str:
    if above is not None and below is not None:
        return f"a number between {above:g} and {below:g}, the ends excluded"
    if above is not None:
        return f"a finite number above {above:g}"
    return "a finite number" if below is None else f"a finite number below {below:g}"


def probability(name: str, value: object, error: ErrorClass) -> float:
    """A number between 0 and 1, the ends excluded."""
    return real_number(name, value, error, above=0, below=1)


def interval_probability(name: str, value: object, error: ErrorClass) -> float:
    """The probability of an interval, whose normal quantile must be finite."""
    number = probability(name, value, error)
    if 0.5 + number / 2 == 1:
        raise error(f"{name}={number!r} is too near to 1: the interval would be infinite.")
    return number


def flag(name: str, value: object, error: ErrorClass) -> bool:
    """True or False, NumPy's included."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise error(f"{name}={shortened(value)} must be True or False.")


def text(name: str, value: object, error: ErrorClass) -> str:
    """A string."""
    if isinstance(value, str):
        return str(value)
    raise error(f"{name}={shortened(value)} must be a string.")


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
    import secrets

    seed = seed_or_none("seed", value, error)
    return secrets.randbits(31) if seed is None else seed


def path(name: str, value: object, error: ErrorClass) -> Path:
    """The path of a file or folder, of a text or another kind of path.

    Examples
    --------
    >>> from hierlogit.errors import FitError
    >>> path("path", "fits/first.nc", FitError).name
    'first.nc'
    """
    if isinstance(value, (str, os.PathLike)):
        try:
            place = Path(value)  # refuses a path of bytes
            if "\0" not in str(place) and os.fsencode(place) and str(value):
                place.exists()  # refuses names that are too long
                return place
        except (TypeError, ValueError, OSError):
            pass
    raise error(f"{name}={shortened(value)} must be the path of a file or folder.")


def file_path(name: str, value: object, error: ErrorClass) -> Path:
    """The path of a file, which may exist or not, in a folder that exists.

    Examples
    --------
    >>> from hierlogit.errors import FitError
    >>> file_path("path", "first.nc", FitError).name
    'first.nc'
    """
    place = path(name, value, error)
    if not place.name or place.is_dir():
        raise error(f"{name}={shortened(value)} is a folder. Name a file in it.")
    if not place.absolute().parent.is_dir():
        raise error(
            f"{name}={shortened(value)}: there is no folder {place.absolute().parent}. Make it, or name another file."
        )
    return place


# ---- several values ---------------------------------------------------------------------------------------------


def listed(value: object) -> list[Any] | None:
    """The items of a list, tuple, set, array or column of one dimension; None for anything else, texts included."""
    if isinstance(value, (str, bytes, Mapping)):
        return None
    if isinstance(value, (Sequence, Set)):
        return list(value) if len(value) <= LARGEST_COUNT else None
    for method in ("tolist", "to_list"):
        convert = getattr(value, method, None)
        if callable(convert) and not isinstance(value, type):
            items = convert()
            return items if isinstance(items, list) else None
    return None


def names(
    option: str,
    value: object,
    known: Sequence[Any],
    error: ErrorClass,
    what: str,
    where: str = "the model",
    hint: str = "",
) -> list[str]:
    """One or several names out of those that are known; each stays in the list once.

    Examples
    --------
    >>> from hierlogit.errors import FitError
    >>> names("effects", "age", ["age", "urban"], FitError, "predictor")
    ['age']
    """
    given = [value] if isinstance(value, str) else listed(value)
    if given is None or not all(isinstance(item, str) for item in given):
        raise error(f"{option}={shortened(value)} must be the name of a {what}, or a list of names; {one_of(known)}.")
    if not given:
        raise error(f"{option} is an empty list: name a {what}, or leave {option} out; {one_of(known)}.{hint}")
    unknown = [str(item) for item in given if item not in known]
    if unknown:
        raise error(unknown_names(option, unknown, known, what, where, hint))
    return list(dict.fromkeys(str(item) for item in given))


def mapping(name: str, value: object, error: ErrorClass, what: str) -> dict[str, Any]:
    """A mapping whose keys are texts.

    Examples
    --------
    >>> from hierlogit.errors import StudyError
    >>> mapping("beta", {"age": 0.3}, StudyError, "coefficients by label, {'age': 0.3}")
    {'age': 0.3}
    """
    if not isinstance(value, Mapping):
        raise error(f"{name} must be {what}; got {kind_of(value)}.")
    strange = [key for key in value if not isinstance(key, str)]
    if strange:
        raise error(
            f"{name} must be {what}; {quoted_list(strange)} {agree(strange, 'is not a name', 'are not names')}."
        )
    return dict(value)


def number_array(name: str, value: object, error: ErrorClass, what: str) -> FloatArray:
    """Finite numbers of any shape; texts, booleans and complex numbers are refused.

    Examples
    --------
    >>> from hierlogit.errors import PredictionError
    >>> number_array("weights", [1, 2.5], PredictionError, "numbers")
    array([1. , 2.5])
    """
    found = real_array(name, value, error, what)
    if not np.all(np.abs(found) <= LARGEST_NUMBER):
        raise error(f"{name}={shortened(value)} must be {what}, all of them finite and not beyond {LARGEST_NUMBER:g}.")
    return found


def real_array(name: str, value: object, error: ErrorClass, what: str) -> FloatArray:
    """Numbers of any shape, which may be infinite or NaN; texts, booleans and complex numbers are refused."""
    flags = isinstance(value, (list, tuple)) and any(isinstance(item, (bool, np.bool_)) for item in value)
    try:
        array = np.asarray("a list with booleans" if flags else value)
    except (TypeError, ValueError):  # lists of unequal length
        raise error(f"{name}={shortened(value)} must be {what}.") from None
    if array.dtype.kind == "O":  # Python's own large integers and fractions
        items = [as_float(item) if isinstance(item, (Real, Decimal)) else None for item in array.ravel().tolist()]
        array = np.array(items, dtype=object if None in items else np.float64).reshape(array.shape)
    if array.dtype.kind not in "iuf":
        raise error(f"{name}={shortened(value)} must be {what}.")
    return array.astype(np.float64, copy=False)


# ---- objects ----------------------------------------------------------------------------------------------------


def instance[T](name: str, value: object, kind: type[T], error: ErrorClass, what: str, remedy: str) -> T:
    """An object of a class; `what` says which, with its article, and `remedy` how to make one.

    Examples
    --------
    >>> from hierlogit.errors import FitError
    >>> instance("rows", [1], list, FitError, "a list", "Make one.")
    [1]
    """
    if isinstance(value, kind):
        return value
    raise error(f"{name} is not {what} (got {kind_of(value)}). {remedy}")


def function_or_none(name: str, value: object, error: ErrorClass, what: str) -> Callable[..., Any] | None:
    """A function, or None."""
    if value is None or callable(value):
        return value
    raise error(f"{name}={shortened(value)} must be {what}, or None.")


# ---- memory -----------------------------------------------------------------------------------------------------


def refuse_beyond_memory(name: str, count: int, each: int, error: ErrorClass, *, copies: int = 4) -> None:
    """Refuse a count of results, of `each` numbers apiece, of which this many copies do not fit into memory.

    Four copies are the rule, since results are copied while they are computed and summarised.
    """
    available, needed = memory(), 8 * count * each
    if copies * needed <= available:
        return
    share = {1: "", 4: "a quarter of "}[copies]
    raise error(
        f"{name}={count:,}: each of them holds {number_of(each, 'number')}, {gigabytes(needed)} in all. This is more "
        f"than {share}the memory of this machine, {gigabytes(available)}. Pass {name}="
        f"{max(available // (8 * copies * each), 1):,} or fewer."
    )


def memory() -> int:
    """Bytes of memory of this machine; 64 GB where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # on Windows
        return 64 * 10**9


def gigabytes(size: int) -> str:
    """A number of bytes as text."""
    return f"{size / 1e9:,.0f} GB" if size >= 1e11 else f"{size / 1e9:.3g} GB"
