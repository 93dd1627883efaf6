"""Functions for formulas besides those of formulae: within-between decomposition and common mathematics.

Stateful transforms learn from the training rows and apply the same transformation to new rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DesignError
from ..validation import agree, mapping, quoted_list
from .signatures import CODINGS


class ClusterMeans:
    """Mean of a predictor in each cluster, learned from the training rows.

    In new data, clusters of the training data keep their training mean; new clusters have the mean of their new rows.

    Parameters
    ----------
    counts : ndarray, shape (n,), optional
        How often each training row counts.
    """

    # With this attribute, formulae makes one instance for each call in a formula.
    __stateful_transform__ = True

    def __init__(self, counts: npt.NDArray[np.float64] | None = None) -> None:
        self._means: pd.Series[float] | None = None
        self._counts = counts

    def _cluster_means(self, x: Any, g: Any) -> npt.NDArray[np.float64]:
        values = pd.Series(np.asarray(x, dtype=float))
        clusters = pd.Series(np.asarray(g, dtype=object))
        current = values.groupby(clusters).mean()
        if self._means is None and self._counts is not None:
            counts = pd.Series(self._counts)
            self._means = (counts * values).groupby(clusters).sum() / counts.groupby(clusters).sum()
        elif self._means is None:
            self._means = current
        known = clusters.map(self._means).astype(float)
        return np.asarray(known.fillna(clusters.map(current).astype(float)), dtype=np.float64)


class Between(ClusterMeans):
    """``between(x, g)``: the mean of `x` in the row's cluster of `g`."""

    def __call__(self, x: Any, g: Any) -> npt.NDArray[np.float64]:
        """Cluster means of `x`, one for each row, shape (n,)."""
        return self._cluster_means(x, g)


class Within(ClusterMeans):
    """``within(x, g)``: `x` minus the mean of `x` in the row's cluster of `g`."""

    def __call__(self, x: Any, g: Any) -> npt.NDArray[np.float64]:
        """Deviations of `x` from its cluster mean, shape (n,)."""
        return np.asarray(x, dtype=float) - self._cluster_means(x, g)


_LOGARITHMS = ("log", "log2", "log10", "log1p", "exp", "expm1")
_MATHEMATICS = (*_LOGARITHMS, "sqrt", "abs", "sin", "cos", "tan", "floor", "ceil", "round")
#: Functions whose arguments are numbers, so that True/False counts as 1 and 0.
NUMERIC_FUNCTIONS = frozenset({*_MATHEMATICS, "bs", "center", "offset", "poly", "scale", "standardize"})

#: Functions that formulae provides, some of them replaced by those of `hierlogit.design.codings`.
FORMULAE_FUNCTIONS = (
    "C",
    "I",
    "S",
    "T",
    *CODINGS,
    "bs",
    "center",
    "offset",
    "poly",
    "scale",
    "standardize",
)

# Further functions of formulae, for responses.
_OTHER_FORMULAE_FUNCTIONS = ("B", "binary", "p", "prop", "proportion")

_NAMESPACE: Mapping[str, Any] = MappingProxyType(
    {"within": Within, "between": Between, "np": np, **{name: getattr(np, name) for name in _MATHEMATICS}}
)


def formula_namespace(extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Functions and values that a formula can use besides the columns of its table, including `extra`.

    Raises
    ------
    DesignError
        If `extra` has the name of a function of formulae, which would take precedence.
    """
    given = {} if extra is None else mapping("namespace", extra, DesignError, "names with their values, {'f': f}")
    taken = sorted({*FORMULAE_FUNCTIONS, *_OTHER_FORMULAE_FUNCTIONS}.intersection(given))
    if taken:
        raise DesignError(
            f"the namespace holds {quoted_list(taken)}, but formulas have built-in functions of "
            f"{agree(taken, 'this name', 'these names')}. Give yours another name."
        )
    return {**_NAMESPACE, **given}


def formula_functions(extra: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Names of the functions that a formula can call, sorted: nothing else is ever called or looked up.

    They are those of formulae, those here, the callables of `extra`, and the public functions of its modules, such as
    ``special.expit`` with ``{"special": scipy.special}``. Of NumPy there are only functions of numbers (``np.log``):
    others read and write files, and a formula may come from a file of somebody else.
    """
    named = formula_namespace(extra)
    callables = [name for name, value in named.items() if callable(value)]
    modules = {name: value for name, value in named.items() if isinstance(value, ModuleType)}
    of_modules = [f"{name}.{function}" for name, module in modules.items() for function in _public_functions(module)]
    return tuple(sorted({*callables, *of_modules, *FORMULAE_FUNCTIONS}))


#: Functions of NumPy besides its ufuncs that compute a value for each row from that row alone.
_BY_ROW = ("around", "clip", "digitize", "interp", "isclose", "isin", "nan_to_num", "round", "sinc", "where")
#: Functions of NumPy whose values depend on all rows at once.
_OVER_ROWS = (
    *("average", "cumsum", "max", "mean", "median", "min", "nanmax", "nanmean", "nanmedian", "nanmin", "nanstd"),
    *("percentile", "ptp", "quantile", "searchsorted", "std", "sum", "var"),
)
#: These as formulas call them.
AGGREGATES = frozenset(f"np.{name}" for name in _OVER_ROWS)
_NUMPY_FUNCTIONS = (*_BY_ROW, *_OVER_ROWS)


def _public_functions(module: ModuleType) -> list[str]:
    held = vars(module)
    if module is np:
        return [*_NUMPY_FUNCTIONS, *(name for name, value in held.items() if isinstance(value, np.ufunc))]
    public = [str(name) for name in held.get("__all__", held)]
    return [name for name in public if name[:1] != "_" and "." not in name and callable(held.get(name))]
