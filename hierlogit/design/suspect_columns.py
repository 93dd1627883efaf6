"""Columns of text that are probably not meant as they are: misspelt levels, numbers and missing values read as text."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..formula.terms import Formula
from ..validation import SHOWN, agree, number_of, shortened

Suspicion = Literal["similar_levels", "missing_as_text", "numbers_as_text", "many_levels"]

#: A predictor whose levels are numbers in this share of its rows or more is taken for numbers read as text,
MOSTLY = 0.8
#: if it has at least this many levels that are numbers beside some that are not, or this many if all of them are.
FEW_NUMBERS, MANY_NUMBERS = 5, 10
#: A predictor has too many levels if there are at least this many, and more than one for two rows.
MANY_LEVELS = 10
#: Texts that stand for missing values.
_MISSING = frozenset({"", ".", "..", "?", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "<NA>"})
#: Numbers with thousands separators, decimal commas, signs of comparison or units.
_LIKE_NUMBER = re.compile(r"[<>~≤≥$€£+−–-]{0,2}\s*[\d.,\s']*\d[\d.,]*\s*[a-zA-Z%°µ/²³$€£]{0,6}")

_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
#: Points between thousands and a decimal comma.
_THOUSANDS_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+,\d+")
#: What is beside a number, its separators and its sign.
_BESIDE = re.compile(r"[^\d.,+-]")
_FIRST_OF_NUMBER = frozenset("+-.0123456789")


@dataclass(frozen=True)
class SuspectColumn:
    """A column that is probably not meant as it is.

    Attributes
    ----------
    kind : {"similar_levels", "missing_as_text", "numbers_as_text", "many_levels"}
        Levels that differ only by blanks, case or the way a number is written; texts that stand for missing values;
        a predictor of numbers that is read as text; a predictor with a level for each row or two.
    column : str
    evidence : str
        The values, with their numbers of rows.
    remedy : str
    decimal_comma : bool
        Whether the values are numbers whose only difference is a decimal comma.
    """

    kind: Suspicion
    column: str
    evidence: str
    remedy: str
    decimal_comma: bool = False


def suspect_columns(
    formula: Formula, frame: pd.DataFrame, counts: npt.NDArray[np.float64] | None = None
) -> Iterator[SuspectColumn]:
    """The suspect columns of a formula.

    Parameters
    ----------
    formula : Formula
    frame : pandas.DataFrame
        From `hierlogit.design.table.training_table`.
    counts : ndarray, shape (n,), optional
        How often each row counts.

    Notes
    -----
    Whether a column should be numbers is asked of predictors that stand alone in the formula; ``C(x)`` says that
    its values are categories.
    """
    alone = {use.name for use in formula.names if use.where in ("fixed part", "random term") and not use.in_call}
    for name in frame:
        if isinstance(frame[name].dtype, pd.CategoricalDtype) and all(
            isinstance(level, str) for level in frame[name].cat.categories
        ):
            levels = frame[name].cat.categories.tolist()
            rows = np.bincount(frame[name].cat.codes.to_numpy(), counts, len(levels)).astype(np.int64).tolist()
            yield from _of_column(str(name), levels, rows, predictor=name in alone)


def _of_column(name: str, levels: list[str], rows: list[int], *, predictor: bool) -> Iterator[SuspectColumn]:
    counts = dict(zip(levels, rows, strict=True))
    numbers = _numbers_as_text(name, counts) if predictor else None
    if numbers is not None:
        yield numbers
        return
    missing = {level: count for level, count in counts.items() if level.strip() in _MISSING}
    rest = {level: count for level, count in counts.items() if level not in missing} if missing else counts
    if missing:
        yield SuspectColumn(
            "missing_as_text",
            name,
            f"'{name}' has the {agree(missing, 'level', 'levels')} {_counted(missing)}, which usually "
            f"{agree(missing, 'stands', 'stand')} for missing values and {agree(missing, 'is', 'are')} treated as "
            f"{agree(missing, 'a level', 'levels')} like any other",
            f"If they are missing, replace them: df['{name}'].replace({list(missing)}, None).",
        )
    yield from _similar(name, rest)
    if predictor and len(levels) >= MANY_LEVELS and 2 * len(levels) > sum(rows):
        yield SuspectColumn(
            "many_levels",
            name,
            f"the predictor '{name}' is text with {number_of(len(levels), 'level')} in "
            f"{number_of(sum(rows), 'row')}, such as {_some(levels)}, each of which has a coefficient",
            f"If '{name}' names clusters, write (1 | {name}); if it should be numbers, convert it; if the values are "
            f"categories, write C({name}).",
        )


def _similar(name: str, counts: dict[str, int]) -> Iterator[SuspectColumn]:
    essences = [_essence(level) for level in counts]
    if len(set(essences)) == len(essences):  # the usual case, also of a million clusters
        return
    alike: dict[str, list[str]] = {}
    for level, essence in zip(counts, essences, strict=True):
        alike.setdefault(essence, []).append(level)
    sets = [together for together in alike.values() if len(together) > 1]
    shown = "; ".join(_counted({level: counts[level] for level in together}) for together in sets[:SHOWN])
    more = f"; and {len(sets) - SHOWN:,} more" if len(sets) > SHOWN else ""
    yield SuspectColumn(
        "similar_levels",
        name,
        f"'{name}' has {number_of(len(counts), 'level')}, of which some differ only by blanks, by case or by the way a "
        f"number is written: {shown}{more}",
        f"If they are the same, make them equal: df['{name}'].str.strip().str.lower() removes blanks at the ends and "
        "capitals.",
    )


def _essence(level: str) -> str:
    """A level without blanks and capitals; numbers in one way of writing them."""
    plain = level
    if not level.isascii():
        visible = (letter for letter in level if unicodedata.category(letter) != "Cf")
        plain = unicodedata.normalize("NFKC", "".join(visible))
    short = "".join(plain.casefold().split())
    number = _number(short)
    return short if number is None else repr(number)


def _number(text: str) -> float | None:
    if text.strip()[:1] not in _FIRST_OF_NUMBER:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _numbers_as_text(name: str, counts: dict[str, int]) -> SuspectColumn | None:
    numbers = [level for level in counts if _number(level) is not None]
    others = {level: count for level, count in counts.items() if _number(level) is None}
    total = sum(counts.values())
    plain = sum(counts[level] for level in numbers)
    like = [level for level in others if level.strip() in _MISSING or _LIKE_NUMBER.fullmatch(level)]
    mostly_plain = plain >= MOSTLY * total and len(numbers) >= (FEW_NUMBERS if others else MANY_NUMBERS)
    nearly_all = (
        len(numbers) + len(like) >= MANY_NUMBERS and plain + sum(map(counts.__getitem__, like)) >= MOSTLY * total
    )
    if not mostly_plain and not nearly_all:
        return None
    except_for = f", except {_counted(others)}" if others else ""
    conversion, decimal_comma = _conversion(name, counts, others)
    return SuspectColumn(
        "numbers_as_text",
        name,
        f"the predictor '{name}' holds numbers but is read as text{except_for}: it has a coefficient for each of "
        f"{number_of(len(counts), 'value')} but one",
        f"{conversion} If the values are categories, write C({name}).",
        decimal_comma,
    )


def _conversion(name: str, counts: dict[str, int], others: dict[str, int]) -> tuple[str, bool]:
    """How a column of numbers becomes one, and whether only decimal commas are in the way.

    `others` are the levels that are no numbers.
    """
    bare = [_BESIDE.sub("", level) for level in others]
    commas = [number for number in bare if "," in number]
    decimal_comma = False
    if 2 * len(commas) > len(others) and any(map(_THOUSANDS_POINTS.fullmatch, commas)):
        options = "thousands='.' and decimal=','"
        convert = f"df['{name}'].str.replace('.', '').str.replace(',', '.')"
    elif 2 * len(commas) > len(others) > 1 and all(map(_THOUSANDS.fullmatch, commas)):
        options, convert = "thousands=','", f"df['{name}'].str.replace(',', '')"
    elif 2 * sum(bool(_DECIMAL_COMMA.fullmatch(number)) for number in commas) > len(others):
        options, convert = "decimal=','", f"df['{name}'].str.replace(',', '.')"
        decimal_comma = True
    elif 2 * len(others) > len(counts):
        options, convert = "", f"df['{name}'].str"
    else:
        return (
            f"Turn it into numbers, for example by pandas.to_numeric(df['{name}'], errors='coerce'), which leaves "
            "missing values where there is no number.",
            False,
        )
    if not options or 2 * sum(bool(_BESIDE.search(level.strip())) for level in others) > len(others):
        beside = convert.removesuffix(".str") + ".str.replace(r'[^0-9.eE+-]', '', regex=True)"
        return f"Remove what is beside the numbers: pandas.to_numeric({beside}).", False
    return f"Read the file with {options}, or convert the column: pandas.to_numeric({convert}).", decimal_comma


def _counted(counts: dict[str, int]) -> str:
    """Levels with their numbers of rows, the rarest first where there are many."""
    rarest = sorted(counts, key=lambda level: counts[level]) if len(counts) > SHOWN else list(counts)
    shown = ", ".join(f"{shortened(level)} ({number_of(counts[level], 'row')})" for level in rarest[:SHOWN])
    return shown + (f" and {len(counts) - SHOWN:,} more" if len(counts) > SHOWN else "")


def _some(levels: list[str]) -> str:
    return ", ".join(shortened(level) for level in levels[:3])
