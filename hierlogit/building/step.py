"""A step of a build-up: one model, what it adds to a smaller one, and the evidence for that."""

from __future__ import annotations

from dataclasses import dataclass

from ..density.linear_predictor import Draws
from ..engines.maximum.refit import maximum_of
from ..fits.findings import Finding
from ..fits.fit import Fit
from ..model import Model
from ..model_comparison.likelihood_ratio import (
    RatioTest,
    chi_squared_tail,
    likelihood_ratio,
    mixture_name,
    mixture_tail,
)
from ..model_comparison.nesting import difference, maxima
from ..studies.simulated_ratio import ratio_statistic
from ..variance.by_factor import LOGISTIC_VARIANCE, mean_variance
from .plan import Structure


@dataclass(frozen=True, repr=False)
class Step:
    """One model of a build-up.

    Attributes
    ----------
    name : str
        ``M0``, ``M1``, ... in the order in which the models were fitted.
    stage : {"intercept", "level", "predictors", "slope"}
    adds : str
        What it has that the smaller model lacks.
    against : str
        Name of the smaller model; empty for the first one.
    structure : Structure
    fit : Fit
    test : RatioTest or None
        Likelihood ratio against the smaller model; None if there is no test.
    findings : tuple of Finding
        What the data cannot tell of this model, as far as it was not true of the smaller one.
    seconds : float
        Time for the data checks, the fit and the test.
    """

    name: str
    stage: str
    adds: str
    against: str
    structure: Structure
    fit: Fit[Model]
    test: RatioTest | None
    findings: tuple[Finding, ...]
    seconds: float


@dataclass(frozen=True)
class Decision:
    """What a build-up does with a model.

    Attributes
    ----------
    kept : bool
        Whether the next step begins with this model.
    reason : str
    p_adjusted : float or None
        p-value adjusted for the number of slopes that were compared.
    """

    kept: bool
    reason: str
    p_adjusted: float | None = None


def ratio_test(smaller: Fit, larger: Fit) -> RatioTest:
    """Likelihood-ratio test of a step, with an upper bound of the p-value if the step adds several variances.

    The statistic then has a mixture of chi-squared distributions whose weights depend on the data. Those of even and
    those of odd degrees of freedom each sum to one half (Silvapulle and Sen 2005, Constrained Statistical Inference,
    proposition 3.6.1), so that the mixture of the two largest, d - 1 and d, bounds the p-value.
    """
    gap = difference(smaller.model.design, larger.model.design)
    if len(gap.variances) <= 1:
        return likelihood_ratio(smaller, larger)
    estimates = maxima({"smaller": smaller, "larger": larger})
    statistic = ratio_statistic(estimates["smaller"], estimates["larger"])
    d = gap.parameters
    return RatioTest(
        statistic=statistic,
        p_value=mixture_tail(statistic, d),
        reference=f"at most that of {mixture_name(d)}",
        naive_p_value=chi_squared_tail(statistic, d),
        parameters=d,
        variances=gap.variances,
        names=gap.names,
    )


def latent_icc(fit: Fit) -> dict[str, float]:
    """Share of the variance between the clusters of each factor at the maximum, on the latent scale, as `icc`."""
    point, outcome = Draws.at(maximum_of(fit)), fit.model.design.outcome
    variances = {group.name: float(mean_variance(point, group, outcome.trials)[0]) for group in fit.model.design.groups}
    whole = sum(variances.values()) + LOGISTIC_VARIANCE
    return {name: variance / whole for name, variance in variances.items()}


def zero_levels(fit: Fit) -> list[str]:
    """Grouping factors whose random intercepts have an sd of zero."""
    estimate = maximum_of(fit)
    return [group.name for group in fit.model.design.groups if estimate.sd(group.name)[0] == 0]
