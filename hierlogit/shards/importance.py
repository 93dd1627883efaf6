"""Importance sampling of the posterior of a model of shards, by rounds that evaluate many proposed vectors."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ..engines.importance.finished_fit import CHECKED, Options, chosen_draws, findings_of_measures, measures_of
from ..engines.importance.nodes import changes_by_nodes, fewest_nodes
from ..engines.importance.proposal import at_mode
from ..engines.importance.weighting import propose
from ..engines.stages import Stages
from ..errors import ConvergenceWarning, EngineError, StudyError, warn
from ..fits.diagnostics import Diagnostics, versions
from ..fits.findings import Finding, status_of, warning_text
from ..fits.psis import khat_threshold
from ..parallel.workers import LostWorkerError
from ..progress import shown, steps
from ..validation import quoted_list, seed_or_new
from .draws import ShardedPosterior
from .summed_posterior import Counted, SummedPosterior

if TYPE_CHECKING:
    from ..engines.importance.importance_sampling import ImportanceSampling
    from ..engines.importance.weighting import Weighted
    from ..parallel.workers import AnyExecutor
    from .rounds import Rounds
    from .spec import ShardedSpec


def sample(
    model: ShardedSpec, engine: ImportanceSampling, executor: AnyExecutor | None, rounds: Rounds
) -> ShardedPosterior:
    """Draws of the posterior of a model of shards.

    The same as in memory, up to rounding: nodes, proposal, weights and choice of draws follow from the same densities.

    Parameters
    ----------
    model : ShardedModel
    engine : ImportanceSampling
    executor : concurrent.futures.Executor, distributed.Client or None
    rounds : Rounds

    Raises
    ------
    EngineError
        If quadrature cannot integrate out the random effects.
    KeyboardInterrupt
        If it is interrupted; the message names the round that was reached.
    """
    if model.crossing:
        raise EngineError(
            f"importance sampling integrates the effects out by quadrature, and those of "
            f"{quoted_list(list(model.crossing))} cross the shards, so that clusters of the others depend on each "
            "other: use hl.MAP(), which is exact up to Laplace's approximation, or hl.Model with hl.NUTS()."
        )
    stages = Stages("locate")
    with shown(engine.progress), steps("Sampling shards") as show:
        counted = Counted(show)

        @cache
        def posterior(nodes: int) -> SummedPosterior:
            plain, penalised = (model.objective(nodes, executor, penalised=with_prior) for with_prior in (False, True))
            for objective in (plain, penalised):
                objective.follow(rounds, counted)
            return SummedPosterior(plain, penalised, counted)

        try:
            nodes = fewest_nodes(posterior) if engine.nodes is None else engine.nodes
            options = Options(engine.draws, nodes, seed_or_new(engine.seed, EngineError), 1, engine.progress)
            proposal = at_mode(posterior(nodes))
            stages.begin("weigh")
            *_, weighted = propose(posterior(nodes).log_densities, proposal, options.draws, options.seeds()[0])
            x = chosen_draws(weighted, options)
            stages.begin("check")
            measures = measures_of(weighted, changes_by_nodes(posterior, nodes, x[:CHECKED]))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_interrupted(counted, rounds)) from None
        except LostWorkerError as error:
            raise StudyError(f"{error} {_interrupted(counted, rounds)}.") from error
    about_draws = (*_unreliable(weighted), *findings_of_measures(measures, nodes, ""))
    findings = (*about_draws, *model.findings_of_columns(penalised=True))
    if text := warning_text(about_draws):
        warn(text, ConvergenceWarning)
    diagnostics = Diagnostics(
        engine="ImportanceSampling",
        exact=True,
        status=status_of(findings),
        findings=findings,
        settings={"draws": options.draws, "nodes": nodes},
        seed=options.seed,
        measures={**measures, "rounds": float(counted.rounds)},
        seconds=stages.end(),
        versions=versions("arviz", "scipy", "numba"),
    )
    return ShardedPosterior(model, posterior(nodes).psi(x), diagnostics)


def _interrupted(counted: Counted, rounds: Rounds) -> str:
    """How far sampling got that is interrupted now."""
    reached = f"after round {counted.rounds}, {counted.state}" if counted.rounds else "before its first round"
    return f"sampling of the shards was interrupted {reached}; {rounds.stored}"


def _unreliable(weighted: Weighted) -> list[Finding]:
    """A finding about weights that are not reliable."""
    limit = khat_threshold(len(weighted.x))
    if weighted.pareto_k <= limit:
        return []
    return [
        Finding(
            "unreliable_weights",
            "error",
            f"The Pareto k-hat of the importance weights is {weighted.pareto_k:.2f}; it should be at most {limit:.2f}. "
            "The draws may miss part of the posterior.",
            "Propose more draws, or use narrower priors of the sds and of what the data hardly tell; hl.MAP() gives "
            "the mode.",
        )
    ]
