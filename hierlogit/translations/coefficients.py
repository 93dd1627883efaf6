"""The meaning of each fixed effect in words, from the codes of its columns.

A coefficient is a linear function of the log-odds at the levels of the categorical predictors, or of the change in
them for one more unit of some numeric predictors. This function is read off the inverse of the matrix of codes, and
checked against all columns, so that the words hold for any coding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..design.column_parts import Coding, ColumnPart, Curve, Parts, curves, part_of_curve
from ..formatting import number

if TYPE_CHECKING:
    from ..design.design import Design

FloatArray = npt.NDArray[np.float64]

_TOLERANCE = 1e-9
_AVERAGED = "averaged over the levels of "
#: Number of conditions for an intercept that are named; there are as many as predictors.
_MOST_CONDITIONS = 5


@dataclass(frozen=True)
class Contrast:
    """What a coefficient is a linear function of, and the function.

    Attributes
    ----------
    numbers : tuple of str
        The numeric predictors whose product the coefficient belongs to; none for the log-odds themselves.
    weights : mapping of str to ndarray, shape (levels,)
        The weights of the levels of each categorical predictor, by component. The function is their product.
    own : tuple of str
        The components that the column has a code of; the weights of the others say where or how it is averaged.
    """

    numbers: tuple[str, ...]
    weights: Mapping[str, FloatArray]
    own: tuple[str, ...]


def contrasts(columns: Sequence[Parts]) -> list[Contrast | None]:
    """The contrast that each coefficient is; None where the codes of its column do not give one.

    Parameters
    ----------
    columns : sequence of tuple of ColumnPart, length p
        The parts of all columns of the fixed part.
    """
    of_numbers: dict[tuple[str, ...], list[Parts]] = {}
    for parts in columns:
        of_numbers.setdefault(_numbers(parts), []).append(parts)
    return [_contrast(parts, of_numbers[_numbers(parts)]) for parts in columns]


def _numbers(parts: Parts) -> tuple[str, ...]:
    return tuple(sorted(part.text for part in parts if part.coding is None))


def _codes(parts: Parts) -> dict[str, FloatArray]:
    return {part.component: part.coding.codes[:, part.position] for part in parts if part.coding is not None}


def _contrast(parts: Parts, alike: Sequence[Parts]) -> Contrast | None:
    """The contrast of a column among those of the same numeric predictors."""
    weights: dict[str, FloatArray] = {}
    for part in parts:
        if part.coding is not None:
            weights[part.component] = part.coding.contrasts[1 + part.position]
    own = tuple(weights)
    for other in alike:
        for part in other:
            if part.coding is None or part.component in own:
                continue
            # A coding that does not span the intercept says where the coefficients of other columns hold.
            if part.component not in weights or not part.coding.spans_intercept:
                weights[part.component] = part.coding.contrasts[0]
    found = Contrast(_numbers(parts), weights, own)
    values = [applied(found, _codes(other)) for other in alike]
    wanted = [float(other is parts) for other in alike]
    return found if np.allclose(values, wanted, atol=_TOLERANCE) else None


def applied(contrast: Contrast, codes: Mapping[str, FloatArray]) -> float:
    """The contrast of a column with these codes of the levels, by component."""
    value = 1.0
    for component, weights in contrast.weights.items():
        value *= float(weights @ codes[component]) if component in codes else float(weights.sum())
    return value


# ---- words --------------------------------------------------------------------------------------------------------


def meanings(design: Design) -> list[str]:
    """The meaning of each fixed effect, with names from the data between backticks.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("y ~ C(trt, Sum) + (1 | ID)", hl.datasets.load("bacteria"))
    >>> print(meanings(model.design)[1])
    how much higher the log-odds are where `trt` is placebo than on average over the levels of `trt`
    """
    about = _About.of(design)
    return [_of_curve(parts, about) or _of_contrast(parts, about) for parts in design.fixed_parts]


@dataclass(frozen=True)
class _About:
    """What the meaning of a coefficient depends on, besides the parts of its column."""

    columns: tuple[Parts, ...]
    contrasts: Mapping[Parts, Contrast | None]
    codings: Mapping[str, Coding]
    curves: Mapping[str, Curve]
    names: frozenset[str]
    typical: str

    @classmethod
    def of(cls, design: Design) -> _About:
        columns = design.fixed_parts
        return cls(
            columns,
            dict(zip(columns, contrasts(columns), strict=True)),
            {part.component: part.coding for parts in columns for part in parts if part.coding is not None},
            curves(columns),
            frozenset(map(str, design.table.frame.columns)),
            ", in a typical cluster" if design.groups else "",
        )


def _of_curve(parts: Parts, about: _About) -> str:
    """The meaning of a column whose predictor cannot change alone; nothing for other columns."""
    curve = part_of_curve(parts, about.columns, about.curves)
    if curve is None:
        return ""
    part = next(part for part in parts if part.component in curve.components)
    others = [f"`{name}`" for name in curve.components if name != part.component]
    together = f"together with {listed(others)}" if others else "together with the other columns of this term"
    kind = "curve" if len(curve.variables) == 1 else "joint effect"
    rest = [f"`{other.text}`" for other in parts if other is not part]
    depends = f" and how it depends on {listed(rest)}" if rest else ""
    first = "no meaning of its own" if rest or not _is_slope_at_zero(part, curve) else _slope_at_zero(parts, about)
    plain = [name for name in curve.variables if name in about.names]
    plot = f"; hl.plots.curves(fit, '{plain[0]}') shows it" if plain else ""
    variables = listed([f"`{name}`" for name in curve.variables])
    return f"{first}: {together} it makes up the {kind} of {variables}{depends}{plot}"


def _is_slope_at_zero(part: ColumnPart, curve: Curve) -> bool:
    """Whether a part is a variable beside powers of it."""
    power = re.compile(rf"I\({re.escape(part.component)} \*\* [2-9]\)")
    others = [name for name in curve.components if name != part.component]
    return part.component in curve.variables and all(power.fullmatch(name) for name in others)


def _slope_at_zero(parts: Parts, about: _About) -> str:
    contrast = about.contrasts[parts]
    conditions = [f"where `{parts[0].component}` is 0", *(_conditions(contrast, about) if contrast else [])]
    return f"the slope of the curve{_where(conditions).removeprefix(',')}"


def _of_contrast(parts: Parts, about: _About) -> str:
    contrast = about.contrasts[parts]
    numbers = [part.text for part in parts if part.coding is None]
    subject = f"the coefficient of `{':'.join(numbers)}`" if numbers else "the log-odds"
    if contrast is None:
        return "the change in the log-odds for one more unit of this column, whose codes give no simpler contrast"
    where, weights = _conditions(contrast, about), contrast.weights
    levels, differences = list[str](), list[str]()
    for name in contrast.own:
        if abs(weights[name].sum()) < _TOLERANCE:
            differences.append(name)
        else:
            levels.append(_at(about.codings[name], weights[name]))
    conditions = _where([*levels, *where])
    if differences:
        *inner, outer = differences
        for name in inner:
            subject = _noun(about.codings[name], weights[name], f"({subject})" if name != inner[0] else subject)
        verb = "is" if numbers or inner else "are"
        return _clause(about.codings[outer], weights[outer], subject, verb) + conditions
    if numbers:
        return f"{_change(numbers)}{conditions}"
    if not parts and len(where) > _MOST_CONDITIONS:
        conditions = ", where all columns below are 0"
    at_once = conditions.removeprefix(",") if conditions.startswith(", where") else conditions
    return f"{subject}{at_once}{about.typical}"


def _change(numbers: Sequence[str]) -> str:
    *before, last = numbers
    subject = f"the coefficient of `{':'.join(before)}`" if before else "the log-odds"
    return f"the change in {subject} for one more unit of `{last}`"


def _conditions(contrast: Contrast, about: _About) -> list[str]:
    """Where a coefficient holds: at which levels of other predictors or averaged over them, and at which numbers 0."""
    conditions: dict[str, None] = {}
    for parts in about.columns:
        codes, numbers = _codes(parts), _numbers(parts)
        if not set(contrast.numbers) <= set(numbers):
            continue
        alike = numbers == contrast.numbers
        for component in codes:
            if alike and component not in contrast.own and _depends(contrast, codes, component):
                conditions[_at(about.codings[component], contrast.weights[component])] = None
        if not alike and _touches(contrast, codes):
            for part in parts:
                if part.coding is None and part.text not in contrast.numbers:
                    conditions[_at_zero(part, about)] = None
    return list(conditions)


def _at_zero(part: ColumnPart, about: _About) -> str:
    curve = about.curves.get(part.component)
    if curve is None:
        return f"where `{part.text}` is 0"
    if len(curve.components) == 1:
        return f"where the columns of `{part.component}` are 0"
    numbers = [f"`{name}`" for name in curve.components if name not in about.codings]
    return f"where {listed(numbers)} {'is' if len(numbers) == 1 else 'are'} 0"


def _depends(contrast: Contrast, codes: Mapping[str, FloatArray], component: str) -> bool:
    """Whether other weights of a component would give a column with these codes a share in the contrast."""
    others = {name: weights for name, weights in contrast.weights.items() if name != component}
    rest = Contrast(contrast.numbers, others, contrast.own)
    return abs(applied(rest, {name: code for name, code in codes.items() if name != component})) > _TOLERANCE


def _touches(contrast: Contrast, codes: Mapping[str, FloatArray]) -> bool:
    """Whether a column of more numeric predictors changes the contrast where they are not 0."""
    return abs(applied(contrast, codes)) > _TOLERANCE


def _at(coding: Coding, weights: FloatArray) -> str:
    """Where a coefficient holds, or how it is averaged, from weights of the levels that sum to 1."""
    k, used = len(weights), np.flatnonzero(np.abs(weights) > _TOLERANCE)
    if len(used) == 1 and abs(weights[used[0]] - 1) < _TOLERANCE:
        return f"where `{coding.name}` is {coding.levels[used[0]]}"
    if np.allclose(weights, 1 / k, atol=_TOLERANCE):
        return f"{_AVERAGED}`{coding.name}`"
    return f"{_AVERAGED}`{coding.name}` with {_weighted(coding, weights)}"


def _clause(coding: Coding, weights: FloatArray, subject: str, verb: str) -> str:
    """A difference between levels of `subject` as a clause."""
    if not coding.saturated:
        return f"the change in {subject} for one more unit of the codes of {_codes_of(coding, weights)}"
    name = f"`{coding.name}`"
    scale, high, low = _two_sides(weights)
    if scale is None:
        return f"the sum of {subject} over the levels of {name}, with {_weighted(coding, weights)}"
    if _from_mean(scale, high, len(weights)):
        is_level = f"where {name} is {coding.levels[high[0]]}"
        return f"how much higher {subject} {verb} {is_level} than on average over the levels of {name}"
    share = "" if abs(scale - 1) < _TOLERANCE else f"{_fraction(scale)} of "
    first, second = _among(coding, high), _among(coding, low)
    if len(high) == len(low) == 1:
        return f"{share}how much higher {subject} {verb} where {name} is {first} rather than {second}"
    there, elsewhere = f"{_average(high)} where {name} is {first}", f"{_average(low)} where it is {second}"
    return f"{share}how much higher {subject} {verb}{there} than{elsewhere}"


def _noun(coding: Coding, weights: FloatArray, subject: str) -> str:
    """A difference between levels of `subject` as a noun, of which another difference is taken."""
    if not coding.saturated:
        return f"the change in {subject} for one more unit of the codes of {_codes_of(coding, weights)}"
    name = f"`{coding.name}`"
    scale, high, low = _two_sides(weights)
    if scale is None:
        return f"the sum of {subject} over the levels of {name} (with {_weighted(coding, weights)})"
    if _from_mean(scale, high, len(weights)):
        level = coding.levels[high[0]]
        return f"the deviation of {subject} where {name} is {level} from the mean over the levels of {name}"
    share = "" if abs(scale - 1) < _TOLERANCE else f"{_fraction(scale)} of "
    first, second = _among(coding, high), _among(coding, low)
    return f"{share}the difference in {subject} between {name} {first} and{_average(low)} {second}"


def _codes_of(coding: Coding, weights: FloatArray) -> str:
    """The codes of the levels in the column to which these weights belong."""
    codes = coding.codes[:, int(np.argmax(weights @ coding.codes))]
    parts = [f"{code:.4g} for {level}" for level, code in zip(coding.levels, codes, strict=True)]
    return f"`{coding.name}` ({listed(parts)})"


def _two_sides(weights: FloatArray) -> tuple[float | None, list[int], list[int]]:
    """The scale and the levels on both sides of a difference of two means; no scale if it is not one."""
    high, low = np.flatnonzero(weights > _TOLERANCE), np.flatnonzero(weights < -_TOLERANCE)
    scale = float(weights[high].sum())
    means = np.zeros(len(weights))
    means[high], means[low] = scale / len(high), -scale / len(low)
    equal = np.allclose(weights, means, atol=_TOLERANCE)
    return (scale if equal else None), high.tolist(), low.tolist()


def _from_mean(scale: float, high: Sequence[int], k: int) -> bool:
    """Whether a difference of two means is that of one of k levels from the mean of all."""
    return len(high) == 1 and abs(scale - (k - 1) / k) < _TOLERANCE


def _among(coding: Coding, places: Sequence[int]) -> str:
    return listed([coding.levels[place] for place in places], "or")


def _average(places: Sequence[int]) -> str:
    return " on average" if len(places) > 1 else ""


def _weighted(coding: Coding, weights: FloatArray) -> str:
    parts = [f"{number(weight)} for {level}" for level, weight in zip(coding.levels, weights, strict=True)]
    return f"the weights {listed(parts)}"


def _fraction(value: float) -> str:
    near = Fraction(value).limit_denominator(60)
    return str(near) if abs(float(near) - value) < _TOLERANCE else number(value)


def _where(conditions: Sequence[str]) -> str:
    """Conditions as the end of a sentence, those that begin alike joined."""
    places = [condition.removeprefix("where ") for condition in conditions if condition.startswith("where ")]
    means = [condition.removeprefix(_AVERAGED) for condition in conditions if condition.startswith(_AVERAGED)]
    joined = [f"where {listed(places)}"] if places else []
    joined += [f"{_AVERAGED}{listed(means)}"] if means else []
    return "".join(f", {condition}" for condition in joined)


def listed(parts: Sequence[str], last: str = "and") -> str:
    """The parts joined by commas and a last word.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *first, end = parts or [""]
    return f"{', '.join(first)} {last} {end}" if first else end
