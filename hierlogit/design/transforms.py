"""Functions a formula may call besides those of formulae: the within/between split and common mathematics.

A stateful transform learns from the training rows once and applies what it learned to new rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DesignError
from ..validation import agree, mapping, quoted_list


class ClusterMeans:
    """Mean of a predictor in every cluster, learned from the training rows.

    A cluster of the training data keeps its training mean in new data; a cluster never seen uses the
    mean of its own new rows.
    """

    # formulae makes one instance for each call in a formula when it finds this attribute.
    __stateful_transform__ = True

    def __init__(self) -> None:
        self._means: pd.Series[float] | None = None

    def _cluster_means(self, x: Any, g: Any) -> npt.NDArray[np.float64]:
        values = pd.Series(np.asarray(x, dtype=float))
        clusters = pd.Series(np.asarray(g, dtype=object))
        own = values.groupby(clusters).mean()
        if self._means is None:
            self._means = own
        known = clusters.map(self._means).astype(float)
        return np.asarray(known.fillna(clusters.map(own).astype(float)), dtype=np.float64)


class Between(ClusterMeans):
    """``between(x, g)``: the mean of `x` in the row's cluster of `g`."""

    def __call__(self, x: Any, g: Any) -> npt.NDArray[np.float64]:
        """Cluster means of `x`, one for each row, shape (n,)."""
        return self._cluster_means(x, g)


class Within(ClusterMeans):
    """``within(x, g)``: `x` less the mean of `x` in the row's cluster of `g`."""

    def __call__(self, x: Any, g: Any) -> npt.NDArray[np.float64]:
        """Deviations of `x` from its cluster mean, shape (n,)."""
        return np.asarray(x, dtype=float) - self._cluster_means(x, g)


_MATHEMATICS = ("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "abs", "sin", "cos", "tan", "floor", "ceil")

#: What a formula can call: the names formulae knows, those added here, and common mathematics.
FORMULAE_FUNCTIONS = (
    "C",
    "I",
    "S",
    "T",
    "Sum",
    "Treatment",
    "bs",
    "center",
    "offset",
    "poly",
    "scale",
    "standardize",
)

# These formulae knows as well; they belong to responses.
_OTHER_FORMULAE_FUNCTIONS = ("B", "binary", "p", "prop", "proportion")

_NAMESPACE: Mapping[str, Any] = MappingProxyType(
    {"within": Within, "between": Between, "np": np, **{name: getattr(np, name) for name in _MATHEMATICS}}
)


def formula_namespace(extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Names a formula can use besides the columns of its table; `extra` adds to them.

    Raises
    ------
    DesignError
        If `extra` has a name that formulae keeps for a function of its own, and would never look at.
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
    """Names of the functions a formula can call, sorted, with the callables of `extra`."""
    named: dict[str, Any] = formula_namespace(extra)
    callables = {name for name, value in named.items() if callable(value)}
    return tuple(sorted(callables.union(FORMULAE_FUNCTIONS)))
