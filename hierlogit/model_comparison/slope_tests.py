"""Score tests of slopes that are not in a model: whether they vary between clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..engines.maximum.refit import finite_maximum_of
from ..engines.maximum.refitted import ReferenceFit
from ..errors import FitError, StudyError
from ..fits.arguments import NO_LIKELIHOOD, refuse_pooled, require_unweighted
from ..parallel.tasks import Done
from ..parallel.workers import AnyExecutor, check_executor
from ..result_table import ResultTable
from ..studies.checkpoint import Checkpoint, identity
from ..studies.failures import warn_of_failures
from ..studies.simulated_outcomes import generator, simulated_outcome
from ..studies.tail_probability import tail_probability
from ..summaries.multiplicity import holm
from ..validation import file_path, seed_or_new, whole_number
from .slope_scores import AbsentSlope, absent_slopes, slope_scores

if TYPE_CHECKING:
    from ..fits.fit import Fit

FloatArray = npt.NDArray[np.float64]

#: Simulated data sets with which a tail probability of one in a hundred is known well enough.
FEWEST_REPLICATES = 50
#: What replicates without a result mean.
CONSEQUENCE = "They are left out of the reference distribution."
COLUMNS = ("group", "term", "columns", "clusters", "score", "sd", "p_value", "p_adjusted")


def test_slopes(
    fit: Fit,
    *,
    replicates: int = 200,
    seed: int | None = None,
    executor: AnyExecutor | None = None,
    store: str | PathLike[str] | None = None,
) -> ResultTable:
    """Score tests of slopes that are not in the model, ranked: which of them vary between clusters.

    Every term that varies within the clusters of a grouping factor and has the same slope in all of them is tested, one
    at a time. None of the larger models is fitted: the test needs the model as it is, and this model refitted to
    simulated outcomes, which are the same for all tests.

    Parameters
    ----------
    fit : Fit
        By any engine. For a fit by a sampler, MAP with Laplace's method takes its place.
    replicates : int
        How many data sets to simulate from the fit, 50 or more.
    seed, executor, store
        As for `bootstrap`.

    Returns
    -------
    ResultTable
        A row for each slope, the smallest p-value first:

        - ``group``, ``term``: the slope of the term varies over the clusters of the grouping factor;
        - ``columns``: how many slopes the term has, more than one for a factor with several levels or a spline;
        - ``clusters``: in how many clusters the term varies, and which are thus informative;
        - ``score``: derivative of the log-likelihood in the variance of the slopes, minus its mean and over its
          standard deviation in the simulated data;
        - ``sd``: standard deviation of the slopes that the score suggests, per unit of the term's column as in
          `summary`, zero if the score is below its mean; of several columns the root mean square. It is the estimate
          after one scoring step from zero, which is rough, and too small for large variances;
        - ``p_value``: probability of a score as large or larger in data simulated from the fit;
        - ``p_adjusted``: p-value adjusted for the number of slopes by Holm's procedure.

        If interrupted by Ctrl-C, the reference distribution is that of the data sets finished so far.

    Raises
    ------
    FitError
        If the model has no random effects, or the fit is not at a maximum with finite estimates.
    StudyError
        If an option is not allowed, `store` belongs to another study, or an interruption left too few data sets.

    Warns
    -----
    ConvergenceWarning
        If more than 5% of the replicates have no result.

    Notes
    -----
    The slopes tested are independent of the other effects. A term of several columns has independent slopes of equal
    variance for the orthogonal columns that span it, so that neither the coding of a factor nor the origin of a
    predictor matters. Terms such as ``x:w`` are left out if ``w`` is constant within clusters.

    The test is one-sided, since a variance cannot be negative. With a score S in the data and scores S* in data that
    are simulated from the fit, to each of which the model is fitted again, the p-value is the fraction of S* above S,
    or if they are few the tail of a Pearson type III distribution with their mean, sd and skewness; the step from zero
    leads to the variance ``(S - mean S*) / var S*``. Of two slopes that vary, each can be significant because of the
    other: add the first one and test again.

    References
    ----------
    Lin (1997), Biometrika 84: 309-326.
    Holm (1979), Scandinavian Journal of Statistics 6: 65-70.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("use ~ age + I(age**2) + urban + livch + (1 | district)", hl.datasets.load("contraception"))
    >>> found = hl.test_slopes(model.fit("laplace"), seed=1)
    >>> found["term"].tolist()[0], found["p_adjusted"].tolist()[0] < 0.05
    ('urban', True)
    """
    require_unweighted(fit, "hl.test_slopes", NO_LIKELIHOOD)
    refuse_pooled(fit, "fit", "Score tests are of the likelihood")
    requested = whole_number("replicates", replicates, StudyError, least=FEWEST_REPLICATES)
    used_seed = seed_or_new(seed, StudyError)
    check_executor(executor)
    if store is not None:
        file_path("store", store, StudyError)
    fit.model.design.chosen_groups(None)  # there must be some
    if fit.estimate is not None:
        finite_maximum_of(fit)
    reference = ReferenceFit.of(fit)
    if not reference.usable:
        raise FitError("the fit has no maximum with a finite covariance matrix, from which data could be simulated.")
    slopes = absent_slopes(fit.model.design)
    if not slopes:
        return _table(slopes, np.empty(0), np.empty((0, 0)))
    task = OfSlopes(reference, slopes, used_seed)
    done, _ = simulated_scores(task, requested, executor, store)
    return score_table(task, done)


def simulated_scores(
    task: OfSlopes, replicates: int, executor: AnyExecutor | None = None, store: str | PathLike[str] | None = None
) -> tuple[Done[list[float]], bool]:
    """Scores in simulated data sets, and whether all of them were computed before an interruption."""
    reference, labels = task.reference, [slope.label for slope in task.slopes]
    study = identity(reference.model, reference.estimate, task.seed, labels)
    return Checkpoint.of(store, study).completed(task, replicates, executor, "Testing slopes")


def score_table(task: OfSlopes, done: Done[list[float]]) -> ResultTable:
    """The tests, as `test_slopes` returns them, from the scores of simulated data sets.

    Raises
    ------
    StudyError
        If too few of the data sets have a result.
    """
    run = len(done.results) + len(done.failures)
    warn_of_failures(done.failures, run, CONSEQUENCE)
    if len(done.results) < FEWEST_REPLICATES:
        raise StudyError(
            f"{len(done.results):,} of {run:,} simulated data sets have a result, too few for p-values, which need "
            f"{FEWEST_REPLICATES}. Repeat the call without interrupting it, or look at hl.check_data(fit.model)."
        )
    observed = np.array([score.value for score in slope_scores(task.reference.observed, task.slopes)])
    return _table(task.slopes, observed, np.array([done.results[number] for number in sorted(done.results)]))


# In tests of users, pytest would take it for one of them.
test_slopes.__test__ = False  # type: ignore[attr-defined]


@dataclass(frozen=True)
class OfSlopes:
    """Task that computes the scores of slopes in one replicate.

    Attributes
    ----------
    reference : ReferenceFit
        The fit from which outcomes are simulated, and whose model is fitted to them.
    slopes : sequence of AbsentSlope
    seed : int
    """

    reference: ReferenceFit
    slopes: Sequence[AbsentSlope]
    seed: int

    def __call__(self, number: int) -> dict[str, float]:
        """The scores of replicate `number`, by label."""
        reference = self.reference
        y = simulated_outcome(reference.model.design, reference.estimate, generator(self.seed, number))
        scores = slope_scores(reference.fitted_to(y), self.slopes)
        found = {slope.label: score.value for slope, score in zip(self.slopes, scores, strict=True)}
        if not np.all(np.isfinite(list(found.values()))):
            raise FitError("a score is not finite.")
        return found


def _table(slopes: Sequence[AbsentSlope], observed: FloatArray, simulated: FloatArray) -> ResultTable:
    """The tests, from the scores of the data, shape (k,), and of simulated data, shape (replicates, k)."""
    rows = []
    for slope, value, values in zip(slopes, observed, simulated.T, strict=True):
        above, sd = float(value - values.mean()), float(values.std(ddof=1))
        p_value = tail_probability(float(value), values, "upper")
        own = (slope.group, slope.term, slope.columns.shape[1], slope.clusters)
        rows.append((*own, above / sd, slope.unit * np.sqrt(max(above, 0.0)) / sd, p_value))
    table = pd.DataFrame(rows, columns=list(COLUMNS[:-1]))
    table["p_adjusted"] = holm(table["p_value"].to_numpy(dtype=np.float64))
    table = table.sort_values(["p_value", "score"], ascending=[True, False], kind="stable", ignore_index=True)
    what = "Score tests of slopes that are not in the model"
    if slopes:
        what = f"{what}, by {len(simulated):,} simulated data sets"
    else:
        what = f"{what}: there are none, since every term is constant within clusters or has a random slope"
    return ResultTable.of(table, what, spare=["columns", "clusters", "p_value"])
