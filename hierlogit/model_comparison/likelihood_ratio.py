"""Likelihood-ratio tests of nested models, with the mixture distribution for a variance at its boundary of zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from ..display import Facts, Sentences, Shown, View
from ..errors import FitError, StudyError
from ..fits.arguments import NO_LIKELIHOOD, USE_WALD, refuse_pooled, require_unweighted
from ..fits.fit import Fit
from ..formatting import number, p_value
from ..parallel.workers import AnyExecutor, check_executor
from ..pictures import Picture, Pictured
from ..studies.checkpoint import Checkpoint, identity
from ..studies.failures import count_failures, warn_of_failures
from ..studies.simulated_ratio import OfRatio, ratio_statistic
from ..validation import choice, file_path, quoted_list, seed_or_new, whole_number
from .nesting import Difference, difference, maxima, refuse_counted_apart, refuse_other_rows

if TYPE_CHECKING:
    from ..estimate import Estimate

FloatArray = npt.NDArray[np.float64]
METHODS = ("chibar", "bootstrap")
#: How many of the additional parameters are named.
MOST_NAMES = 8
#: What replicates without a result mean for the p-value.
CONSEQUENCE = "They are left out of the p-value."


@dataclass(frozen=True, repr=False)
class RatioTest(Shown, Pictured):
    """Result of a likelihood-ratio test.

    Attributes
    ----------
    statistic : float
        Twice the difference of the log-likelihoods.
    p_value : float
        The p-value by the reference distribution.
    reference : str
        Description of the reference distribution.
    naive_p_value : float
        The p-value by the chi-squared distribution with `parameters` degrees of freedom, which is too large if a
        variance is tested.
    parameters : int
        Number of additional parameters of the larger model.
    variances : tuple of str
        Variances among them.
    names : tuple of str
        Labels of the parameters that only the larger model has.
    simulated : ndarray or None
        With the bootstrap, the statistic in data sets simulated from the smaller model, shape (replicates,).
    failures : mapping of int to str
        Why replicates have no result, by number.
    interrupted : bool
        Whether an interruption came before all replicates had run.
    seed : int or None
        Seed of the bootstrap.
    """

    _picture: ClassVar[Picture] = Picture("likelihood_ratio")

    statistic: float
    p_value: float
    reference: str
    naive_p_value: float
    parameters: int
    variances: tuple[str, ...]
    simulated: FloatArray | None = field(default=None, compare=False)
    failures: Mapping[int, str] = field(default_factory=dict, compare=False)
    interrupted: bool = False
    seed: int | None = None
    names: tuple[str, ...] = ()

    def _view(self) -> View:
        named = f": {', '.join(self.names[:MOST_NAMES])}" if self.names else ""
        rest = f" and {len(self.names) - MOST_NAMES:,} more" if len(self.names) > MOST_NAMES else ""
        more = f"{self.parameters} more in the larger model{named}{rest}"
        facts = [("reference", self.reference), ("parameters", more)]
        if self.variances:
            naive = f"{p_value(self.naive_p_value)} by chi-squared with {_degrees(self.parameters)}"
            facts.append(("naive", f"{naive}: too large, since a variance cannot be below zero"))
        if self.interrupted:
            facts.append(("interrupted", "fewer replicates than requested"))
        title = f"Likelihood-ratio test: {number(self.statistic)}, {p_value(self.p_value)}"
        run = len(self.failures) + (0 if self.simulated is None else len(self.simulated))
        remarks = Sentences(tuple(count_failures(self.failures, run, CONSEQUENCE)), ".failures")
        return View(title, (Facts(tuple(facts)), remarks))


def likelihood_ratio(
    fit0: Fit,
    fit1: Fit,
    method: str = "chibar",
    *,
    replicates: int = 1000,
    seed: int | None = None,
    executor: AnyExecutor | None = None,
    store: str | PathLike[str] | None = None,
) -> RatioTest:
    """Likelihood-ratio test of a model against a larger one in which it is nested.

    A variance cannot be negative. If the smaller model sets one to zero, the statistic is therefore stochastically
    smaller than chi-squared: with a single variance, half of the time the estimate is zero and the statistic is that of
    the other parameters alone.

    Parameters
    ----------
    fit0, fit1 : Fit
        The smaller and the larger model, fitted to the same rows by the same engine, Laplace or AGQ.
    method : {"chibar", "bootstrap"}
        ``"chibar"``: chi-squared with d degrees of freedom for d parameters or, if one of them is a variance, an equal
        mixture of chi-squared distributions with d - 1 and d degrees of freedom (Stram and Lee 1994, cases 5 to 7).
        ``"bootstrap"``: the distribution of the statistic in data sets simulated from the smaller model, for any number
        of variances and for small data sets.
    replicates : int
        How many data sets to simulate for the bootstrap.
    seed, executor, store
        For the bootstrap, as for `bootstrap`.

    Returns
    -------
    RatioTest
        With the bootstrap, the p-value is ``(1 + #{T* >= T}) / (n + 1)`` over the n replicates with a result. Those
        with separated outcomes have one: estimates are then infinite, but the likelihood has an upper limit, which the
        search reaches.

    Raises
    ------
    FitError
        If the models are not nested, the fits are to different rows or by different methods, the log-likelihood of the
        larger model is below that of the smaller one, or the distribution for ``"chibar"`` is not known.
    StudyError
        If an option of the bootstrap is not allowed, or `store` belongs to another study.

    Warns
    -----
    ConvergenceWarning
        If more than 5% of the replicates have no result.

    References
    ----------
    Self and Liang (1987), Journal of the American Statistical Association 82: 605-610.
    Stram and Lee (1994), Biometrics 50: 1171-1177.
    Davison and Hinkley (1997), Bootstrap Methods and their Application, section 4.2.

    Examples
    --------
    >>> import hierlogit as hl
    >>> data = hl.datasets.load("contraception")
    >>> same = hl.Model("use ~ urban + (1 | district)", data).fit("laplace")
    >>> varying = hl.Model("use ~ urban + (1 + urban | district)", data).fit("laplace")
    >>> test = hl.likelihood_ratio(same, varying)
    >>> round(test.statistic, 2), round(test.p_value, 5), round(test.naive_p_value, 5)
    (16.32, 0.00017, 0.00029)
    """
    choice("method", method, METHODS, FitError)
    fits = {"fit0": fit0, "fit1": fit1}
    for name, fit in fits.items():
        require_unweighted(fit, "hl.likelihood_ratio", NO_LIKELIHOOD, name)
        refuse_pooled(fit, name, "A likelihood is that", USE_WALD)
    requested, used_seed = whole_number("replicates", replicates, StudyError, least=1), seed_or_new(seed, StudyError)
    check_executor(executor)
    if store is not None:
        file_path("store", store, StudyError)
    refuse_other_rows({name: fit.model.design for name, fit in fits.items()})
    estimates = maxima(fits)
    for name, estimate in estimates.items():
        if estimate.clustered is not None:
            raise FitError(
                f"the standard errors of {name} are {estimate.clustered.described}, while the likelihood ratio takes "
                "the model to be right. Test its coefficients with hl.test_terms or hl.hypotheses, or pass the fit "
                "that the standard errors were computed for."
            )
    gap = difference(fit0.model.design, fit1.model.design)
    if gap.parameters <= 0:
        raise FitError(
            "the second model has no parameter that the first one lacks, so there is nothing to test. Give the smaller "
            "model first."
        )
    statistic = _statistic(estimates["fit0"], estimates["fit1"])
    naive = chi_squared_tail(statistic, gap.parameters)
    if method == "chibar":
        p_value, reference = _chibar(statistic, gap, estimates["fit0"])
        return RatioTest(statistic, p_value, reference, naive, gap.parameters, gap.variances, names=gap.names)
    designs = {name: fit.model.design for name, fit in fits.items()}
    refuse_counted_apart(designs, "the bootstrap", "Pass method='chibar', or fit both models to a sample of the rows.")
    task = OfRatio(fit0.model, estimates["fit0"], fit1.model, estimates["fit1"], used_seed)
    study = identity(fit0.model, estimates["fit0"], used_seed, ["statistic"]) | {"larger": fit1.model.formula.text}
    done, finished = Checkpoint.of(store, study).completed(task, requested, executor, "Simulating")
    warn_of_failures(done.failures, len(done.results) + len(done.failures), CONSEQUENCE)
    simulated = np.array([done.results[k][0] for k in sorted(done.results)])
    return RatioTest(
        statistic=statistic,
        p_value=(1 + int(np.sum(simulated >= statistic))) / (len(simulated) + 1),
        reference=f"{len(simulated):,} studies simulated from the smaller model",
        naive_p_value=naive,
        parameters=gap.parameters,
        variances=gap.variances,
        simulated=simulated,
        failures=done.failures,
        interrupted=not finished,
        seed=used_seed,
        names=gap.names,
    )


def _statistic(smaller: Estimate, larger: Estimate) -> float:
    try:
        return ratio_statistic(smaller, larger)
    except FitError as error:
        raise FitError(f"{error} See fit1.diagnostics.findings.") from None


def _chibar(statistic: float, gap: Difference, smaller: Estimate) -> tuple[float, str]:
    reason = no_mixture(gap, smaller)
    if reason:
        raise FitError(f"{reason}: pass method='bootstrap'.")
    return chibar(statistic, gap, smaller)


def no_mixture(gap: Difference, smaller: Estimate) -> str:
    """Why the reference distribution is not known; empty if it is."""
    if len(gap.variances) > 1:
        return (
            f"the larger model has {len(gap.variances)} more variances ({quoted_list(gap.variances)}), and the mixture "
            "of chi-squared distributions is known for one only"
        )
    if gap.variances and smaller.boundary:
        return (
            f"the smaller fit is itself at a boundary ({quoted_list(smaller.boundary)}), where the mixture of "
            "chi-squared distributions is not known"
        )
    return ""


def chibar(statistic: float, gap: Difference, smaller: Estimate) -> tuple[float, str]:
    """The p-value by the reference distribution, where it is known, and its description.

    A variance that both models estimate as zero is as good as absent from them, so that the test of fixed effects is
    that of the models without it.
    """
    d = gap.parameters
    if not gap.variances:
        beside = f"; approximate, since {', '.join(smaller.boundary)}" if smaller.boundary else ""
        return chi_squared_tail(statistic, d), f"chi-squared with {_degrees(d)}{beside}"
    return mixture_tail(statistic, d), mixture_name(d)


def mixture_tail(statistic: float, d: int) -> float:
    """Upper tail probability of the mixture for `d` parameters, one of them a variance (Stram and Lee 1994)."""
    return 0.5 * chi_squared_tail(statistic, d - 1) + 0.5 * chi_squared_tail(statistic, d)


def mixture_name(d: int) -> str:
    """The distribution of `mixture_tail` in words."""
    return f"the mixture of half chi-squared with {d - 1} and half with {_degrees(d)}"


def _degrees(d: int) -> str:
    return f"{d} degree{'' if d == 1 else 's'} of freedom"


def chi_squared_tail(statistic: float, degrees: int) -> float:
    """Upper tail probability of the chi-squared distribution; with zero degrees of freedom, all mass is at zero."""
    from scipy.special import chdtrc

    if degrees == 0:
        return float(statistic <= 0)
    return float(chdtrc(degrees, statistic))
