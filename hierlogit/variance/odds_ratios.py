"""Differences between clusters as odds ratios: median odds ratios and interval odds ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..density.linear_predictor import Draws
from ..design.design import Design
from ..effects.evaluated import Evaluated
from ..effects.over_imputations import over_imputations
from ..effects.query import Query
from ..errors import FitError, PredictionError
from ..fits.fit import Fit
from ..fits.repeated_findings import repeats_findings
from ..priors.elicitation import LOG_ODDS_RATIO_PER_SD
from ..student_t import t_quantile
from ..summaries.intervals import DrawTable, Interval
from ..validation import agree, interval_probability, names, quoted_list, real_number
from .by_factor import cluster_variances, described_rows, query_of, require_random_effects, result_rows, total

FloatArray = npt.NDArray[np.float64]
QUANTITIES = ("odds ratio", "lower", "upper", "opposed")
#: Of the exponentials, squares are taken for standard deviations: these must not overflow.
LARGEST_LOG_RATIO = 300.0


@repeats_findings
def mor(
    fit: Fit,
    newdata: Any = None,
    *,
    num_draws: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
) -> DrawTable:
    """Median odds ratios: how much clusters differ, on the scale of odds ratios.

    Take two rows with the same predictors from two randomly drawn clusters, and divide the higher odds by the lower.
    The median of this ratio is ``exp(sqrt(2 z'Sigma z) Phi^-1(3/4))``. It is 1 if clusters do not differ, and can be
    compared with the odds ratios of predictors.

    Parameters
    ----------
    fit : Fit
    newdata : table, optional
        Rows at which to compute it, one result for each, since with random slopes it depends on the predictors. If not
        given, ``z'Sigma z`` is averaged over the training rows.
    num_draws : int, optional
        How many posterior draws to use, evenly spaced; all if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.

    Returns
    -------
    DrawTable
        One row for each grouping factor: ``group``; with `newdata` also ``row`` and the columns of the rows; ``mean``,
        ``sd`` and the ends of the interval; for likelihood fits also ``estimate``, at the maximum. For a factor nested
        in another, it compares different inner clusters of the same outer cluster. ``.draws`` has the draws, dims
        (chain, draw, row).

    Raises
    ------
    FitError
        If the model has no random effects.
    PredictionError
        If the rows do not match the model.

    References
    ----------
    Larsen, Petersen, Budtz-Jørgensen and Endahl (2000), Biometrics 56: 909-914.
    Larsen and Merlo (2005), American Journal of Epidemiology 161: 81-88.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> hl.mor(fit)[["group", "estimate"]]
    Median odds ratio
      group     estimate
      district     1.513
    """
    interval = Interval.of(ci_prob, ci_kind)

    def medians(one: Fit, count: int | None) -> tuple[Query, Evaluated]:
        query = query_of(one, newdata, count, fixed=False)

        def ratios(draws: Draws) -> FloatArray:
            variances = cluster_variances(query, draws)
            sd = np.sqrt(np.concatenate(list(variances.values()), axis=1))
            with np.errstate(over="ignore"):  # where the clusters hardly limit an sd, which a finding of the fit says
                return np.exp(LOG_ODDS_RATIO_PER_SD * sd)

        values = query.evaluate(ratios, len(query.design.groups) * result_rows(query), result_rows(query))
        return query, query.of_all_rows(values)

    queries, values = over_imputations(fit, num_draws, medians)
    described = described_rows(queries[0], {"group": [group.name for group in fit.model.design.groups]})
    return values.table("Median odds ratio", described, interval)


@repeats_findings
def ior(
    fit: Fit,
    variables: str | Sequence[str] | Mapping[str, float] | None = None,
    *,
    prob: float = 0.8,
    group: str | Sequence[str] | None = None,
    num_draws: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
) -> DrawTable:
    """Interval odds ratios of cluster-level predictors, with the proportion of opposed odds ratios.

    The odds ratio ``exp(beta)`` of a predictor that is constant within clusters compares clusters with equal effects.
    But two rows that differ in it are in different clusters, whose effects differ too. Their odds ratios have the
    distribution of ``exp(beta + d)`` with ``d ~ N(0, 2 sigma^2)``; the interval ``exp(beta -+ sqrt(2 sigma^2) z)``
    contains the central share `prob` of them.

    Parameters
    ----------
    fit : Fit
    variables : str, list of str, or dict, optional
        Fixed effects, by label (``"rural[Y]"``) or name of the term. A dict gives the difference to compare,
        ``{"pcInd81": 0.5}``; otherwise it is one unit. If not given, all fixed effects that are constant within the
        clusters of a factor.
    prob : float
        Share of the odds ratios inside the interval.
    group : str or list of str, optional
        Grouping factors whose clusters differ between the two rows. If not given, the factors within whose clusters the
        fixed effect is constant. With mothers nested in communities: the mothers for a characteristic of mothers, both
        for a characteristic of communities.
    num_draws : int, optional
        How many posterior draws to use, evenly spaced; all if not given.
    ci_prob, ci_kind
        Probability and kind of the posterior intervals of each quantity; ArviZ's defaults if not given.

    Returns
    -------
    DrawTable
        Four rows for each fixed effect: ``term``, ``groups`` (the factors that differ) and ``quantity``. The quantities
        are the ``odds ratio``, which is also the median; the ends of the interval, ``lower`` and ``upper``; and
        ``opposed``, the share of odds ratios on the other side of 1 (the proportion of opposed odds ratios, POOR), from
        0 to 0.5. ``mean``, ``sd`` and the ends of the posterior interval; for likelihood fits also ``estimate``, at the
        maximum. ``.draws`` has the draws, dims (chain, draw, row).

        With random slopes, ``sigma^2`` is ``z'Sigma z`` averaged over the training rows.

    Raises
    ------
    FitError
        If the model has no random effects, or no fixed effect that is constant within clusters.
    PredictionError
        If a variable or option is not known, or a variable varies within all clusters and `group` is not given.

    References
    ----------
    Larsen and Merlo (2005), American Journal of Epidemiology 161: 81-88.
    Merlo, Wagner, Ghith and Leckie (2016), PLoS ONE 11: e0153778, for the proportion of opposed odds ratios.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("immun ~ kid2p + rural + pcInd81 + (1 | comm)", hl.datasets.load("guimmun"))
    >>> hl.ior(model.fit(hl.Laplace(seed=1)), "rural")[["term", "quantity", "estimate"]]
    Odds ratios between clusters
      term      quantity    estimate
      rural[Y]  odds ratio     0.534
      rural[Y]  lower          0.165
      rural[Y]  upper          1.727
      rural[Y]  opposed        0.247
    """
    from scipy.special import ndtr

    interval = Interval.of(ci_prob, ci_kind)
    prob = interval_probability("prob", prob, PredictionError)
    require_random_effects(fit)
    steps, differing = _between_clusters(fit, variables, group)
    reach = float(t_quantile(np.inf, prob))

    def intervals(one: Fit, count: int | None) -> tuple[Query, Evaluated]:
        query = query_of(one, None, count)

        def quantities(draws: Draws) -> FloatArray:
            variances, columns = cluster_variances(query, draws), []
            for label, step in steps.items():
                log_ratio = step * draws.beta[:, query.design.fixed_effects.index(label)]
                sd = np.sqrt(2 * total(variances, differing[label])[:, 0])
                if np.max(np.abs(log_ratio) + reach * sd) > LARGEST_LOG_RATIO:
                    raise PredictionError(
                        f"variables: a difference of {step:g} in '{label}' makes odds ratios too large. Choose a "
                        "smaller one."
                    )
                away = np.divide(np.abs(log_ratio), sd, out=np.full_like(sd, np.inf), where=sd > 0)
                ends = (np.exp(log_ratio - reach * sd), np.exp(log_ratio + reach * sd))
                columns += [np.exp(log_ratio), *ends, ndtr(-away)]
            return np.column_stack(columns)

        return query, query.evaluate(quantities, 4 * len(steps))

    described = {
        "term": np.repeat(list(steps), len(QUANTITIES)),
        "groups": np.repeat([", ".join(differing[label]) for label in steps], len(QUANTITIES)),
        "quantity": list(QUANTITIES) * len(steps),
    }
    _, values = over_imputations(fit, num_draws, intervals)
    return values.table("Odds ratios between clusters", pd.DataFrame(described), interval)


def _between_clusters(
    fit: Fit, variables: str | Sequence[str] | Mapping[str, float] | None, group: str | Sequence[str] | None
) -> tuple[dict[str, float], dict[str, tuple[str, ...]]]:
    """Difference to compare, and grouping factors whose clusters differ, by label of the fixed effect.

    Raises
    ------
    FitError
        If no fixed effect is constant within clusters.
    PredictionError
        If a variable varies within the clusters of every grouping factor.
    """
    steps = _steps(fit.model.design, variables)
    differing = {label: _differing(fit, label, group) for label in steps}
    if variables is None:
        steps = {label: step for label, step in steps.items() if differing[label]}
        if not steps:
            raise FitError(
                "no fixed effect of the model is constant within clusters. Odds ratios within clusters are in "
                "odds_ratios(fit)."
            )
    within = [label for label in steps if not differing[label]]
    if within:
        raise PredictionError(
            f"variables: {quoted_list(within)} {agree(within, 'varies', 'vary')} within the clusters of every grouping "
            "factor. Odds ratios within a cluster are in odds_ratios(fit); to compare rows of different clusters, pass "
            f"group='{fit.model.design.groups[0].name}'."
        )
    return steps, differing


def _steps(design: Design, variables: Any) -> dict[str, float]:
    """The chosen fixed effects, each with the difference to compare."""
    labels = [label for label in design.fixed_effects if label != "Intercept"]
    terms: dict[str, list[str]] = {}
    for label, term in zip(design.fixed_effects, design.fixed_terms, strict=True):
        terms.setdefault(term, []).append(label)
    if variables is None:
        return dict.fromkeys(labels, 1.0)
    allowed = list(dict.fromkeys([*labels, *(term for term in terms if term != "Intercept")]))
    wanted = list(variables) if isinstance(variables, Mapping) else variables
    steps: dict[str, float] = {}
    for name in names("variables", wanted, allowed, PredictionError, "fixed effect"):
        given = variables[name] if isinstance(variables, Mapping) else 1.0
        step = real_number(f"variables['{name}']", given, PredictionError)
        if step == 0:
            raise PredictionError(f"variables['{name}']=0: the difference must not be zero.")
        steps.update(dict.fromkeys([name] if name in labels else terms[name], step))
    return steps


def _differing(fit: Fit, label: str, groups: str | Sequence[str] | None) -> tuple[str, ...]:
    """The grouping factors that are chosen, or within whose clusters the fixed effect is constant."""
    design = fit.model.design
    if groups is not None:
        return tuple(names("group", groups, [group.name for group in design.groups], FitError, "grouping factor"))
    column = design.X[:, design.fixed_effects.index(label)]
    constant = []
    for group in design.groups:
        first = np.empty(len(group.levels))
        first[group.index] = column
        # Equal up to rounding, which can differ between the rows of a cluster in computed columns.
        if np.allclose(column, first[group.index], rtol=1e-9, atol=1e-12 * np.abs(column).max()):
            constant.append(group.name)
    return tuple(constant)
