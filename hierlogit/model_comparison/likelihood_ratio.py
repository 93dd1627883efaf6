"""Likelihood-ratio tests of nested fits, with the distribution that a variance of zero asks for."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field
from html import escape
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import FitError, StudyError
from ..fits.fit import Fit
from ..studies.checkpoint import Checkpoint, identity
from ..studies.simulated_ratio import SHORT, OfRatio
from ..studies.tasks import run_tasks
from ..validation import choice, quoted_list, seed_or_new, whole_number
from .nesting import Difference, difference, maxima, refuse_other_rows

if TYPE_CHECKING:
    from ..estimate import Estimate

FloatArray = npt.NDArray[np.float64]
METHODS = ("chibar", "bootstrap")


@dataclass(frozen=True, repr=False)
class RatioTest:
    """A likelihood-ratio test.

    Attributes
    ----------
    statistic : float
        Twice the difference of the log-likelihoods.
    p_value : float
        By the reference distribution.
    reference : str
        That distribution, in words.
    naive_p_value : float
        By the chi-squared distribution with as many degrees of freedom as parameters, which is too large where a
        variance is among them.
    parameters : int
        How many parameters the larger model has more.
    variances : tuple of str
        Variances among them.
    simulated : ndarray or None
        The statistic in studies simulated from the smaller model, shape (replicates,), of a bootstrap.
    failures : int
        Replicates that have none.
    interrupted : bool
        Whether an interruption left some out.
    seed : int or None
        Of a bootstrap.
    """

    statistic: float
    p_value: float
    reference: str
    naive_p_value: float
    parameters: int
    variances: tuple[str, ...]
    simulated: FloatArray | None = field(default=None, compare=False)
    failures: int = 0
    interrupted: bool = False
    seed: int | None = None

    def _lines(self) -> list[str]:
        lines = [
            f"Likelihood-ratio test: {self.statistic:.4f}, p = {self.p_value:.4g} by {self.reference}",
            f"  parameters that the smaller model lacks: {self.parameters}"
            + (f", with the variances of {', '.join(self.variances)}" if self.variances else ""),
        ]
        if self.variances:
            lines.append(
                f"  naive p = {self.naive_p_value:.4g} by chi-squared with {_degrees(self.parameters)}: too large, "
                "since a variance cannot be below zero"
            )
        if self.failures:
            lines.append(f"  replicates that failed and are left out: {self.failures}")
        if self.interrupted:
            lines.append("  interrupted: fewer replicates than asked for")
        return lines

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        head, *rest = self._lines()
        return f"<div><strong>{escape(head)}</strong>{''.join(f'<p>{escape(line)}</p>' for line in rest)}</div>"


def likelihood_ratio(
    fit0: Fit,
    fit1: Fit,
    method: str = "chibar",
    *,
    replicates: int = 1000,
    seed: int | None = None,
    executor: Executor | None = None,
    store: str | PathLike[str] | None = None,
) -> RatioTest:
    """Test whether a model is enough, against a larger one that contains it.

    A variance cannot be below zero, so where the smaller model sets one to zero the statistic is smaller than a
    chi-squared variable: half of the time, for a single variance, it is that of the other parameters alone.

    Parameters
    ----------
    fit0, fit1 : Fit
        The smaller model and the larger one, fitted to the same rows by the same likelihood engine.
    method : {"chibar", "bootstrap"}
        ``"chibar"``: chi-squared with d degrees of freedom for d parameters; with one variance among them the mixture
        of half chi-squared with d - 1 and half with d (Stram and Lee 1994, cases 5 to 7). ``"bootstrap"``: the
        statistic in `replicates` data sets simulated from the smaller model, for any number of variances and for small
        data sets.
    replicates : int
        Replicates of the bootstrap.
    seed, executor, store
        Of the bootstrap, as of `bootstrap`.

    Returns
    -------
    RatioTest
        The bootstrap's p-value is ``(1 + #{T* >= T}) / (n + 1)`` over the replicates that did not fail.

    Raises
    ------
    FitError
        If the models are not nested, the fits are to different rows or by different methods, the larger one ended
        below the smaller one, or ``"chibar"`` does not know the distribution.

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
    refuse_other_rows(fits)
    found = maxima(fits)
    gap = difference(fit0.model.design, fit1.model.design)
    if gap.parameters <= 0:
        raise FitError("the second model has no parameter that the first one lacks: there is nothing to test.")
    statistic = 2 * (found["fit1"].log_likelihood - found["fit0"].log_likelihood)
    if statistic < -SHORT:
        raise FitError(
            f"the larger model's log-likelihood is below the smaller one's by {-statistic / 2:.4g}: its search did not "
            "end at the maximum. See fit1.diagnostics.findings."
        )
    statistic = max(statistic, 0.0)
    naive = chi_squared_tail(statistic, gap.parameters)
    if method == "chibar":
        p_value, reference = _chibar(statistic, gap, found["fit0"])
        return RatioTest(statistic, p_value, reference, naive, gap.parameters, gap.variances)
    asked, used = whole_number("replicates", replicates, StudyError, least=1), seed_or_new(seed, StudyError)
    study = identity(fit0.model, found["fit0"], used, ["statistic"]) | {"larger": fit1.model.formula.text}
    kept = Checkpoint.of(store, study)
    task = OfRatio(fit0.model, found["fit0"], fit1.model, found["fit1"], used)
    finished = run_tasks(task, [k for k in range(asked) if k not in kept], executor, "Simulating", kept.add)
    done = kept.first(asked)
    simulated = np.array([done.results[k][0] for k in sorted(done.results)])
    p_value = (1 + int(np.sum(simulated >= statistic))) / (len(simulated) + 1)
    return RatioTest(
        statistic,
        p_value,
        f"{len(simulated):,} studies simulated from the smaller model",
        naive,
        gap.parameters,
        gap.variances,
        simulated,
        len(done.failures),
        not finished,
        used,
    )


def _chibar(statistic: float, gap: Difference, smaller: Estimate) -> tuple[float, str]:
    if len(gap.variances) > 1:
        raise FitError(
            f"the larger model has {len(gap.variances)} variances more ({quoted_list(gap.variances)}), and the "
            "mixture of "
            'chi-squared distributions is known for one: pass method="bootstrap".'
        )
    if smaller.boundary:
        raise FitError(
            f"the smaller fit is at a boundary itself ({quoted_list(smaller.boundary)}), where no mixture of "
            "chi-squared "
            'distributions is known: pass method="bootstrap".'
        )
    d = gap.parameters
    if not gap.variances:
        return chi_squared_tail(statistic, d), f"chi-squared with {_degrees(d)}"
    return mixture_tail(statistic, d), f"the mixture of half chi-squared with {d - 1} and half with {_degrees(d)}"


def mixture_tail(statistic: float, d: int) -> float:
    """Probability of at least the statistic when one of `d` parameters is a variance (Stram and Lee 1994)."""
    return 0.5 * chi_squared_tail(statistic, d - 1) + 0.5 * chi_squared_tail(statistic, d)


def _degrees(d: int) -> str:
    return f"{d} degree{'' if d == 1 else 's'} of freedom"


def chi_squared_tail(statistic: float, degrees: int) -> float:
    """Probability of at least the statistic; of the distribution at zero if there are no degrees of freedom."""
    from scipy.special import chdtrc

    if degrees == 0:
        return float(statistic <= 0)
    return float(chdtrc(degrees, statistic))
