"""Codings of categorical predictors: Helmert, successive and polynomial contrasts, matrices, and checked levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DesignError
from ..validation import kind_of, nearest, number_of, quoted_list, real_array, shortened
from .formulae_parts import CategoricalBox, ContrastMatrix, Encoding, Sum, Treatment
from .signatures import CODINGS

FloatArray = npt.NDArray[np.float64]

#: What the second argument of ``C()`` can be.
CHOICES = (
    "Treatment('a') (differences from level 'a'), Sum (deviations from the mean of all levels), Helmert (differences "
    "from the mean of the levels before), Diff (differences from the level before), Poly (linear, quadratic, ... "
    "trend) or a matrix with one row for each level"
)


class _Contrasts(Encoding):  # type: ignore[misc]
    """A coding that needs only the contrasts, ``matrix`` of shape (levels, columns), and labels for them."""

    #: Label of the column of ones where the columns span the intercept.
    constant = "mean"

    def contrasts(self, levels: Sequence[Any]) -> tuple[FloatArray, list[str]]:
        """The contrasts of these levels, with labels."""
        raise NotImplementedError

    def code_with_intercept(self, levels: Sequence[Any]) -> ContrastMatrix:
        """Columns of codes that span the intercept: ones, and the contrasts."""
        matrix, labels = self.contrasts(levels)
        return ContrastMatrix(np.column_stack([np.ones(len(levels)), matrix]), [self.constant, *labels])

    def code_without_intercept(self, levels: Sequence[Any]) -> ContrastMatrix:
        """Columns of codes that do not span the intercept: the contrasts."""
        return ContrastMatrix(*self.contrasts(levels))


class Helmert(_Contrasts):
    """Helmert contrasts, as R's ``contr.helmert``: each level after the first, and the mean of those before it.

    The coefficient of the j-th column is ``1 / (j + 1)`` of the difference.
    """

    def contrasts(self, levels: Sequence[Any]) -> tuple[FloatArray, list[str]]:
        """The contrasts of these levels; each is named for the level that is compared with those before it."""
        k = len(levels)
        matrix = np.triu(-np.ones((k, k - 1)))
        matrix[np.arange(1, k), np.arange(k - 1)] = np.arange(1.0, k)
        return matrix, [_word(level) for level in levels[1:]]


class Diff(_Contrasts):
    """Successive differences, as ``contr.sdif`` of R's MASS: each level after the first, and the one before it.

    The coefficients are the differences themselves. Venables, W. N. and Ripley, B. D. (2002), Modern Applied Statistics
    with S, section 6.2.
    """

    def contrasts(self, levels: Sequence[Any]) -> tuple[FloatArray, list[str]]:
        """The contrasts of these levels; each is named for the level that is compared with the one before it."""
        k = len(levels)
        steps = np.tril(np.ones((k, k)), -1)[:, : k - 1]
        return steps - steps.mean(axis=0), [_word(level) for level in levels[1:]]


class Poly(_Contrasts):
    """Orthonormal polynomial contrasts, as R's ``contr.poly``: the linear, quadratic, cubic, ... trend over the levels.

    Parameters
    ----------
    scores : sequence of float, optional
        The position of each level; 1, 2, 3, ... if not given.
    """

    _NAMES = ("linear", "quadratic", "cubic")

    def __init__(self, scores: Sequence[float] | None = None) -> None:
        self.scores = scores

    def contrasts(self, levels: Sequence[Any]) -> tuple[FloatArray, list[str]]:
        """The contrasts of these levels, by degree."""
        k = len(levels)
        if self.scores is None:
            scores = np.arange(1.0, k + 1)
        else:
            scores = real_array("scores", self.scores, DesignError, "numbers, one for each level")
            if scores.shape != (k,) or len(np.unique(scores)) < k or not np.isfinite(scores).all():
                raise DesignError(
                    f"Poly(scores={shortened(self.scores)}): there must be one number for each of the {k} levels "
                    f"{quoted_list(levels)}, all of them finite and different."
                )
        centred = scores - scores.mean()
        powers = np.vander(centred / np.abs(centred).max(), k, increasing=True)
        orthogonal, triangle = np.linalg.qr(powers)
        matrix = orthogonal * np.sign(np.diag(triangle))
        names = [self._NAMES[j] if j < len(self._NAMES) else f"degree {j + 1}" for j in range(k - 1)]
        return matrix[:, 1:], names


class Matrix(_Contrasts):
    """The contrasts in a matrix of the user's own, with one row for each level."""

    constant = "constant"

    def __init__(self, given: Any) -> None:
        self.given = given

    def contrasts(self, levels: Sequence[Any]) -> tuple[FloatArray, list[str]]:
        """The matrix, with the names of its columns if it is a data frame, otherwise numbered from 1."""
        k = len(levels)
        matrix = self._in_order(levels)
        if matrix.ndim != 2 or len(matrix) != k or not 1 <= matrix.shape[1] < k or not np.isfinite(matrix).all():
            raise DesignError(
                f"the contrasts must be a matrix of finite numbers with {number_of(k, 'row')}, one for each of the "
                f"levels {_shown(levels)}, and from 1 to {k - 1} columns; got the shape {matrix.shape}."
            )
        if np.linalg.matrix_rank(np.column_stack([np.ones(k), matrix])) <= matrix.shape[1]:
            raise DesignError(
                f"the columns of the contrasts {shortened(matrix.tolist())} and the column of the intercept depend "
                "linearly on each other. Each column must add a contrast of its own."
            )
        names = [str(name) for name in self.given.columns] if isinstance(self.given, pd.DataFrame) else []
        return matrix, names or [str(j) for j in range(1, matrix.shape[1] + 1)]

    def _in_order(self, levels: Sequence[Any]) -> FloatArray:
        what = "a matrix of numbers with one row for each level"
        if not isinstance(self.given, pd.DataFrame):
            return real_array("contrasts", self.given, DesignError, what)
        rows = {_word(name): place for place, name in enumerate(self.given.index)}
        words = [_word(level) for level in levels]
        if isinstance(self.given.index, pd.RangeIndex) and not set(words) & set(rows):
            return real_array("contrasts", self.given.to_numpy(), DesignError, what)
        if set(words) != set(rows):
            raise DesignError(
                f"the rows of the contrasts are named {quoted_list(list(self.given.index))}, and the levels are "
                f"{quoted_list(levels)}. Name the rows as the levels."
            )
        return real_array("contrasts", self.given.iloc[[rows[word] for word in words]].to_numpy(), DesignError, what)


