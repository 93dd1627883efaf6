"""The class `ShardedModel`: a formula and shards, fitted by a search with one round of evaluations at a time."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ..engines.maximum.agq import AGQ
from ..engines.maximum.convergence import finer_nodes, inaccurate_integration, optimum_findings
from ..engines.maximum.fit_by_likelihood import estimate_without_modes
from ..engines.maximum.flat_directions import bounded
from ..engines.maximum.integrator import integrator
from ..engines.maximum.laplace import Laplace
from ..engines.maximum.map import MAP
from ..engines.maximum.optimizer import maximise
from ..engines.maximum.search_result import Approach
from ..engines.maximum.starting_values import starting_point
from ..engines.registry import resolve_engine
from ..engines.stages import Stages
from ..errors import ConvergenceWarning, EngineError, StudyError, warn
from ..fits.diagnostics import Diagnostics, versions
from ..fits.findings import Finding, status_of, warning_text
from ..fits.identification import contradicting_priors, findings_of_columns, single_trials_finding
from ..parallel.workers import AnyExecutor, LostWorkerError, check_executor
from ..progress import steps
from .fit import ShardedFit
from .objective import ShardedObjective
from .rounds import Rounds
from .spec import ShardedSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from ..engines.engine import Engine
    from ..engines.maximum.flat_directions import Bounded
    from ..estimate import Estimate


class ShardedModel(ShardedSpec):
    """Mixed-effects logistic regression of a table in shards, made by `hierlogit.Shards.model`.

    Attributes
    ----------
    folder : pathlib.Path
    manifest : Manifest
    rows : int
        Complete rows.
    """

    def fit(
        self,
        engine: Engine | str = "laplace",
        *,
        executor: AnyExecutor | None = None,
        store: str | PathLike[str] | None = None,
    ) -> ShardedFit:
        """Maximise the likelihood or the posterior density, each evaluation of which is a sum over the shards.

        The sums are taken in the order of the shards, and the modes of each cluster are searched for anew at each
        evaluation: results are the same to the last bit for any number of workers.

        Parameters
        ----------
        engine : Laplace or AGQ or MAP or str
            ``"laplace"``, ``"agq"``, ``"map"``, ``hl.Laplace()``, ``hl.AGQ(nodes=9)`` or ``hl.MAP()``. Their options
            ``draws`` and ``seed`` have no effect, as no draws are made; tests of the fixed effects use the normal
            distribution.
        executor : concurrent.futures.Executor or distributed.Client, optional
            Where the shards are evaluated; in this process if not given. Its workers must be able to read the folder
            of the shards, and keep the rows of those that they have evaluated.
        store : str or path, optional
            A file to which each round of the search is written, some kilobytes in all. If it exists, the same call goes
            on where the one that wrote it ended, and finds the same to the last bit.

        Returns
        -------
        ShardedFit

        Raises
        ------
        EngineError
            For other engines, restricted likelihoods, and random effects that quadrature cannot integrate out.
        StudyError
            If the executor cannot run the evaluations, or `store` is damaged, belongs to another fit or cannot be
            written.
        KeyboardInterrupt
            If it is interrupted; the message names the round that was reached.

        Examples
        --------
        >>> import tempfile
        >>> import hierlogit as hl
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     rows = hl.datasets.load("contraception")
        ...     shards = hl.Shards.write(rows, f"{folder}/shards", group="district", shards=4)
        ...     fit = shards.model("use ~ urban + (1 + urban | district)").fit("laplace")
        >>> round(fit.estimate.log_likelihood, 2)
        -1243.43
        """
        check_executor(executor)
        chosen = _search_engine(engine)
        stages = Stages("start")
        reference = self._reference
        nodes = 1 if isinstance(chosen, Laplace) else chosen.nodes
        approach = replace(
            Approach.of_posterior(type(chosen).__name__, reference.design, nodes), penalised=isinstance(chosen, MAP)
        )
        objective = self.objective(nodes, executor, penalised=approach.penalised)
        rounds = Rounds.of(store, self._study(approach))
        with steps("Fitting shards") as show:
            objective.follow(rounds, show)
            try:
                start = starting_point(objective, objective.sums.plain_regression(nodes))
                stages.begin("search")
                found = bounded(objective, maximise(objective, *start))
                estimate = estimate_without_modes(approach, objective, found.optimum, self.rows)
                about_search = self._findings(objective, found, estimate, approach)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(objective.interrupted) from None
            except LostWorkerError as error:
                raise StudyError(f"{error} {objective.interrupted}.") from error
        findings = (*about_search, *self._findings_of_columns(objective))
        seconds = stages.end()
        if text := warning_text(about_search):
            warn(text, ConvergenceWarning)
        diagnostics = Diagnostics(
            engine=approach.engine,
            exact=False,
            status=status_of(findings),
            findings=findings,
            settings={"nodes": nodes} if nodes > 1 else {},
            measures={
                "evaluations": float(objective.evaluations),
                "gradient_norm": found.optimum.gradient_norm,
                "possible_gain": found.optimum.possible_gain,
            },
            seconds=seconds,
            versions=versions("scipy", "numba"),
        )
        return ShardedFit(self, estimate, diagnostics, self._sums)

    def _study(self, approach: Approach) -> dict[str, Any]:
        """What identifies a search: a file of rounds of another one is refused."""
        moments = hashlib.sha256()
        for numbers in (self._sums.triangular, *(group.column_sds for group in self._spec.design.groups)):
            # The last digits can differ between machines.
            moments.update(" ".join(f"{value:.6g}" for value in numbers.ravel()).encode())
        manifest = json.dumps(asdict(self.manifest), sort_keys=True, default=str)
        counts = [self.rows, *(len(group.levels) for group in self._spec.design.groups)]
        totals = [float(sum(getattr(part, name) for part in self._parts)) for name in ("events", "trials")]
        return {
            "formula": self._spec.formula.text,
            "engine": f"{approach.engine}(nodes={approach.nodes})",
            "priors": dict(self.stated_priors()) if approach.penalised else {},
            "shards": hashlib.sha256(manifest.encode()).hexdigest(),
            "rows": [*counts, *totals],
            "moments": moments.hexdigest(),
        }

    def _findings_of_columns(self, objective: ShardedObjective) -> Iterator[Finding]:
        """What the rows cannot tell, and priors that contradict each other, as far as moments and counts show it."""
        single = [group.name for group in objective.single_trials]
        yield from map(single_trials_finding, objective.single_trials)
        for group in self._spec.design.groups:
            if group.name not in single:
                yield from findings_of_columns(group)
                if objective.penalised:
                    yield from contradicting_priors(group, self._spec.priors.sd[group.name])

    def _findings(
        self, objective: ShardedObjective, found: Bounded, estimate: Estimate, approach: Approach
    ) -> tuple[Finding, ...]:
        """What the search and finer quadrature tell."""
        findings = optimum_findings(objective, found, estimate)
        psi, reference = found.optimum.point.psi, self._reference
        nodes = finer_nodes(approach.nodes, int(objective.likelihood.arrangement.row_index.q[0]))
        try:
            integrator(reference.design, nodes)
        except EngineError:
            return tuple(findings)
        refined = objective.evaluate_with(nodes, psi)
        fitted = objective.evaluate(psi)
        findings += inaccurate_integration(approach, nodes, found.optimum.covariance, fitted, refined)
        return tuple(findings)


def _search_engine(engine: Engine | str) -> Laplace | AGQ | MAP:
    chosen = resolve_engine(engine)
    if not isinstance(chosen, (Laplace, AGQ, MAP)):
        raise EngineError(
            "models of shards are fitted by hl.Laplace(), hl.AGQ() and hl.MAP(), and the engine is "
            f"hl.{type(chosen).__name__}(). Other engines need hl.Model, which takes all rows at once."
        )
    if isinstance(chosen, MAP):
        return chosen
    if chosen.restricted:
        raise EngineError("restricted=True is not available for models of shards, as it needs hl.Model. Leave it out.")
    if chosen.df == "between-within":
        raise EngineError(
            "df='between-within' is not available for models of shards, whose tests use the normal distribution. Leave "
            "it out, or use hl.Model."
        )
    return chosen
