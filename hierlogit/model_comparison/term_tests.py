"""Tests of all terms of a fit: of its fixed effects and of its random effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import FitError, StudyError
from ..fits.arguments import NO_LIKELIHOOD, refuse_pooled, require_unweighted
from ..fits.pooled_fit import PooledFit
from ..parallel.workers import AnyExecutor, check_executor
from ..result_table import ResultTable
from ..summaries.multiplicity import holm
from ..validation import choice, file_path, seed_or_new, shortened, whole_number
from .cluster_wald import cluster_wald_tests
from .likelihood_ratio import METHODS
from .nesting import maxima
from .pooled_term_tests import wald_tests_of_terms
from .term_comparisons import TermComparison, difference_of, term_comparisons
from .term_posterior import bayes_factors, directions, loo_differences
from .term_ratios import SimulatedRatios, TermRatio, simulated_ratios, term_ratios

if TYPE_CHECKING:
    from ..estimate import Clustered, Estimate
    from ..fits.fit import Fit

FloatArray = npt.NDArray[np.float64]
ADJUSTMENTS = ("holm",)
#: Methods for fits by a sampler.
OF_SAMPLES = ("direction", "loo", "bayes_factor")
SPARE = ("reference", "without", "parameters", "wald", "p_naive", "failures", "replicates")


def test_terms(
    fit: Fit,
    method: str | None = None,
    *,
    adjust: str | None = None,
    replicates: int = 1000,
    seed: int | None = None,
    executor: AnyExecutor | None = None,
    store: str | PathLike[str] | None = None,
) -> ResultTable:
    """Tests of every term of a fit: of each fixed effect with all its columns, and of each random effect.

    For likelihood fits these are likelihood-ratio tests, and for those with robust standard errors, made by `robust`,
    Wald's tests of the terms of the fixed part. The models without a term are fitted by a search that starts
    at the maximum of the whole model, which takes milliseconds. For fits by a sampler they are the answers of the
    posterior, and for likelihood fits pooled over imputations Wald's tests.

    Parameters
    ----------
    fit : Fit
        By Laplace or AGQ, or by a sampler.
    method : str, optional
        For likelihood fits the reference distribution of the likelihood ratio, as for `likelihood_ratio`:
        ``"chibar"`` (default) or ``"bootstrap"``. For sampled fits ``"direction"`` (default), from the draws alone;
        ``"loo"``, differences of leave-one-out predictions by row, for which the models without a term are sampled; or
        ``"bayes_factor"``, from the evidence of the models under the priors of the fit.
    adjust : {"holm"}, optional
        For likelihood fits: adds p-values adjusted for the number of terms.
    replicates : int
        How many data sets to simulate for each term for the bootstrap.
    seed : int, optional
        For the bootstrap and Bayes factors.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes the data sets of the bootstrap over workers, as for `bootstrap`, or for ``"loo"`` and
        ``"bayes_factor"`` the models without a term.
    store : str or path, optional
        For the bootstrap, as for `bootstrap`.

    Returns
    -------
    ResultTable
        A row for each term:

        - ``term``: of the fixed part, or of a random term; ``"all effects"`` of a grouping factor with several terms;
        - ``component``: ``"fixed"``, or the grouping factor;
        - ``parameters``: how many parameters the smaller model lacks. A random effect takes its correlations with it;
        - ``without``: terms that both models lack, see the notes.

        For likelihood fits:

        - ``statistic``: twice the difference of the log-likelihoods;
        - ``p_value``: by the reference distribution; missing where this is not known;
        - ``p_adjusted``: with `adjust`, that p-value adjusted by Holm's procedure;
        - ``p_naive``: by the chi-squared distribution, which is too large for variances;
        - ``wald``, ``p_wald``: Wald's statistic of all columns of a fixed term jointly, in the larger model, with the
          chi-squared distribution or, with few clusters, the F distribution with between-within degrees of freedom;
        - ``reference``: the reference distribution, or why there is none;
        - ``replicates``, ``failures``: with the bootstrap, numbers of simulated data sets with and without a result.

        For likelihood fits with robust standard errors, ``statistic`` and ``p_value`` are Wald's.

        For pooled likelihood fits:

        - ``statistic``, ``df``: the statistic D1, which has an F distribution, and the degrees of freedom of its
          denominator; missing for random effects;
        - ``p_value``, ``p_adjusted``, ``reference``: as above;
        - ``riv``: relative increase in variance due to missing values, averaged over the coefficients of the term.

        For sampled fits:

        - ``p_direction``: probability that a single coefficient has the sign of its median;
        - ``p_contour``: posterior probability of values of the coefficients that are further from their mean than zero
          is, by Mahalanobis' distance;
        - ``elpd_difference``, ``se``: by how much the term improves the expected log predictive density;
        - ``bayes_factor``, ``log_bayes_factor``, ``mcse_log_bayes_factor``: evidence with the term over that without
          it;
        - ``note``: why a number is missing.

    Raises
    ------
    FitError
        If the fit is by MAP or not at a maximum, or restricted, or an option is not allowed.
    StudyError
        If an option of the bootstrap is not allowed, `store` belongs to another study, or the executor cannot run the
        fits.

    Warns
    -----
    ConvergenceWarning
        If more than 5% of the replicates have no result, or an evidence is not reliable.
    DataWarning
        If Bayes factors depend on default priors.

    See Also
    --------
    likelihood_ratio : The test of two models.
    test_slopes : Slopes that are not in the model.

    Notes
    -----
    Marginality is respected as in type II tests (``Anova`` of the R package car): a term that others contain is tested
    by comparing models without these others, which ``without`` names. In ``x * z`` the term ``x`` is tested between
    ``x + z`` and ``z``, and in ``(1 + x | g)`` the intercept between ``(1 | g)`` and no random effects of g. Terms that
    no other contains are compared with the whole model, as by R's ``drop1``. The intercept of the fixed part is not
    tested. Directions are those of the coefficients of the model as it is, and are missing for terms that others
    contain.

    The bootstrap simulates from each smaller model, with the same random numbers for all of them: differences between
    the p-values of terms are less affected by chance than the p-values themselves. Ctrl-C ends it, and the p-values are
    those of the data sets finished so far.

    References
    ----------
    Self and Liang (1987), Journal of the American Statistical Association 82: 605-610.
    Stram and Lee (1994), Biometrics 50: 1171-1177.
    Li, Raghunathan and Rubin (1991), Journal of the American Statistical Association 86: 1065-1073, and Reiter (2007),
    Biometrika 94: 502-508: Wald's tests with imputations.
    Fox (2016), Applied Regression Analysis and Generalized Linear Models, section 8.2: marginality.
    Held (2004), Journal of Computational and Graphical Statistics 13: 20-35: contour probabilities.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("use ~ age + urban + livch + (1 + urban | district)", hl.datasets.load("contraception"))
    >>> hl.test_terms(model.fit("laplace"))[["term", "component", "statistic", "p_value"]]
    Likelihood-ratio tests of terms; for missing p-values see 'reference'
      term         component  statistic  p_value
      age          fixed          11.20  < 0.001
      urban        fixed          19.84  < 0.001
      livch        fixed          85.01  < 0.001
      Intercept    district       43.11  < 0.001
      urban        district       14.60  < 0.001
      all effects  district       57.71        -
    """
    require_unweighted(fit, "hl.test_terms", NO_LIKELIHOOD)
    if adjust is not None:
        choice("adjust", adjust, ADJUSTMENTS, FitError)
    requested, used_seed = whole_number("replicates", replicates, StudyError, least=1), seed_or_new(seed, StudyError)
    check_executor(executor)
    if store is not None:
        file_path("store", store, StudyError)
    comparisons = term_comparisons(fit.model.design)
    if fit.estimate is None:
        chosen = OF_SAMPLES[0] if method is None else choice("method", method, OF_SAMPLES, FitError)
        if chosen != "direction":
            refuse_pooled(fit, "fit", "Comparisons of models are of the outcomes", "Leave method= out for directions.")
        if adjust is not None:
            raise FitError("adjust is for the p-values of likelihood fits, which this fit by a sampler does not have.")
        return _of_posterior(fit, comparisons, chosen, seed, executor)
    if isinstance(fit, PooledFit):
        return _of_imputations(fit, comparisons, method, adjust)
    chosen = METHODS[0] if method is None else choice("method", method, METHODS, FitError)
    estimate = maxima({"fit": fit})["fit"]
    if estimate.restricted:
        raise FitError(
            "the fit maximised the restricted likelihood, which cannot compare models with different fixed effects: "
            "fit the model with restricted=False."
        )
    for finding in fit.diagnostics.findings:
        if finding.severity == "error":
            raise FitError(f"the fit has no maximum to compare with: {finding.evidence} {finding.remedy}")
    if estimate.clustered is not None:
        if method is not None:
            raise FitError(
                f"method='{method}' is for likelihood ratios, which take the model to be right, while the standard "
                f"errors of the fit are {estimate.clustered.described}. Leave method= out for Wald's tests."
            )
        return _of_clusters(fit, estimate, estimate.clustered, comparisons, adjust)
    found = term_ratios(fit, estimate, comparisons)
    rows = {one: _row(fit, one, ratio) for one, ratio in found.items()}
    title = "Likelihood-ratio tests of terms"
    if chosen == "chibar" and any(np.isnan(row["p_value"]) for row in rows.values()):
        title += "; for missing p-values see 'reference'"
    if chosen == "bootstrap":
        ratios = [one for one in found.values() if isinstance(one, TermRatio)]
        simulated = simulated_ratios(fit, estimate, ratios, requested, used_seed, executor, store)
        for one, more in zip(ratios, _by_simulation(ratios, simulated), strict=True):
            rows[one.comparison] |= more
        title += ", by parametric bootstrap"
    return _table(list(rows.values()), adjust, title)


# In tests of users, pytest would take it for one of them.
test_terms.__test__ = False  # type: ignore[attr-defined]


def _of_imputations(
    fit: PooledFit, comparisons: Sequence[TermComparison], method: str | None, adjust: str | None
) -> ResultTable:
    if method is not None:
        raise FitError(
            f"method={shortened(method)} compares likelihoods, and those of different imputations are of other data. "
            "Leave method= out for Wald's tests, pooled over the imputations."
        )
    if not fit.with_priors:
        table = pd.DataFrame(wald_tests_of_terms(fit, comparisons))
        if adjust is not None:
            place = list(table.columns).index("p_value") + 1
            table.insert(place, "p_adjusted", holm(table["p_value"].to_numpy(dtype=np.float64)))
        title = f"Wald tests of terms, pooled over {len(fit.fits)} imputations; for missing p-values see 'reference'"
        return ResultTable.of(table, title, spare=("reference", "without", "riv", "parameters"))
    raise FitError("the fits are by MAP, whose estimates have no tests: fit the tables by hl.Laplace() or hl.AGQ().")


def _of_posterior(
    fit: Fit, comparisons: Sequence[TermComparison], method: str, seed: int | None, executor: AnyExecutor | None
) -> ResultTable:
    titles = {
        "direction": "Posterior probabilities about terms",
        "loo": "Leave-one-out differences by terms",
        "bayes_factor": "Bayes factors of terms",
    }
    rows = {
        "direction": lambda: directions(fit, comparisons),
        "loo": lambda: loo_differences(fit, comparisons, executor),
        "bayes_factor": lambda: bayes_factors(fit, comparisons, seed, executor),
    }[method]()
    table = pd.DataFrame([one.names | row for one, row in zip(comparisons, rows, strict=True)])
    return ResultTable.of(table, titles[method], spare=("note", "without", "parameters"))


def _of_clusters(
    fit: Fit, estimate: Estimate, clustered: Clustered, comparisons: Sequence[TermComparison], adjust: str | None
) -> ResultTable:
    """Wald's tests of the terms of the fixed part, by the covariance matrix of a fit with robust standard errors."""
    rows = cluster_wald_tests(fit, estimate, clustered, comparisons)
    columns = ["term", "component", "parameters", "statistic", "p_value"]
    columns += ["without"] if any(row["without"] for row in rows) else []
    columns += ["reference"] if any("reference" in row for row in rows) else []
    table = pd.DataFrame(rows, columns=columns)
    if adjust is not None:
        table.insert(5, "p_adjusted", holm(table["p_value"].to_numpy(dtype=np.float64)))
    title = f"Wald's tests of terms; {clustered.kind} standard errors by {clustered.group}"
    return ResultTable.of(table, title, spare=SPARE)


