"""Score tests of slopes beside a model of a build-up, by which those that are fitted are chosen."""

from __future__ import annotations

from ..engines.maximum.refitted import ReferenceFit
from ..errors import HierlogitWarning, StudyError, unsaid
from ..fits.fit import Fit
from ..model_comparison.slope_scores import absent_slopes
from ..model_comparison.slope_tests import OfSlopes, score_table, simulated_scores
from ..parallel.workers import AnyExecutor
from ..result_table import ResultTable


def score_tests(fit: Fit, replicates: int, seed: int, executor: AnyExecutor | None) -> ResultTable | None:
    """The table of `test_slopes`; None if there is no slope to test, or no data can be simulated from the fit.

    Raises
    ------
    KeyboardInterrupt
        If an interruption came before all data sets were simulated: a build-up ends there.
    """
    slopes, reference = absent_slopes(fit.model.design), ReferenceFit.of(fit)
    if not slopes or not reference.usable:
        return None
    task = OfSlopes(reference, slopes, seed)
    with unsaid(HierlogitWarning):  # of replicates without a result, which are left out
        done, finished = simulated_scores(task, replicates, executor)
        if not finished:
            raise KeyboardInterrupt
        try:
            return score_table(task, done)
        except StudyError:  # too few of the data sets have a result
            return None
