"""Where other starts and other optimizers end, beside the estimates of a fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..display import Sentences, Table, View
from ..engines.maximum.other_searches import OPTIMIZERS, Displacement, OtherSearches, Search
from ..engines.maximum.refit import maximum_of
from ..errors import FitError
from ..fits.arguments import refuse_pooled, require_fit
from ..fits.fit import Fit
from ..formatting import number
from ..parallel.tasks import results_until_interrupted
from ..parallel.workers import check_executor
from ..result_table import HasTables, ResultTable
from ..validation import agree, names, number_of, quoted_list, seed_or_new, whole_number

if TYPE_CHECKING:
    from ..parallel.workers import AnyExecutor

#: SciPy's optimizers that are tried if none are named.
USUAL = ("BFGS", "L-BFGS-B", "SLSQP", "TNC")
#: Log-likelihoods that differ by no more, and estimates by no more standard errors, are those of the same maximum.
SAME_VALUE, SAME_ESTIMATES = 0.01, 0.05
#: A smaller difference is within the rounding error of the values.
ROUNDING = 1e-9
MOST_STARTS = 1000


@dataclass(frozen=True, repr=False)
class SearchComparison(HasTables):
    """Where several searches for the maximum of a fit ended.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each search, that of the fit first: ``log_likelihood`` (for fits by MAP ``log_posterior``, with the
        log prior density); ``difference`` from the fit; ``moved``, the largest distance of an estimate from that of the
        fit, in standard errors; ``evaluations``; ``seconds``; and ``verdict``: ``"same"`` maximum, ``"higher"`` or
        ``"lower"`` than the fit, or ``"flat"``, as high with other estimates. Where the optimizer itself reports that
        it did not finish, ``finished`` is False.
    estimates : pandas.DataFrame
        Fixed effects, sds and correlations, one column for each search.
    seed : int
        With which the starts were drawn.
    interrupted : bool
    """

    table: pd.DataFrame
    estimates: pd.DataFrame
    seed: int
    interrupted: bool = False

    def _view(self) -> View:
        return View("Searches for the maximum", (Sentences(tuple(self._remarks())), Table.of(self.table, ".table")))

    def _remarks(self) -> Iterator[str]:
        others = self.table.iloc[1:]
        same = int((others["verdict"] == "same").sum())
        yield f"{same:,} of {number_of(len(others), 'other search', 'other searches')} end at the maximum of the fit."
        for verdict, measure, meaning in (
            ("higher", "difference", "higher than the fit, by {}: its estimates are not the maximum"),
            ("lower", "difference", "lower than the fit, by up to {}: at another local maximum, or before the end"),
            ("flat", "moved", "as high as the fit, up to {} standard errors away: the data hardly tell them apart"),
        ):
            found = others[others["verdict"] == verdict]
            if len(found):
                far = number(float(found[measure].abs().max()))
                yield f"{quoted_list(list(found.index))} {agree(found, 'ends', 'end')} {meaning.format(far)}."
        if self.interrupted:
            yield "Interrupted before all searches had ended."


def compare_searches(
    fit: Fit,
    optimizers: Sequence[str] | str | None = None,
    *,
    starts: int = 5,
    seed: int | None = None,
    executor: AnyExecutor | None = None,
) -> SearchComparison:
    """Where other starts and other optimizers end, as lme4's ``allFit``.

    The package's own search is repeated from its usual start and from random ones, and SciPy's optimizers search from
    the usual start. All maximise the same function with its exact gradient. If all of them end where the fit ended, its
    estimates are the maximum as far as anyone can tell; if one ends higher, they are not.

    Parameters
    ----------
    fit : Fit
        A fit by Laplace, AGQ or MAP.
    optimizers : str or sequence of str, optional
        Methods of ``scipy.optimize.minimize``: ``"BFGS"``, ``"L-BFGS-B"``, ``"SLSQP"``, ``"TNC"``, ``"CG"``,
        ``"trust-constr"``, and without the gradient ``"Nelder-Mead"`` and ``"Powell"``. The first four if not given.
    starts : int
        Number of starts of the package's own search, the usual one included.
    seed : int, optional
        For the random starts; drawn, and kept in the result, if not given.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes the searches over workers, as for `bootstrap`.

    Returns
    -------
    SearchComparison
        With ``.table`` and ``.estimates``. Ctrl-C returns the searches that have ended.

    Raises
    ------
    FitError
        If the fit is by a sampler, or has infinite estimates, so that there is no maximum, or is restricted.
    StudyError
        If the executor cannot run the searches.

    References
    ----------
    Bates, Maechler, Bolker and Walker (2015), Journal of Statistical Software 67 (1): ``allFit``.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit("laplace")
    >>> hl.compare_searches(fit, ["BFGS", "TNC"], starts=3, seed=1).table["verdict"].tolist()
    ['fit', 'same', 'same', 'same', 'same', 'same']
    """
    require_fit(fit)
    refuse_pooled(fit, "fit", "A search is for the likelihood")
    given = USUAL if optimizers is None else optimizers
    chosen = names("optimizers", given, OPTIMIZERS, FitError, "optimizer", "SciPy")
    starts = whole_number("starts", starts, FitError, least=1, most=MOST_STARTS)
    used = seed_or_new(seed, FitError)
    check_executor(executor)
    estimate = maximum_of(fit)
    if estimate.restricted:
        raise FitError(
            "the fit maximised the restricted likelihood, for which there are no other searches here: fit the model "
            "with restricted=False."
        )
    if any(finding.code == "separation" for finding in fit.diagnostics.findings):
        raise FitError(
            "the fit has infinite estimates, so that there is no maximum at which searches could end. hl.MAP() and "
            "NUTS have finite ones."
        )
    random = np.random.default_rng(used)
    displacements = [Displacement.drawn(fit.model.design, random) for _ in range(starts - 1)]
    searches = OtherSearches(fit.model, estimate, displacements, chosen)
    found, finished = results_until_interrupted(searches, range(len(searches)), executor, "Searching")
    table, estimates = _tables([searches.fit(), *found.values()], searches)
    name = "log_posterior" if estimate.penalised else "log_likelihood"
    table = ResultTable.of(table.rename(columns={"value": name}), "Searches for the maximum")
    return SearchComparison(table, estimates, used, interrupted=not finished)


def _tables(found: list[Search], searches: OtherSearches) -> tuple[pd.DataFrame, pd.DataFrame]:
    fit, errors = found[0], searches.errors
    known = errors > 0
    rows = []
    for one in found:
        moves = np.abs(one.estimates - fit.estimates)[known] / errors[known]
        moved, difference = float(moves.max(initial=0.0)), one.value - fit.value
        difference = 0.0 if abs(difference) < ROUNDING else difference
        rows.append(
            {
                "value": one.value,
                "difference": difference,
                "moved": moved,
                "finished": one.finished,
                "evaluations": one.evaluations,
                "seconds": one.seconds,
                "verdict": "fit" if one is fit else _verdict(difference, moved),
            }
        )
    index = pd.Index([one.name for one in found], name="search")
    columns = {one.name: one.estimates for one in found}
    estimates = pd.DataFrame(columns, pd.Index(searches.labels, name="parameter"))
    return pd.DataFrame(rows, index), ResultTable.of(estimates, "Estimates (logit scale)")


def _verdict(difference: float, moved: float) -> str:
    if difference > SAME_VALUE:
        return "higher"
    if not difference > -SAME_VALUE:  # or not a number
        return "lower"
    return "same" if moved <= SAME_ESTIMATES else "flat"
