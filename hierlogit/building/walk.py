"""The walk of a build-up: an intercept, then levels, fixed effects and random slopes, one model after the other."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..design.grouping import GroupBlock
from ..engines.maximum.agq import AGQ
from ..engines.maximum.laplace import Laplace
from ..engines.maximum.refit import maximum_of
from ..errors import HierlogitError
from ..fits.findings import Finding
from ..fits.fit import Fit
from ..formatting import p_value
from ..model import Model
from ..model_comparison.likelihood_ratio import RatioTest
from ..result_table import ResultTable
from ..summaries.multiplicity import holm
from ..validation import agree, number_of
from .fits_ahead import TimedFit, fits_ahead, fitted
from .plan import Plan, Slope, Structure, column_name
from .screening import score_tests
from .step import Decision, Step, ratio_test, zero_levels
from .sufficiency import findings_of_intercepts, findings_of_slope, level_obstacle, slope_obstacle

if TYPE_CHECKING:
    from ..parallel.workers import AnyExecutor

#: Severities of findings with which a slope is not kept.
GRAVE = ("warning", "error")
#: What is decided about a model whose step was interrupted.
UNDECIDED = Decision(kept=False, reason="interrupted before the decision")


@dataclass(frozen=True)
class Tried:
    """A slope that was tried.

    Attributes
    ----------
    slope : Slope
    step : Step
        The model that has it.
    objection : str
        Why the model is not kept, whatever its p-value; empty if nothing speaks against it.
    """

    slope: Slope
    step: Step
    objection: str

    @property
    def p_value(self) -> float:
        """p-value of the likelihood ratio."""
        return 1.0 if self.step.test is None else self.step.test.p_value

    @property
    def rank(self) -> tuple[float, float]:
        """By which the slope that is supported most comes first, also where p-values are too small for floats."""
        return self.p_value, 0.0 if self.step.test is None else -self.step.test.statistic


class Walk:
    """The models fitted so far, and what is decided about them.

    Parameters
    ----------
    plan : Plan
    engine : Laplace or AGQ
    alpha : float
        Level of the tests of slopes.
    screen : bool
        Whether only slopes with a significant score test are fitted.
    replicates, seed : int
        Number of data sets that are simulated for the score tests, and the seed.
    executor : concurrent.futures.Executor, distributed.Client or None
        Fits the slopes that are tried beside the same model at the same time.

    Attributes
    ----------
    steps : list of Step
    decisions : dict of str to Decision
        By name of the model.
    not_tried : dict of str to str
        Levels and slopes without a fit, with the reason.
    possible : list of Slope
        Slopes about whose variances the rows can tell something.
    supported : dict of str to str
        Slopes that the tests support and that are not kept, with the reason.
    scores : ResultTable or None
        Score tests of the slopes beside the model of intercepts and fixed effects.
    """

    def __init__(
        self,
        plan: Plan,
        engine: Laplace | AGQ,
        *,
        alpha: float,
        screen: bool,
        replicates: int,
        seed: int,
        executor: AnyExecutor | None = None,
    ) -> None:
        self._plan, self._engine, self._executor, self._alpha = plan, engine, executor, alpha
        self._screen, self._replicates, self._seed = screen, replicates, seed
        self.steps: list[Step] = []
        self.decisions: dict[str, Decision] = {}
        self.not_tried: dict[str, str] = {}
        self._waiting = dict(plan.interactions)
        self.possible: list[Slope] = []
        self.supported: dict[str, str] = {}
        self.scores: ResultTable | None = None
        self._ahead: dict[Structure, TimedFit] = {}

    @property
    def levels(self) -> tuple[GroupBlock, ...]:
        """All grouping factors, the highest first."""
        return self._plan.levels

    def models(self) -> Iterator[Step]:
        """Fit one model after the other."""
        begun, model = time.perf_counter(), self._plan.model(Structure())
        findings, fit = findings_of_intercepts(model), fitted(model, self._engine)
        first = self._step("intercept", "intercept only", Structure(), None, fit, None, findings, begun)
        self._decide(first, kept=True, reason="the beginning")
        yield first
        yield from self._levels()
        yield from self._predictors()
        yield from self._slopes()

    @property
    def current(self) -> Step:
        """The last model that was kept."""
        return next(step for step in reversed(self.steps) if self._is_kept(step))

    def _is_kept(self, step: Step) -> bool:
        return step.name in self.decisions and self.decisions[step.name].kept

    def _decide(self, step: Step, *, kept: bool, reason: str, p_adjusted: float | None = None) -> None:
        self.decisions[step.name] = Decision(kept, reason, p_adjusted)

    # ---- levels and predictors ------------------------------------------------------------------------------------

    def _levels(self) -> Iterator[Step]:
        for group in self._plan.levels:
            before = self.current
            obstacle = level_obstacle(self._plan, group, [self._plan.group(name) for name in before.structure.levels])
            if obstacle:
                self.not_tried[group.name] = obstacle
                continue
            structure = replace(before.structure, levels=(*before.structure.levels, group.name))
            step = self._tried("level", group.name, structure, before)
            if step is None:
                continue
            zero = group.name in zero_levels(step.fit)
            reason = "its sd is estimated as zero" if zero else "part of the design, whatever the p-value"
            self._decide(step, kept=not zero, reason=reason)
            yield step

    def _predictors(self) -> Iterator[Step]:
        if not self._plan.predictors:
            return
        before = self.current
        step = self._tried("predictors", self._plan.predictors, replace(before.structure, predictors=True), before)
        if step is None:
            return
        self._decide(step, kept=True, reason="planned, whatever the p-value")
        yield step
        for level in zero_levels(step.fit):
            rest = tuple(one for one in self.current.structure.levels if one != level)
            without = self._tried("level", f"without {level}", replace(self.current.structure, levels=rest), None)
            if without is not None:
                self._decide(without, kept=True, reason=f"given the predictors, the sd of {level} is estimated as zero")
                yield without

    # ---- slopes ---------------------------------------------------------------------------------------------------

    def _slopes(self) -> Iterator[Step]:
        self.possible = self._possible(self._plan.slopes)
        if self._screen and self.possible:
            self.scores = score_tests(self.current.fit, self._replicates, self._seed, self._executor)
        left = self._screened(self.possible)
        unlikely = len(self.possible) - len(left)
        while left := left or self._interactions():
            before, tried = self.current, []
            self._fit_ahead(left, before)
            for slope in left:
                one = self._with_slope(slope, before)
                if one is None:
                    continue
                yield one.step
                apart = self._without_correlation(one, before)
                if apart is not None:
                    yield apart.step
                    one = self._better(one, apart)
                tried.append(one)
            left, unlikely = self._decided(tried, unlikely), 0
        for slope, missing in self._missing_parts().items():
            self.not_tried[str(slope)] = (
                f"an interaction, and the model has no {agree(missing, 'slope', 'slopes')} of {' and '.join(missing)} "
                f"over {slope.group}"
            )

    def _possible(self, slopes: Iterable[Slope]) -> list[Slope]:
        possible = []
        for slope in slopes:
            level = slope.group in self.current.structure.levels
            obstacle = slope_obstacle(self._plan, slope) if level else f"the model has no intercepts of {slope.group}"
            if obstacle:
                self.not_tried[str(slope)] = obstacle
            else:
                possible.append(slope)
        return possible

    def _screened(self, slopes: list[Slope]) -> list[Slope]:
        """The slopes whose score tests give a reason to fit them; all of them where there are no score tests."""
        if self.scores is None:
            return slopes
        p_values = {(row["group"], row["term"]): float(row["p_value"]) for _, row in self.scores.iterrows()}
        kept = []
        for slope in slopes:
            p = p_values.get((slope.group, column_name(slope.term)), 0.0)
            if p < self._alpha:
                kept.append(slope)
            else:
                self.not_tried[str(slope)] = f"score test, {p_value(p)}"
        return kept

    def _interactions(self) -> list[Slope]:
        """Slopes of interactions that are in question now that the model has the slopes of all their parts."""
        ready = [slope for slope, missing in self._missing_parts().items() if not missing]
        for slope in ready:
            del self._waiting[slope]
        possible = self._possible(ready)
        self.possible += possible
        return self._screened(possible)

    def _missing_parts(self) -> dict[Slope, list[str]]:
        """Slopes of interactions that were not in question so far, with the parts whose slopes the model lacks."""
        present = {(column_name(one.term), one.group) for one in self.current.structure.slopes}
        return {
            slope: [part for part in parts if (part, slope.group) not in present]
            for slope, parts in self._waiting.items()
        }

    def _fit_ahead(self, slopes: list[Slope], before: Step) -> None:
        """Fit slopes beside the same model by the executor; without one, each is fitted when it is tried."""
        if self._executor is None or len(slopes) < 2:
            return
        models: dict[Structure, Model] = {}
        for slope, structure in (_added(one, before) for one in slopes):
            try:
                model = self._plan.model(structure)
            except HierlogitError:  # which is said when the slope is tried
                continue
            if not _grave(self._new(findings_of_slope(model, slope))):
                models[structure] = model
        self._ahead = fits_ahead(models, self._engine, self._executor)

    def _with_slope(self, slope: Slope, before: Step) -> Tried | None:
        slope, structure = _added(slope, before)
        step = self._tried("slope", str(slope), structure, before, slope)
        return None if step is None else Tried(slope, step, _objection(step, before))

    def _without_correlation(self, one: Tried, before: Step) -> Tried | None:
        """The same slope without correlations, where a supported one has a singular covariance matrix."""
        alone = all(other.group != one.slope.group for other in before.structure.slopes)
        if one.slope.correlated and alone and maximum_of(one.step.fit).boundary and one.p_value < self._alpha:
            return self._with_slope(replace(one.slope, correlated=False), before)
        return None

    def _better(self, one: Tried, apart: Tried) -> Tried:
        """Of a slope with a singular covariance matrix and the same slope without correlations, the one to decide on.

        The other one is not kept.
        """
        if apart.objection:
            self._decide(apart.step, kept=False, reason=apart.objection)
            return one
        self._decide(one.step, kept=False, reason=f"{one.objection}; see {apart.step.name}, without correlations")
        return apart

    def _decided(self, tried: list[Tried], unlikely: int) -> list[Slope]:
        """Decide about slopes that were tried beside the same model; returns those to be tried beside the next one.

        Those that the score tests left out, `unlikely` in number, count in the adjustment as the least supported.
        """
        count = len(tried) + unlikely
        adjusted = holm(np.array([one.p_value for one in tried] + [1.0] * unlikely)).tolist()[: len(tried)]
        among = f" adjusted for {number_of(count, 'slope')}" if count > 1 else ""
        supported = [one for one, p in zip(tried, adjusted, strict=True) if p < self._alpha and not one.objection]
        best = min(supported, key=lambda one: one.rank, default=None)
        again = []
        for one, p in zip(tried, adjusted, strict=True):
            reason = f"{p_value(p)}{among}"
            if p < self._alpha and one.objection:
                reason += f", but {one.objection}"
                self.supported[str(one.slope)] = one.objection
            elif best is not None and one is not best and one.p_value < self._alpha:
                again.append(one.slope)
                reason += f"; tried again beside {best.slope}"
            self._decide(one.step, kept=one is best, reason=reason, p_adjusted=p)
        return again

    # ---- one model ------------------------------------------------------------------------------------------------

    def _tried(
        self, stage: str, adds: str, structure: Structure, against: Step | None, slope: Slope | None = None
    ) -> Step | None:
        """The step, or None where there is no fit, for a reason that is kept."""
        begun = time.perf_counter()
        try:
            model = self._plan.model(structure)
            findings = self._new(findings_of_intercepts(model) if slope is None else findings_of_slope(model, slope))
            grave = [] if slope is None else _grave(findings)
            if not grave:
                ahead = self._ahead.pop(structure, None)
                fit = fitted(model, self._engine) if ahead is None else ahead.fit
                begun -= 0.0 if ahead is None else ahead.seconds
                test = None if against is None else ratio_test(against.fit, fit)
                return self._step(stage, adds, structure, against, fit, test, findings, begun)
            obstacle = grave[0].evidence
        except HierlogitError as error:
            obstacle = str(error)
        self.not_tried[adds] = obstacle
        return None

    def _step(
        self,
        stage: str,
        adds: str,
        structure: Structure,
        against: Step | None,
        fit: Fit[Model],
        test: RatioTest | None,
        findings: tuple[Finding, ...],
        begun: float,
    ) -> Step:
        name, before = f"M{len(self.steps)}", "" if against is None else against.name
        seconds = time.perf_counter() - begun
        self.steps.append(Step(name, stage, adds, before, structure, fit, test, findings, seconds))
        return self.steps[-1]

    def _new(self, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """Those of the findings that no model had before."""
        known = {finding for step in self.steps for finding in step.findings}
        return tuple(finding for finding in findings if finding not in known)


def _added(slope: Slope, before: Step) -> tuple[Slope, Structure]:
    """A slope as it is added to a model, and the structure with it."""
    # The effects of a factor are all correlated, or none of them is.
    others = [one for one in before.structure.slopes if one.group == slope.group]
    slope = replace(slope, correlated=others[0].correlated) if others else slope
    return slope, replace(before.structure, slopes=(*before.structure.slopes, slope))


def _grave(findings: Iterable[Finding]) -> list[Finding]:
    """Those of the findings that are more than notes."""
    return [finding for finding in findings if finding.severity in GRAVE]


def _objection(step: Step, before: Step) -> str:
    """Why a slope is not kept, whatever its p-value: new findings of the fit, or a singular covariance matrix."""
    known = {finding.code for finding in before.fit.diagnostics.findings}
    new = [finding.code for finding in _grave(step.fit.diagnostics.findings) if finding.code not in known]
    if new:
        return f"the fit has the {agree(new, 'finding', 'findings')} {', '.join(new)}"
    boundary = maximum_of(step.fit).boundary
    return f"the fit is singular: {', '.join(boundary)}" if boundary else ""
