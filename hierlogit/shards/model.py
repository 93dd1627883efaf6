"""The class `ShardedModel`: a formula and shards, fitted by a search with one round of evaluations at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, overload

from ..engines.importance.importance_sampling import ImportanceSampling
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
from ..parallel.workers import AnyExecutor, LostWorkerError, check_executor
from ..progress import steps
from ..validation import seed_or_new
from .draws import ShardedPosterior
from .fit import ShardedFit
from .importance import sample
from .objective import ShardedObjective
from .rounds import Rounds
from .spec import ShardedSpec

if TYPE_CHECKING:
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

    @overload
    def fit(
        self,
        engine: Laplace | AGQ | MAP | Literal["laplace", "agq", "map"] = "laplace",
        *,
        executor: AnyExecutor | None = None,
        store: str | PathLike[str] | None = None,
    ) -> ShardedFit: ...

    @overload
    def fit(
        self,
        engine: ImportanceSampling | Literal["importance"],
        *,
        executor: AnyExecutor | None = None,
        store: str | PathLike[str] | None = None,
    ) -> ShardedPosterior: ...

    @overload
    def fit(
        self, engine: Engine | str, *, executor: AnyExecutor | None = None, store: str | PathLike[str] | None = None
    ) -> ShardedFit | ShardedPosterior: ...

    def fit(
        self,
        engine: Engine | str = "laplace",
        *,
        executor: AnyExecutor | None = None,
        store: str | PathLike[str] | None = None,
    ) -> ShardedFit | ShardedPosterior:
        """Maximise the likelihood or the posterior density, or sample the posterior, by sums over the shards.

        The sums are taken in the order of the shards, and the modes of each cluster are searched for anew at each
        evaluation: results are the same to the last bit for any number of workers.

        Parameters
        ----------
        engine : Laplace or AGQ or MAP or ImportanceSampling or str
            ``"laplace"``, ``"agq"``, ``"map"``, ``hl.Laplace()``, ``hl.AGQ(nodes=9)`` or ``hl.MAP()``. Their options
            ``draws`` and ``seed`` have no effect, as no draws are made; tests of the fixed effects use the normal
            distribution. ``"importance"`` or ``hl.ImportanceSampling(seed=1)`` samples the posterior of the parameters:
            a round evaluates hundreds of proposed vectors in each shard. Its option ``cores`` has no effect.
        executor : concurrent.futures.Executor or distributed.Client, optional
            Where the shards are evaluated; in this process if not given. Its workers must be able to read the folder
            of the shards, and keep the rows of those that they have evaluated.
        store : str or path, optional
            A file to which each round is written, some kilobytes in all. If it exists, the same call goes on where the
            one that wrote it ended, and finds the same to the last bit. Importance sampling needs a seed for this.

        Returns
        -------
        ShardedFit or ShardedPosterior
            The maximum; by importance sampling, draws of the posterior.

        Raises
        ------
        EngineError
            For other engines, restricted likelihoods, and random effects that quadrature cannot integrate out, which
            for importance sampling are those of factors that cross the shards too.
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
        chosen = resolve_engine(engine)
        if isinstance(chosen, ImportanceSampling):
            return self._sampled(chosen, executor, store)
        return self._maximised(_search_engine(chosen), executor, store)

    def _sampled(
        self, engine: ImportanceSampling, executor: AnyExecutor | None, store: str | PathLike[str] | None
    ) -> ShardedPosterior:
        if store is not None and engine.seed is None:
            raise EngineError(
                "store= keeps the rounds of draws that a seed repeats, and there is none: pass one, "
                "hl.ImportanceSampling(seed=1)."
            )
        seeded = replace(engine, seed=seed_or_new(engine.seed, EngineError))
        options = f"draws={seeded.draws}, nodes={seeded.nodes}, seed={seeded.seed}"
        study = self.study(f"ImportanceSampling({options})", penalised=True)
        return sample(self, seeded, executor, Rounds.of(store, study))

    def _maximised(
        self, chosen: Laplace | AGQ | MAP, executor: AnyExecutor | None, store: str | PathLike[str] | None
    ) -> ShardedFit:
        stages = Stages("start")
        reference = self._reference
        nodes = 1 if isinstance(chosen, Laplace) else chosen.nodes
        penalised = isinstance(chosen, MAP)
        # Refuses effects that quadrature cannot integrate out, and names the engines that shards have for them.
        objective = self.objective(nodes, executor, penalised=penalised)
        approach = replace(Approach.of_posterior(type(chosen).__name__, reference.design, nodes), penalised=penalised)
        study = self.study(f"{approach.engine}(nodes={approach.nodes})", penalised=approach.penalised)
        rounds = Rounds.of(store, study)
        with steps("Fitting shards") as show:
            objective.follow(rounds, show)
            try:
                start = starting_point(objective, objective.plain_regression())
                stages.begin("search")
                found = bounded(objective, maximise(objective, *start))
                estimate = estimate_without_modes(approach, objective, found.optimum, self.rows)
                about_search = self._findings(objective, found, estimate, approach)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(objective.interrupted) from None
            except LostWorkerError as error:
                raise StudyError(f"{error} {objective.interrupted}.") from error
        findings = (*about_search, *self.findings_of_columns(penalised=approach.penalised))
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
        covariance = found.optimum.covariance
        findings += inaccurate_integration(approach, nodes, covariance, fitted, refined, objective.sampler)
        return tuple(findings)


def _search_engine(chosen: Engine) -> Laplace | AGQ | MAP:
    if not isinstance(chosen, (Laplace, AGQ, MAP)):
        raise EngineError(
            "models of shards are fitted by hl.Laplace(), hl.AGQ(), hl.MAP() and hl.ImportanceSampling(), and the "
            f"engine is hl.{type(chosen).__name__}(). Other engines need hl.Model, which takes all rows at once."
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