def _word(level: Any) -> str:
    return str(int(level)) if isinstance(level, float) and level.is_integer() else str(level)


def categorical(data: Any, contrast: Any = None, levels: Any = None) -> CategoricalBox:
    """``C(x, contrast, levels)``: a column as a categorical predictor.

    Raises
    ------
    DesignError
        If the contrast is not a coding, or names a level that there is not.
    """
    if isinstance(data, CategoricalBox):
        contrast = data.contrast if contrast is None else contrast
        levels = data.levels if levels is None else levels
        data = data.data
    name = str(getattr(data, "name", None) or "")
    values = pd.Series(data)
    there = _levels_of(values)
    order = there if levels is None else _in_given_order(levels, there, name)
    coding = _coding(contrast, name)
    named = coding.reference if isinstance(coding, Treatment) else coding.omit if isinstance(coding, Sum) else None
    if named is not None:
        _refuse_unknown(named, there, f"{type(coding).__name__}({shortened(named)})", name)
    if isinstance(coding, _Contrasts):
        coding.contrasts(order)  # refuses what does not fit these levels
    return CategoricalBox(np.asarray(values), coding, order)


def sum_coded(data: Any, omit: Any = None, levels: Any = None) -> CategoricalBox:
    """``S(x, omit)``, short for ``C(x, Sum(omit))``."""
    return categorical(data, Sum(omit), levels)


def treatment_coded(data: Any, ref: Any = None, levels: Any = None) -> CategoricalBox:
    """``T(x, ref)``, short for ``C(x, Treatment(ref))``."""
    return categorical(data, Treatment(ref), levels)


def plain_categorical(data: Any) -> CategoricalBox:
    """A column of other rows as a categorical predictor, whose levels and coding are those of the training rows."""
    return CategoricalBox(np.asarray(data, dtype=object), None, None)


def _levels_of(values: pd.Series[Any]) -> list[Any]:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.cat.categories.tolist()
    return sorted(set(values.tolist()))


def _of(name: str) -> str:
    return f" of '{name}'" if name else ""


def _in_given_order(levels: Any, there: list[Any], name: str) -> list[Any]:
    given = list(levels) if isinstance(levels, (list, tuple, np.ndarray, pd.Index, pd.Series)) else None
    if given is None:
        raise DesignError(
            f"levels={shortened(levels)} must be a list of the levels{_of(name)} in their order: [{_shown(there)}]."
        )
    given = [item.item() if isinstance(item, np.generic) else item for item in given]
    for level in given:
        _refuse_unknown(level, there, "levels", name)
    left_out = [level for level in there if level not in given]
    if left_out or len(set(given)) < len(given):
        problem = f"the list lacks {quoted_list(left_out)}" if left_out else "a level is in the list twice"
        raise DesignError(
            f"levels={shortened(levels)}{_of(name)}: {problem}. List each of the levels once: {_shown(there)}."
        )
    return given


def _refuse_unknown(level: Any, there: list[Any], where: str, name: str) -> None:
    if any(isinstance(level, str) == isinstance(known, str) and level == known for known in there):
        return
    words = {_word(known): known for known in there}
    hint = nearest(level, words) if isinstance(level, str) else ""
    if isinstance(level, str) and level in words:
        hint = f" The levels are numbers: write {level} without quotes."
    elif _word(level) in words:
        hint = f" The levels are texts: write '{_word(level)}' in quotes."
    raise DesignError(
        f"{where}: {shortened(level)} is not among the levels{_of(name)}, which are {_shown(there)}.{hint}"
    )


def _shown(levels: Sequence[Any]) -> str:
    """Levels for a message, whole numbers without a decimal point."""
    return quoted_list([int(level) if isinstance(level, float) and level.is_integer() else level for level in levels])


def _coding(contrast: Any, name: str) -> Encoding | None:
    if contrast is None or isinstance(contrast, Encoding):
        return contrast
    if isinstance(contrast, type) and issubclass(contrast, Encoding):
        return contrast()
    if isinstance(contrast, (np.ndarray, pd.DataFrame, list, tuple)):
        return Matrix(contrast)
    column = f"the column '{contrast.name}'" if isinstance(contrast, pd.Series) else shortened(contrast)
    meant = _without_quotes(contrast) if isinstance(contrast, str) else ""
    raise DesignError(f"the coding{_of(name)} cannot be {column} ({kind_of(contrast)}). It can be {CHOICES}.{meant}")


def _without_quotes(text: str) -> str:
    """The advice to write the coding that a text names; nothing if it names none."""
    short = text.casefold().removeprefix("contr.")
    meant = next((coding for coding in CODINGS if coding.casefold() == short), "")
    return f" Write {meant} without quotes." if meant else ""