def _row(fit: Fit, comparison: TermComparison, ratio: TermRatio | str) -> dict[str, Any]:
    row = comparison.names
    if isinstance(ratio, str):
        missing = dict.fromkeys(("statistic", "p_value", "p_naive", "wald", "p_wald"), np.nan)
        count = difference_of(fit.model, comparison).parameters
        return row | {"parameters": count} | missing | {"reference": ratio}
    (p_value, reference), (wald, p_wald) = ratio.reference(), ratio.wald()
    return row | {
        "parameters": ratio.gap.parameters,
        "statistic": ratio.statistic,
        "p_value": p_value,
        "p_naive": ratio.naive_p_value,
        "wald": wald,
        "p_wald": p_wald,
        "reference": reference,
    }


def _by_simulation(ratios: Sequence[TermRatio], simulated: SimulatedRatios) -> list[Mapping[str, Any]]:
    """What the bootstrap changes in the row of each term."""
    found: list[Mapping[str, Any]] = []
    for one, values, failures in zip(ratios, simulated.statistics, simulated.failures, strict=True):
        p_value = (1 + int(np.sum(values >= one.statistic))) / (len(values) + 1) if len(values) else np.nan
        reference = "simulated from the model without the term"
        found.append({"p_value": p_value, "reference": reference, "replicates": len(values), "failures": failures})
    return found


def _table(rows: Sequence[Mapping[str, Any]], adjust: str | None, title: str) -> ResultTable:
    names = ("term", "component", "parameters", "statistic", "p_value", "p_naive", "wald", "p_wald")
    more = [name for name in ("reference", "without", "replicates", "failures") if any(name in row for row in rows)]
    table = pd.DataFrame(rows, columns=[*names, *more])
    if adjust is not None:
        table.insert(5, "p_adjusted", holm(table["p_value"].to_numpy(dtype=np.float64)))
    return ResultTable.of(table, title, spare=SPARE)
