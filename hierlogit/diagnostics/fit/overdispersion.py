"""`Fit` → `check_overdispersion`: variance of counts beyond the binomial one, and which of two models describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...display import Sentences, Table, View
from ...engines.maximum.refit import finite_maximum_of
from ...engines.maximum.refitted import ReferenceFit
from ...errors import FitError, StudyError
from ...fits.arguments import NO_LIKELIHOOD, refuse_pooled, require_unweighted
from ...fits.findings import Finding, count_by_severity
from ...formatting import criterion, number, p_value
from ...parallel.workers import AnyExecutor, check_executor
from ...pictures import Picture, Pictured
from ...result_table import HasTables
from ...studies.checkpoint import Checkpoint, identity
from ...studies.failures import count_failures, warn_of_failures
from ...studies.simulated_outcomes import generator, simulated_outcome
from ...studies.tail_probability import tail_probability
from ...validation import file_path, probability, quoted_list, seed_or_new, whole_number
from ...variance.by_factor import between_rows
from .dispersion import variance_ratio
from .dispersion_models import BETA_BINOMIAL, ROW_EFFECT, CountModel, CountModels

if TYPE_CHECKING:
    from ...fits.fit import Fit

FloatArray = npt.NDArray[np.float64]
#: Simulated data sets with which a tail probability of one in a hundred is known well enough.
FEWEST_REPLICATES = 50
#: The models at the beginning of a sentence.
LEADING = {ROW_EFFECT: "A row effect", BETA_BINOMIAL: "The beta-binomial distribution"}
#: What replicates without a result mean for the p-value.
CONSEQUENCE = "They are left out of the p-value."
#: Smaller differences of AIC are no reason to prefer a model (Burnham and Anderson 2002, section 2.6).
LEAST_DIFFERENCE = 2.0


@dataclass(frozen=True, repr=False)
class Overdispersion(HasTables, Pictured):
    """The result of `hl.check_overdispersion`.

    Attributes
    ----------
    ratio : float
        Variance of the counts about their fitted probabilities over that of binomial counts, relative to its mean in
        simulated data: about 1 if counts are binomial.
    p_value : float
        Probability of a ratio at least as large if counts are binomial.
    table : pandas.DataFrame
        The model with binomial counts, with a row effect and with the beta-binomial distribution: ``log_likelihood``,
        ``parameters``, ``aic``, ``delta_aic`` from the smallest one, the method of ``integration``, and the
        ``estimate`` of the ``parameter`` that the model adds: the sd of the row effect, or phi. NaN where no maximum
        was found.
    coefficients : pandas.DataFrame
        Fixed effects by model, on the logit scale; of the model with a row effect also averaged over rows, which is
        what those of the beta-binomial distribution describe.
    better : str or None
        ``"row effect"`` or ``"beta-binomial"``, whichever has the smaller AIC; None if they differ by less than 2.
    findings : tuple of Finding
        One finding if the p-value is below `alpha`.
    simulated : ndarray, shape (replicates,)
        The ratio in data simulated from the fit.
    failures : mapping of int to str
        Why replicates have no result, by number.
    alpha : float
    seed : int
        Repeats the result exactly.
    interrupted : bool
        Whether an interruption came before all replicates had run.
    """

    _picture: ClassVar[Picture] = Picture("check_overdispersion")

    ratio: float
    p_value: float
    table: pd.DataFrame
    coefficients: pd.DataFrame
    better: str | None
    findings: tuple[Finding, ...]
    simulated: FloatArray
    failures: Mapping[int, str]
    alpha: float
    seed: int
    interrupted: bool = False

    def _view(self) -> View:
        run = len(self.simulated) + len(self.failures)
        title = (
            f"Variance of counts {number(self.ratio)} times the binomial one, {p_value(self.p_value)} by "
            f"{len(self.simulated):,} simulated data sets: {count_by_severity(self.findings)}"
        )
        stopped = ("Interrupted before all replicates had run.",) if self.interrupted else ()
        failures = count_failures(self.failures, run, CONSEQUENCE)
        remarks = Sentences((*map(str, self.findings), *stopped, *failures), ".findings")
        return View(title, (remarks, Table.of(self.table, ".table", spare=["integration"])))


def check_overdispersion(
    fit: Fit,
    *,
    replicates: int = 500,
    alpha: float = 0.05,
    seed: int | None = None,
    executor: AnyExecutor | None = None,
    store: str | PathLike[str] | None = None,
) -> Overdispersion:
    """Whether counts vary more within clusters than binomial ones, and which of two mechanisms describes it better.

    Parameters
    ----------
    fit : Fit
        A fit of counts by any engine. For a fit by a sampler, MAP with Laplace's method takes its place.
    replicates : int
        How many data sets to simulate from the fit, 50 or more.
    alpha : float
        There is a finding if the p-value is smaller.
    seed, executor, store
        As for `bootstrap`.

    Returns
    -------
    Overdispersion
        If interrupted by Ctrl-C, with the replicates finished so far.

    Raises
    ------
    FitError
        If no row has several trials, the model describes over-dispersion already or has sampling weights, or the fit is
        not at a maximum with finite estimates.
    StudyError
        If an option is not allowed, `store` belongs to another study, or an interruption left too few data sets.

    Warns
    -----
    ConvergenceWarning
        If more than 5% of the replicates have no result.

    See Also
    --------
    check : All checks of a fit, this one among them, with p-values adjusted for their number.

    Notes
    -----
    The statistic is the sum of the squared residuals ``y - m p`` of the rows with several trials, over that of
    ``m p (1 - p)``. The squares are averaged over the conditional distribution of the cluster effects, which makes it a
    score test of the variance of a row effect (Dean 1992). Parameters and cluster effects are estimated from the same
    counts, so that the statistic has no chi-squared distribution, least of all with two or three rows in a cluster. The
    p-value is therefore by parametric simulation: outcomes are simulated from the fit in clusters with new effects, and
    the model is fitted to each data set again. Counts that vary less than binomial ones are no finding.

    Two mechanisms make counts vary more. With a *row effect*, ``(1 | row)``, the log-odds of each row deviate by a
    normal variable. With the *beta-binomial distribution*, the probability of each row has a beta distribution about
    ``p``, with ``alpha = p phi`` and ``beta = (1 - p) phi``. Both models are fitted by maximum likelihood and have as
    many parameters, so that their AIC compares their likelihoods. A row effect is integrated out by quadrature where a
    model has one, or is nested in the clusters of a single random intercept; all else is by Laplace's method.

    Coefficients do not have the same meaning: those of the model with a row effect hold for a given value of it, and
    are larger than those of the beta-binomial distribution, which describe the mean of ``y / m`` in rows of the
    cluster. `Overdispersion.coefficients` has both, and the former divided by ``sqrt(1 + 0.346 sd^2)`` (Zeger, Liang
    and Albert 1988). If they still disagree, the choice matters (Harrison 2015).

    References
    ----------
    Dean (1992), Journal of the American Statistical Association 87: 451-457.
    Harrison (2015), PeerJ 3: e1114.
    Zeger, Liang and Albert (1988), Biometrics 44: 1049-1060.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit("laplace")
    >>> found = hl.check_overdispersion(fit, replicates=200, seed=1)
    >>> round(found.ratio, 1), found.p_value < 0.01
    (1.7, True)
    """
    require_unweighted(fit, "hl.check_overdispersion", NO_LIKELIHOOD)
    refuse_pooled(fit, "fit", "The check is by refits to the rows")
    requested = whole_number("replicates", replicates, StudyError, least=FEWEST_REPLICATES)
    alpha = probability("alpha", alpha, StudyError)
    used_seed = seed_or_new(seed, StudyError)
    check_executor(executor)
    if store is not None:
        file_path("store", store, StudyError)
    _refuse_what_cannot_be_checked(fit)
    reference = ReferenceFit.of(fit)
    if not reference.usable:
        raise FitError(
            "the fit has no maximum with a finite covariance matrix, from which data could be simulated. "
            "hl.check_data(fit.model) looks for the cause, such as separation."
        )
    task = OfRatio(reference, used_seed)
    study = identity(fit.model, reference.estimate, used_seed, ["ratio"])
    done, finished = Checkpoint.of(store, study).completed(task, requested, executor, "Simulating")
    run = len(done.results) + len(done.failures)
    warn_of_failures(done.failures, run, CONSEQUENCE)
    if len(done.results) < FEWEST_REPLICATES:
        raise StudyError(
            f"{len(done.results):,} of {run:,} simulated data sets have a result, too few for a p-value, which needs "
            f"{FEWEST_REPLICATES}. Repeat the call without interrupting it, or look at hl.check_data(fit.model)."
        )
    simulated = np.array([done.results[k][0] for k in sorted(done.results)])
    observed, mean = variance_ratio(reference.observed), float(simulated.mean())
    models = CountModels.of(reference)
    tail = tail_probability(observed, simulated, "upper")
    better = models.better(LEAST_DIFFERENCE)
    return Overdispersion(
        ratio=observed / mean,
        p_value=tail,
        table=models.table(),
        coefficients=models.coefficients(),
        better=None if better is None else better.name,
        findings=(_finding(observed / mean, tail, models, better),) if tail < alpha else (),
        simulated=simulated / mean,
        failures=done.failures,
        alpha=alpha,
        seed=used_seed,
        interrupted=not finished,
    )


@dataclass(frozen=True)
class OfRatio:
    """Task that computes the variance ratio in one replicate.

    Attributes
    ----------
    reference : ReferenceFit
        The fit from which outcomes are simulated, and whose model is fitted to them.
    seed : int
    """

    reference: ReferenceFit
    seed: int

    def __call__(self, number: int) -> dict[str, float]:
        """The ratio of replicate `number`."""
        reference = self.reference
        y = simulated_outcome(reference.model.design, reference.estimate, generator(self.seed, number))
        ratio = variance_ratio(reference.fitted_to(y))
        if not np.isfinite(ratio):
            raise FitError("the variance ratio is not finite.")
        return {"ratio": ratio}


def _refuse_what_cannot_be_checked(fit: Fit) -> None:
    design = fit.model.design
    if fit.model.overdispersed:
        raise FitError(
            "the outcomes are beta-binomial, which describes over-dispersion already: hl.summary(fit) shows its "
            "parameter phi. Pass a fit of the model with family='binomial'."
        )
    if not np.any(design.outcome.trials > 1):
        raise FitError(
            "the outcomes are single trials, whose variance is that of their probability: only rows with several "
            "trials, p(successes, trials), can be over-dispersed."
        )
    rows = between_rows(design)
    if rows:
        raise FitError(
            f"the model has an effect of each row, {quoted_list(rows)}, which describes over-dispersion already. Pass "
            "a fit of the model without it."
        )
    if fit.estimate is not None:
        finite_maximum_of(fit)


def _finding(ratio: float, tail: float, models: CountModels, better: CountModel | None) -> Finding:
    evidence = (
        f"The variance of the counts about their fitted probabilities is {number(ratio)} times that of binomial counts "
        f"({p_value(tail)} by simulation), so that standard errors are too small."
    )
    if better is None:
        advice = (
            "A row effect and the beta-binomial distribution fit about equally well: fit "
            f"{models.beta_binomial.call} or {models.row_effect.call}, and see whether the conclusions are the same."
        )
    else:
        other = models.row_effect if better is models.beta_binomial else models.beta_binomial
        advice = (
            f"{LEADING[better.name]} fits better than {LEADING[other.name].lower()} (AIC {criterion(better.aic)} and "
            f"{criterion(other.aic)}): fit {better.call}."
        )
    return Finding("overdispersion", "warning", evidence, advice)
