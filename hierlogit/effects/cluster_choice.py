"""The option ``clusters=``: which cluster effects count, or the quantiles of representative clusters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from ..errors import PredictionError
from ..model_spec import ModelSpec
from ..validation import (
    as_float,
    listed,
    mapping,
    number_of,
    one_of,
    plain_value,
    probability,
    quoted_list,
    shortened,
    unknown_names,
)

CLUSTERS = ("observed", "new", "average", "typical")
#: Quantiles that have names.
QUANTILES = {"low": 0.1, "middle": 0.5, "high": 0.9}
#: What the option takes.
type Clusters = str | float | Sequence[str | float] | Mapping[str, Any]
#: The largest number of representative clusters for which the same rows are predicted.
MOST_SETS = 10_000


@dataclass(frozen=True)
class ClusterQuantile:
    """A quantile of what cluster effects contribute to the linear predictor, over the population of clusters.

    The contribution ``sum_t z_t'b_t`` of the factors is normal with mean zero and variance ``sum_t z_t' Sigma_t z_t``:
    its quantile is ``q sqrt(sum_t z_t' Sigma_t z_t)`` with the normal quantile q, and depends on the row's predictors
    if the factors have random slopes (for random intercepts, Duchateau and Janssen 2005, The American Statistician 59:
    143-146).

    Attributes
    ----------
    factors : tuple of str
        The grouping factors.
    prob : float
        The share of the clusters below.
    """

    factors: tuple[str, ...]
    prob: float

    @property
    def label(self) -> str:
        """The name of the cluster in results.

        Examples
        --------
        >>> ClusterQuantile(("person", "item"), 0.1).label
        'person + item 10%'
        """
        return f"{' + '.join(self.factors)} {100 * self.prob:.10g}%"


#: Representative clusters that are predicted for together, at most one for each grouping factor.
type ClusterSet = tuple[ClusterQuantile, ...]


@dataclass(frozen=True)
class ClusterChoice:
    """What the option ``clusters=`` chooses.

    Attributes
    ----------
    treatments : dict of str to str
        By grouping factor: "observed", "new", "average", "typical", or "quantile".
    sets : tuple of ClusterSet
        The representative clusters, for each of which the rows are predicted; a single empty set if there are none.
    """

    treatments: dict[str, str]
    sets: tuple[ClusterSet, ...] = ((),)

    @classmethod
    def of(cls, model: ModelSpec, clusters: Clusters) -> ClusterChoice:
        """The choice for each grouping factor, from one choice for all or a mapping with ``"observed"`` as default.

        Raises
        ------
        PredictionError
            If a factor, a choice or a quantile is not allowed.
        """
        names = [group.name for group in model.design.groups]
        if not isinstance(clusters, Mapping):
            return cls._for_all(names, _word_or_quantiles("clusters", clusters), clusters)
        what = f"one of {quoted_list((*CLUSTERS, *QUANTILES))} or quantiles, by grouping factor"
        given = mapping("clusters", clusters, PredictionError, what)
        unknown = [name for name in given if name not in names]
        if unknown:
            raise PredictionError(unknown_names("clusters", unknown, names, "grouping factor"))
        chosen = {name: _word_or_quantiles(f"clusters['{name}']", value) for name, value in given.items()}
        treatments = {name: _treatment(chosen.get(name, "observed")) for name in names}
        choices = [
            [ClusterQuantile((name,), prob) for prob in probs]
            for name, probs in chosen.items()
            if not isinstance(probs, str)
        ]
        count = math.prod(len(quantiles) for quantiles in choices)
        if count > MOST_SETS:
            raise PredictionError(
                f"clusters: {count:,} combinations of quantiles are more than {MOST_SETS:,}. Give fewer quantiles."
            )
        return cls(treatments, tuple(product(*choices)))

    @classmethod
    def _for_all(cls, names: Sequence[str], chosen: str | tuple[float, ...], given: Clusters) -> ClusterChoice:
        if isinstance(chosen, str):
            return cls(dict.fromkeys(names, chosen))
        if not names:
            raise PredictionError(
                f"clusters={shortened(given)}: the model has no random effects, by which clusters could differ. Leave "
                "clusters= out."
            )
        return cls(dict.fromkeys(names, "quantile"), tuple((ClusterQuantile(tuple(names), prob),) for prob in chosen))


def cluster_choices(model: ModelSpec, clusters: Clusters) -> dict[str, str]:
    """The choice for each grouping factor, for functions that do not take representative clusters.

    Raises
    ------
    PredictionError
        If a factor or a choice is not allowed.
    """
    choice = ClusterChoice.of(model, clusters)
    if any(choice.sets):
        raise PredictionError(
            f"clusters={shortened(clusters)}: quantiles of clusters are for predictions, comparisons and slopes only; "
            f"{one_of(CLUSTERS)}."
        )
    return choice.treatments


def _treatment(chosen: str | tuple[float, ...]) -> str:
    return chosen if isinstance(chosen, str) else "quantile"


def _word_or_quantiles(option: str, value: Any) -> str | tuple[float, ...]:
    """A choice by name, or the probabilities of quantiles, each once.

    Raises
    ------
    PredictionError
        If the value is neither.
    """
    items = listed(value)
    if items is None:
        return plain_value(value) if _is_word(value) else (_quantile(option, value),)
    if not 0 < len(items) <= MOST_SETS:
        raise PredictionError(
            f"{option} has {number_of(len(items), 'quantile')}; give from 1 to {MOST_SETS:,} numbers between 0 and 1."
        )
    probs = [_prob(item) for item in items]
    others = [item for item, prob in zip(items, probs, strict=True) if not 0 < prob < 1]
    if others:
        alone = " Choose the others in calls of their own." if any(map(_is_word, others)) else ""
        raise PredictionError(
            f"{option}={shortened(value)}: a list holds quantiles, which are numbers between 0 and 1 or "
            f"{quoted_list(list(QUANTILES))}; not {quoted_list(others)}.{alone}"
        )
    return tuple(dict.fromkeys(probs))


def _is_word(value: Any) -> bool:
    plain = plain_value(value)
    return isinstance(plain, str) and plain in CLUSTERS


def _prob(value: Any) -> float:
    """The probability of a quantile by name or number; NaN for anything else."""
    plain = plain_value(value)
    return QUANTILES.get(plain, math.nan) if isinstance(plain, str) else as_float(plain)


def _quantile(option: str, value: Any) -> float:
    prob = _prob(value)
    if math.isnan(prob):
        raise PredictionError(
            f"{option}={shortened(value)} is not allowed; {one_of((*CLUSTERS, *QUANTILES))}, or give quantiles of "
            "clusters as numbers between 0 and 1."
        )
    return prob if 0 < prob < 1 else probability(option, value, PredictionError)
