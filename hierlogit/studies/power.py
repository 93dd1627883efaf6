"""Power, coverage, bias and precision of planned studies, by simulation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np
import pandas as pd

from ..design.table_sources import read_table
from ..display import Sentences, Table, View
from ..engines.maximum.profile import Profiler
from ..engines.maximum.refit import approach_of, search
from ..engines.registry import resolve_engine
from ..errors import FitError, StudyError
from ..estimate import Estimate
from ..model_spec import ModelSpec
from ..parallel.tasks import Done, collect_tasks
from ..parallel.workers import AnyExecutor, check_executor
from ..pictures import Picture, Pictured
from ..result_table import HasTables, ResultTable
from ..student_t import t_quantile, two_sided_p_value
from ..validation import (
    agree,
    choice,
    listed,
    mapping,
    names,
    probability,
    quoted_list,
    seed_or_new,
    shortened,
    whole_number,
)
from .failures import count_failures
from .layouts import Layout
from .parameters import AssumedParameters
from .simulate import model_without_outcome
from .simulated_outcomes import generator, simulated_outcome

if TYPE_CHECKING:
    from ..engines.engine import Engine

METHODS = ("wald", "lr")
#: Columns of the table that it shows, besides those of the grid.
MEASURES = (
    "parameter",
    "true",
    "power",
    "power_mcse",
    "coverage",
    "bias",
    "empirical_se",
    "model_se",
    "width",
    "converged",
    "singular",
)
#: Columns of the table that are left out first where there is not enough room.
SPARE = (*(f"{name}_mcse" for name in MEASURES), "studies", "singular", "converged", "true")
#: Combinations of the values in a grid.
MOST_CELLS = 10_000


@dataclass(frozen=True, repr=False)
class Power(HasTables, Pictured):
    """Power, coverage, bias and precision in simulated studies.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each cell of the grid and each tested coefficient; the columns are described under `power`.
    replicates : pandas.DataFrame
        One row for each study and tested coefficient: the cell, ``replicate``, ``parameter``, ``estimate``, ``se``,
        ``df``, ``p_value``, and whether the fit was ``singular``. Studies without an estimate are left out.
    failures : mapping of (int, int) to str
        Error messages of the studies without an estimate, by numbers of cell and replicate.
    grid : tuple of str
        Columns of the table that distinguish the cells.
    alpha : float
        Significance level of the tests.
    requested : int
        Number of replicates requested in each cell.
    seed : int
        Makes the studies reproducible, with any number of workers.
    interrupted : bool
        Whether an interruption came before all studies had run.
    """

    _picture: ClassVar[Picture] = Picture("power")

    table: pd.DataFrame
    replicates: pd.DataFrame
    failures: Mapping[tuple[int, int], str]
    grid: tuple[str, ...]
    alpha: float
    requested: int
    seed: int
    interrupted: bool

    def _view(self) -> View:
        cells = len(self.table) // max(self.table["parameter"].nunique(), 1)
        where = f" in each of {cells:,} cells" if cells > 1 else ""
        title = f"Power at alpha {self.alpha:g}: {self.requested:,} studies{where}; seed {self.seed}"
        table = Table.of(self.table[[*self.grid, *MEASURES]], ".table", index=False)
        return View(title, (Sentences(tuple(self._remarks())), table))

    def _remarks(self) -> Iterator[str]:
        if self.interrupted:
            yield "interrupted before all of them were run"
        run = len(self.failures) + len(self.replicates) // max(self.table["parameter"].nunique(), 1)
        yield from count_failures(self.failures, run, "They count as not significant, and are left out of the rest.")


def power(
    formula: str,
    layout: Layout | Any,
    *,
    beta: Mapping[str, float],
    sd: Mapping[str, Any] | None = None,
    cor: Mapping[str, Any] | None = None,
    phi: float | None = None,
    test: str | Sequence[str] | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    replicates: int = 500,
    method: str = "wald",
    alpha: float = 0.05,
    engine: Engine | str = "laplace",
    seed: int | None = None,
    executor: AnyExecutor | None = None,
) -> Power:
    """Power, coverage, bias and precision of a planned study, from simulated studies.

    In each study, clusters, predictors and outcomes are drawn anew; with a table in place of a layout, outcomes only.

    Parameters
    ----------
    formula, layout, beta, sd, cor, phi
        As for `simulate`. With `phi`, the models fitted are beta-binomial as well.
    test : str or list of str, optional
        Coefficients to test against zero, by label; all except the intercept if not given.
    grid : mapping of str to sequence, optional
        Values to try in all combinations: numbers of clusters by grouping factor, ``size``, or values of a coefficient,
        ``{"school": [20, 40], "size": [10, 20], "arm[new]": [0.3, 0.5]}``.
    replicates : int
        How many studies to simulate in each cell of the grid. With 500, a power of 0.8 has a Monte Carlo standard error
        of 0.018.
    method : {"wald", "lr"}
        Wald's test, with the distribution that the engine's `df` chooses, Student's t with fewer than 40 clusters and
        otherwise the normal distribution; or the likelihood-ratio test of the model against the one without the
        coefficient, with the chi-squared distribution with one degree of freedom.
    alpha : float
        Significance level of the tests; the intervals for the coverage have probability ``1 - alpha``.
    engine : Engine or str
        A likelihood engine with its options: ``hl.Laplace()``, ``hl.Laplace(restricted=True)``, ``hl.AGQ()`` or
        ``hl.MAP()``.
    seed : int, optional
        Makes the studies reproducible, whatever the executor and its number of workers.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes studies over workers, as for `bootstrap`.

    Returns
    -------
    Power
        Its ``table`` has one row for each cell and coefficient. ``power`` is the share of all studies that reject zero;
        those without an estimate count as not rejecting. From the studies with an estimate: ``coverage`` of the true
        value by Wald intervals; ``bias``; ``empirical_se``, the sd of the estimates; ``model_se``, the root mean
        squared standard error; ``width``, the mean width of the intervals, for studies planned for precision.
        ``converged`` is the share of studies with an estimate. Each of these has its Monte Carlo standard error in a
        column that ends in ``_mcse``. ``singular`` is the share of fits at a boundary, such as an sd of zero, and
        ``studies`` the number of studies that ran. If interrupted by Ctrl-C, the result has the studies finished so
        far.

    Raises
    ------
    StudyError
        If an option is not allowed, or a parameter is missing, unknown or out of range.
    EngineError
        If the engine is not a likelihood engine.

    References
    ----------
    Morris, White and Crowther (2019), Statistics in Medicine 38: 2074-2102, for the measures and their standard errors.
    Green and MacLeod (2016), Methods in Ecology and Evolution 7: 493-498.

    Examples
    --------
    >>> import hierlogit as hl
    >>> layout = hl.Layout({"school": 20}, size=20, cluster_predictors={"school": {"arm": ["control", "new"]}})
    >>> power = hl.power(
    ...     "passed ~ arm + (1 | school)",
    ...     layout,
    ...     beta={"Intercept": 0, "arm[new]": 0.8},
    ...     sd={"school": 0.5},
    ...     grid={"school": [10, 40]},
    ...     replicates=50,
    ...     seed=1,
    ... )
    >>> power.table[["school", "parameter", "power"]]
    Power at alpha 0.05, by simulation
      school  parameter  power
          10  arm[new]   0.300
          40  arm[new]   0.940
    """
    replicates = whole_number("replicates", replicates, StudyError, least=2)
    choice("method", method, METHODS, StudyError)
    alpha = probability("alpha", alpha, StudyError)
    engine = resolve_engine(engine)
    used_seed = seed_or_new(seed, StudyError)
    check_executor(executor)
    tried = {} if grid is None else mapping("grid", grid, StudyError, "lists of values by name, {'school': [20, 40]}")
    cells = _cells(formula, layout, AssumedParameters.given(beta, sd, cor, phi), tried, used_seed)
    tested = _tested_in_all(cells, test, engine, method)
    task = Study(tuple(cells), used_seed, tuple(tested), engine, method)
    # Cells take turns, so that after an interruption all have about the same number of studies.
    done, finished = collect_tasks(task, range(replicates * len(cells)), executor, "Simulating studies")
    return _gathered(task, done, tuple(tried), alpha, replicates, interrupted=not finished)


@dataclass(frozen=True)
class Cell:
    """One cell of the grid.

    Attributes
    ----------
    chosen : mapping of str to object
        The cell's values, by the names of the grid.
    formula : str
    layout : Layout or DataFrame
    truth : AssumedParameters
    first : Model
        The model of its first study.
    drawn : bool
        Whether the rows differ between studies.
    """

    chosen: Mapping[str, Any]
    formula: str
    layout: Layout | Any
    truth: AssumedParameters
    first: ModelSpec
    drawn: bool

    def study(self, random: np.random.Generator) -> ModelSpec:
        """The model of a simulated study."""
        model = self.first
        if self.drawn:
            model = model_without_outcome(self.formula, self.layout.table(random), self.truth.family)
        return model.with_outcome(simulated_outcome(model.design, self.truth.of(model.design), random))


@dataclass(frozen=True)
class StudyResult:
    """Result of one study.

    Attributes
    ----------
    rows : tuple of (str, float, float, float, float)
        Label, estimate, standard error, degrees of freedom and p-value of each tested coefficient.
    singular : bool
        Whether the maximum is at a boundary.
    """

    rows: tuple[tuple[str, float, float, float, float], ...]
    singular: bool


@dataclass(frozen=True)
class Study:
    """Task that simulates and fits one study of one cell.

    Attributes
    ----------
    cells : tuple of Cell
    seed : int
    tested : tuple of str
    engine : Engine
    method : str
    """

    cells: tuple[Cell, ...]
    seed: int
    tested: tuple[str, ...]
    engine: Engine
    method: str

    def place(self, number: int) -> tuple[int, int]:
        """Numbers of the cell and the replicate of a task."""
        replicate, cell = divmod(number, len(self.cells))
        return cell, replicate

    def __call__(self, number: int) -> StudyResult:
        """The result of study `number`.

        Raises
        ------
        FitError
            If it has no estimate.
        """
        cell, replicate = self.place(number)
        model = self.cells[cell].study(generator(self.seed, cell, replicate))
        estimate = search(model, approach_of(self.engine, model)).bounded_maximum()
        p_value = P_VALUES[self.method]
        rows = []
        for label in self.tested:
            k = model.design.fixed_effects.index(label)
            value, se = float(estimate.beta[k]), float(estimate.standard_errors[k])
            rows.append((label, value, se, float(estimate.df[k]), p_value(model, estimate, k)))
        return StudyResult(tuple(rows), bool(estimate.boundary))


def _wald(_: ModelSpec, estimate: Estimate, k: int) -> float:
    return float(estimate.p_values[k])


def _likelihood_ratio(model: ModelSpec, estimate: Estimate, k: int) -> float:
    profile = Profiler(model, estimate).coefficient(k)
    without = profile.maximise(0.0, profile.start(0.0)).log_likelihood
    if not np.isfinite(without):
        raise FitError("the likelihood without the coefficient was not maximised.")
    root = np.sqrt(max(2 * (estimate.log_likelihood - without), 0.0))  # normal, up to its sign, under the hypothesis
    return float(two_sided_p_value(root, np.inf))


P_VALUES: dict[str, Callable[[ModelSpec, Estimate, int], float]] = {"wald": _wald, "lr": _likelihood_ratio}


def _cells(
    formula: str, layout: Any, truth: AssumedParameters, grid: Mapping[str, Sequence[Any]], seed: int
) -> list[Cell]:
    grid = {name: listed(values) or _no_values(name, values) for name, values in grid.items()}
    count = math.prod(len(values) for values in grid.values())
    if count > MOST_CELLS:
        raise StudyError(f"grid has {count:,} combinations; at most {MOST_CELLS:,} are possible.")
    cells: list[Cell] = []
    for values in product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        effects = {name: value for name, value in chosen.items() if name in truth.beta}
        numbers = {name: value for name, value in chosen.items() if name not in effects}
        if numbers and not isinstance(layout, Layout):
            raise StudyError(
                f"grid: {quoted_list(list(numbers))} {agree(numbers, 'is not a coefficient', 'are not coefficients')}. "
                "The rows of a table are fixed: numbers of clusters can vary in an hl.Layout only."
            )
        cell_layout = layout.with_numbers(**numbers) if numbers else layout
        assumed = replace(truth, beta={**truth.beta, **effects})
        random = generator(seed, len(cells), 0)
        rows = cell_layout.table(random) if isinstance(cell_layout, Layout) else read_table(cell_layout)
        first = model_without_outcome(formula, rows, assumed.family)
        assumed.of(first.design)
        cells.append(
            Cell(chosen, formula, cell_layout, assumed, first, isinstance(cell_layout, Layout) and cell_layout.random)
        )
    return cells


def _no_values(name: str, values: object) -> NoReturn:
    raise StudyError(f"grid['{name}']={shortened(values)} must be a list of values to try, and not empty.")


def _tested_in_all(cells: Sequence[Cell], test: Any, engine: Engine, method: str) -> list[str]:
    """Labels of the tested coefficients, which the models of all cells must have.

    Raises
    ------
    StudyError
        If a model lacks one, or the engine has no likelihood ratio.
    EngineError
        If the engine cannot fit the models.
    """
    tested = _tested(cells[0].first, test)
    for cell in cells:
        approach = approach_of(engine, cell.first)
        _tested(cell.first, tested)
    if method == "lr" and (approach.penalised or approach.restricted):
        what = "a posterior density" if approach.penalised else "the restricted likelihood"
        raise StudyError(f"method='lr' needs a maximum of the likelihood; {engine} maximises {what}. Use 'wald'.")
    return list(tested)


def _tested(model: ModelSpec, test: str | Sequence[str] | None) -> list[str]:
    known = list(model.design.fixed_effects)
    if test is not None:
        return names("test", test, known, StudyError, "coefficient")
    tested = [name for name in known if name != "Intercept"]
    if not tested:
        raise StudyError(
            f"the model has no coefficient to test besides the intercept; its coefficients are: {quoted_list(known)}."
        )
    return tested


def _gathered(
    task: Study, done: Done[StudyResult], grid: tuple[str, ...], alpha: float, n: int, *, interrupted: bool
) -> Power:
    records = []
    for number in sorted(done.results):
        result = done.results[number]
        records += [(*task.place(number), *row, result.singular) for row in result.rows]
    columns = ["cell", "replicate", "parameter", "estimate", "se", "df", "p_value", "singular"]
    studies = pd.DataFrame.from_records(records, columns=columns)
    failures = {task.place(number): text for number, text in sorted(done.failures.items())}
    lost = Counter(cell for cell, _ in failures)
    rows = []
    for k, cell in enumerate(task.cells):
        for label in task.tested:
            results = studies[(studies["cell"] == k) & (studies["parameter"] == label)]
            true = cell.truth.beta[label]
            measured = _measures(results, true, len(results) + lost[k], alpha)
            rows.append({**cell.chosen, "parameter": label, "true": true, **measured})
    chosen = pd.DataFrame([dict(cell.chosen) for cell in task.cells], columns=list(grid))
    replicates = chosen.loc[studies["cell"]].reset_index(drop=True).join(studies.drop(columns="cell"))
    table = ResultTable.of(pd.DataFrame(rows), f"Power at alpha {alpha:g}, by simulation", data=list(grid), spare=SPARE)
    return Power(table, replicates, failures, grid, alpha, n, task.seed, interrupted=interrupted)


def _measures(studies: pd.DataFrame, true: float, run: int, alpha: float) -> dict[str, float]:
    """Measures of Morris, White and Crowther (2019), table 6, each with its Monte Carlo standard error."""
    estimate, se = studies["estimate"].to_numpy(), studies["se"].to_numpy()
    reach, count = t_quantile(studies["df"], 1 - alpha) * se, len(studies)
    missing = float("nan")
    power = float((studies["p_value"] < alpha).sum()) / run if run else missing
    coverage = float((np.abs(estimate - true) <= reach).mean()) if count else missing
    empirical = float(estimate.std(ddof=1)) if count > 1 else missing
    model = float(np.sqrt(np.mean(se**2))) if count else missing
    spread = float(np.var(se**2, ddof=1)) if count > 1 else missing
    with np.errstate(all="ignore"):
        return {
            "power": power,
            "power_mcse": float(np.sqrt(np.divide(power * (1 - power), run))),
            "coverage": coverage,
            "coverage_mcse": float(np.sqrt(np.divide(coverage * (1 - coverage), count))),
            "bias": float(estimate.mean() - true) if count else missing,
            "bias_mcse": float(np.divide(empirical, np.sqrt(count))),
            "empirical_se": empirical,
            "empirical_se_mcse": float(np.divide(empirical, np.sqrt(2 * (count - 1)))) if count > 1 else missing,
            "model_se": model,
            "model_se_mcse": float(np.sqrt(np.divide(spread, 4 * count * model**2))),
            "width": 2 * float(reach.mean()) if count else missing,
            "width_mcse": 2 * float(np.divide(reach.std(ddof=1), np.sqrt(count))) if count > 1 else missing,
            "converged": count / run if run else missing,
            "converged_mcse": float(np.sqrt(np.divide(count * (run - count), float(run) ** 3))) if run else missing,
            "singular": float(studies["singular"].mean()) if count else missing,
            "studies": run,
        }
