"""`Fit` → `check`: what speaks against the model, in findings with evidence and what to look at next."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import FitError
from ...fits.findings import count_by_severity, gravest_first
from .calibration_link import row_measures
from .cluster_outliers import cluster_measures
from .cluster_slopes import relation_measures
from .effects_normality import effect_measures
from .integration import integration_check
from .measures import CheckResult, adjusted_for_number, as_table
from .predictive_check import Comparison, compare
from .predictors import shape_measures
from .prior_sensitivity import prior_checks
from .refitted import ReferenceFit

if TYPE_CHECKING:
    from ...fits.findings import Finding
    from ...fits.fit import Fit

#: Simulated data sets with which a tail probability of one in a hundred is known well enough.
FEWEST_REPLICATES = 50


@dataclass(frozen=True, repr=False)
class Check:
    """What `hl.check` found.

    Attributes
    ----------
    findings : tuple of Finding
        Most severe first: of equal severity those of the engine, then those of the model by their p-value.
    table : pandas.DataFrame
        One row for each check: ``check``, ``about`` (what it is of), ``statistic`` (what its number is), ``value``,
        ``expected`` (the mean of simulated data), ``p_value``, ``adjusted_p`` for all of them together, ``found``, and
        ``not_made``, why a check was not made.
    engine : str
        Of the fit.
    replicates : int
        Simulated data sets.
    alpha : float
        Chance of any finding that rests on a p-value, if the model is right.
    seed : int
        Repeats the result exactly.
    """

    findings: tuple[Finding, ...]
    table: pd.DataFrame
    engine: str
    replicates: int
    alpha: float
    seed: int

    def __repr__(self) -> str:
        return "\n".join([self._head(), *(f"  {finding}" for finding in self.findings)])

    def _head(self) -> str:
        made = int((self.table["not_made"] == "").sum())
        return (
            f"{made} checks of a fit by {self.engine}, with {self.replicates} simulated data sets: "
            f"{count_by_severity(self.findings)} (alpha {self.alpha:g} for all together)"
        )

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{escape(str(finding))}</li>" for finding in self.findings)
        return (
            f"<div><strong>{escape(self._head())}</strong>{f'<ul>{items}</ul>' if items else ''}"
            f"<details><summary>All checks</summary>{self.table.to_html(index=False, na_rep='')}</details></div>"
        )


def check(fit: Fit, *, replicates: int = 200, alpha: float = 0.05, seed: int | None = None) -> Check:
    """Look for what is wrong with a fitted model.

    Parameters
    ----------
    fit : Fit
        By any engine.
    replicates : int
        Data sets to simulate from the fit; at most as many as it has draws.
    alpha : float
        Chance of one or more findings about a model that is right, over all checks with a p-value.
    seed : int, optional
        Repeats the result exactly.

    Returns
    -------
    Check
        ``.findings``, each with what to look at next, and ``.table``.

    Raises
    ------
    FitError
        If an option is out of its range.

    Notes
    -----
    The findings of the engine, about convergence, come with those about the model, by these names:

    - ``miscalibration``: whether events happen as often as predicted, by isotonic regression.
    - ``link_misfit``: residuals on the square of the linear predictor.
    - ``nonlinear_effect``, ``residual_trend``: score tests of the lowest power of each numeric predictor that the model
      lacks, and of steps of it.
    - ``cluster_spread``, ``lowest_cluster``, ``highest_cluster``: sd and extremes of the clusters' proportions.
    - ``outlying_cluster``: the largest standardised effect.
    - ``reversed_slopes``, ``heterogeneous_slopes``: whether outcomes depend on the predictors alike in all clusters.
    - ``skewed_effects``, ``nonnormal_tails``: score tests of normality of the cluster effects.
    - ``integration_error``: for likelihood fits, whether more quadrature nodes would move an estimate; by a threshold.
    - ``prior_data_conflict``, ``prior_sensitivity``: for fits with priors, power-scaling; by thresholds.

    The others have p-values. Outcomes are simulated from draws of the fit in new clusters of the same sizes, and each
    set of them is fitted anew, by the method of the fit; after a sampler, the mode of the marginal posterior by
    Laplace's method stands for that, for the data as for the simulated ones. So residuals and modes of the data are
    compared with ones that have seen their outcomes as well. It takes as long as so many searches, from milliseconds
    each. The p-values of ``cluster_spread`` and of the extremes stay far from zero where the model fits, since the sds
    were estimated from the same outcomes (Bayarri and Castellanos 2007): they find gross misfit only.

    All p-values are adjusted together by the distribution of the smallest one in the simulated data (Westfall and
    Young 1993), so that correlated checks cost little. A defect shows in several of them: start with the first finding.

    References
    ----------
    Rubin (1984), Annals of Statistics 12: 1151-1172, for posterior predictive p-values.
    Bayarri and Castellanos (2007), Statistical Science 22: 322-343, for those of hierarchical models.
    Westfall and Young (1993), Resampling-Based Multiple Testing, algorithm 2.8.
    Dimitriadis, Gneiting and Jordan (2021), Proceedings of the National Academy of Sciences 118: e2016191118.
    Kallioinen, Paananen, Bürkner and Vehtari (2024), Statistics and Computing 34: 57.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ age + urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> found = hl.check(fit, seed=1)
    >>> [finding.code for finding in found.findings]  # the curve of age is missing
    ['nonlinear_effect', 'residual_trend', 'heterogeneous_slopes', 'link_misfit']
    """
    if isinstance(replicates, bool) or not isinstance(replicates, (int, np.integer)) or replicates < FEWEST_REPLICATES:
        raise FitError(f"replicates={replicates!r} must be a whole number of at least {FEWEST_REPLICATES}.")
    if not 0 < alpha < 1:
        raise FitError(f"alpha={alpha!r} must be between 0 and 1.")
    if alpha * (replicates + 1) <= 1:
        raise FitError(
            f"alpha={alpha!r} is less than {replicates} simulated data sets can tell from zero: pass replicates= of "
            f"{int(np.ceil(1 / alpha))} or more."
        )
    used = secrets.randbits(31) if seed is None else int(seed)
    anchor = ReferenceFit.of(fit)
    compared = _compared(fit, anchor, int(replicates), used)
    judged = [*compared.judged, *_others(fit, anchor)]
    adjusted = np.full(len(judged), np.nan)
    adjusted[: len(compared.judged)] = adjusted_for_number(
        np.array([one.p_value for one in compared.judged]), compared.p_values
    )
    found = np.array([one.beyond for one in judged]) | (adjusted < alpha)
    findings = _findings(fit, judged, adjusted, found)
    return Check(
        findings, as_table(judged, adjusted, found), fit.diagnostics.engine, len(compared.p_values), alpha, used
    )


def _compared(fit: Fit, anchor: ReferenceFit, replicates: int, seed: int) -> Comparison:
    """Checks by simulated data."""
    design = fit.model.design
    measures = [
        *row_measures(),
        *shape_measures(anchor),
        *cluster_measures(design),
        *relation_measures(design),
        *effect_measures(design),
    ]
    if anchor.usable:
        return compare(fit, anchor, measures, replicates, seed)
    why = "the fit did not end at a maximum."
    unmade = [CheckResult.not_made(measure.check, measure.about, measure.statistic, why) for measure in measures]
    return Comparison(unmade, np.ones((0, len(measures))))


def _others(fit: Fit, anchor: ReferenceFit) -> Iterator[CheckResult]:
    """Checks by thresholds."""
    if fit.estimate is not None:
        yield integration_check(anchor)
    yield from prior_checks(fit)


def _findings(
    fit: Fit, judged: list[CheckResult], adjusted: npt.NDArray[np.float64], found: npt.NDArray[np.bool_]
) -> tuple[Finding, ...]:
    """Those of the engine, and those of the checks."""
    engine = fit.diagnostics.findings
    said = {one.code for one in engine}
    # What the engine's rule of integration misses, its own search has said.
    integration = said & {"laplace_inaccurate", "too_few_nodes"}
    own = [k for k in np.flatnonzero(found) if not (judged[k].check == "integration_error" and integration)]
    own.sort(key=lambda k: np.nan_to_num(judged[k].p_value, nan=1.0))
    findings = [*engine, *(judged[k].finding(float(adjusted[k])) for k in own)]
    return gravest_first(findings)
