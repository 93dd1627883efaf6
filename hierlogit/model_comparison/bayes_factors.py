"""Bayes factors and posterior probabilities of models, and how they change with the scales of the priors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd

from ..density.unbounded_variables import UnboundedVariables
from ..display import Facts, Sentences, Table, View
from ..engines.maximum.integrator import MOST_NODES
from ..errors import FitError
from ..fits.arguments import NO_LIKELIHOOD, model_of, refuse_pooled, refuse_sampling_weights
from ..fits.posterior import parameter_labels
from ..fits.psis import khat_threshold
from ..formatting import number
from ..parallel.tasks import all_results
from ..parallel.workers import check_executor
from ..pictures import Picture, Pictured
from ..priors.families import Decov, Prior
from ..result_table import HasTables, ResultTable
from ..validation import (
    choice,
    mapping,
    number_array,
    quoted_list,
    real_number,
    seed_or_new,
    unknown_names,
    whole_number,
)
from .marginal_likelihood import (
    DEFAULT_SEED,
    LEAST_DRAWS,
    Evidence,
    computed_evidence,
    warn_if_inaccurate,
    warn_of_defaults,
)
from .nesting import refuse_other_rows

if TYPE_CHECKING:
    from ..fits.fit import Fit
    from ..model_spec import ModelSpec
    from ..parallel.workers import AnyExecutor

#: Scales of the priors of the parameters in which the models differ, as multiples of those of the models.
SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
#: Multiples that are allowed.
LEAST_SCALE, MOST_SCALE = 1e-3, 1e3
#: Parameters that are named.
MOST_NAMES = 8


class _Value(NamedTuple):
    log_evidence: float
    error: float
    pareto_k: float


@dataclass(frozen=True, repr=False)
class BayesFactors(HasTables, Pictured):
    """Bayes factors of models, relative to one of them.

    Attributes
    ----------
    table : ResultTable
        Indexed by ``model``, the most probable first: ``log_evidence`` with ``mcse_log_evidence``, ``bayes_factor``
        relative to the reference and its logarithm ``log_bayes_factor`` with its Monte Carlo error, ``probability`` (of
        the model given the data), ``pareto_k`` and ``method`` of integration.
    sensitivity : ResultTable
        Indexed by ``model`` and ``scale``, the multiple of the scales of the priors of the parameters in which the
        models differ: ``log_evidence``, ``log_bayes_factor`` with its error, ``bayes_factor``, ``probability`` and
        ``pareto_k``. Only a scale of 1 if they differ in no parameter whose prior has a scale.
    reference : str
        The model to which the Bayes factors are relative.
    parameters : tuple of str
        The parameters in which the models differ, and whose priors are scaled.
    evidence : mapping of str to Evidence
    """

    _picture: ClassVar[Picture] = Picture("bayes_factor")

    table: ResultTable
    sensitivity: ResultTable
    reference: str
    parameters: tuple[str, ...]
    evidence: Mapping[str, Evidence] = field(compare=False)

    def _view(self) -> View:
        facts = [("relative to", self.reference)]
        if self.parameters:
            rest = f" and {len(self.parameters) - MOST_NAMES:,} more" if len(self.parameters) > MOST_NAMES else ""
            facts.append(("differ in", f"{', '.join(self.parameters[:MOST_NAMES])}{rest}"))
        shown = self.table[["log_evidence", "mcse_log_evidence", "bayes_factor", "probability"]]
        parts = (Table.of(shown, ".table"), Facts(tuple(facts)), Sentences(tuple(self._remarks()), ".sensitivity"))
        return View("Bayes factors and probabilities of models", parts)

    def _remarks(self) -> list[str]:
        laplace = [name for name, one in self.evidence.items() if one.method == "Laplace"]
        remarks = []
        if laplace:
            remarks.append(
                f"The random effects of {quoted_list(laplace)} are integrated out by Laplace's method, whose error is "
                "not part of the Monte Carlo errors."
            )
        if not self.parameters:
            remarks.append("The models have the same parameters, correlations aside: there are no priors to scale.")
        others = self.sensitivity.drop(self.reference, level="model")
        for name in others.index.get_level_values("model").unique() if self.parameters else ():
            of_model = others.loc[name]
            factors = of_model["bayes_factor"]
            # Beyond the range of floats a Bayes factor is 0 or infinite, but its logarithm is known.
            column = "bayes_factor" if np.all((factors > 0) & np.isfinite(factors)) else "log_bayes_factor"
            low, high = of_model[column].min(), of_model[column].max()
            ends = of_model.index.min(), of_model.index.max()
            remarks.append(
                f"With the scales of these priors multiplied by {ends[0]:g} to {ends[1]:g}, the "
                f"{'log ' if column == 'log_bayes_factor' else ''}Bayes factor of "
                f"'{name}' lies between {number(low)} and {number(high)}."
            )
        return remarks


def bayes_factor(
    fits: Mapping[str, Fit | ModelSpec],
    *,
    reference: str | None = None,
    probabilities: Mapping[str, float] | None = None,
    scales: Any = SCALES,
    draws: int = 4096,
    nodes: int | None = None,
    seed: int | None = None,
    executor: AnyExecutor | None = None,
) -> BayesFactors:
    """Bayes factors and posterior probabilities of models of the same rows, with their sensitivity to the priors.

    A Bayes factor is the ratio of the probabilities that two models, with their priors, gave to the outcomes before
    these were seen. It depends on the priors of the parameters in which the models differ, also with many rows: a wider
    prior favours the model without the parameter. `sensitivity` therefore repeats it with other scales of these priors.

    Parameters
    ----------
    fits : mapping of str to Fit or Model
        Models by name, or fits of them by any engine.
    reference : str, optional
        The model to which Bayes factors are relative; the most probable one if not given.
    probabilities : mapping of str to float, optional
        Probabilities of the models before the data, or numbers in proportion to them; equal if not given.
    scales : sequence of float
        Multiples of the scales of the priors of all parameters that are not in every model. Correlations keep theirs.
    draws, nodes, seed
        As for `evidence`.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes the models, and the scales of their priors, over workers, as for `bootstrap`.

    Returns
    -------
    BayesFactors
        With ``table``, ``sensitivity`` and ``evidence``; `hierlogit.plots.bayes_factor` draws it.

    Raises
    ------
    FitError
        If the models are of different rows or outcomes, or an option is out of range.
    ModelError
        If one of `fits` is neither a fit nor a model.
    StudyError
        If the executor cannot run the integrations.

    Warns
    -----
    DataWarning
        If priors of parameters in which the models differ are the defaults.
    ConvergenceWarning
        If an evidence is not reliable; see `evidence`.

    Notes
    -----
    With other scales of the priors, the points at which the posterior density was computed are weighted anew. Where the
    Pareto k-hat of these weights is too large, the evidence is computed again.

    References
    ----------
    Kass and Raftery (1995), Journal of the American Statistical Association 90: 773-795.

    Examples
    --------
    >>> import hierlogit as hl
    >>> herds = hl.datasets.load("cbpp")
    >>> priors = {"Intercept": hl.priors.Normal(0, 1.5), "sd": hl.priors.HalfNormal(1)}
    >>> same = hl.Model("p(successes, size) ~ 1 + (1 | herd)", herds, priors=priors)
    >>> period = {**priors, "beta": hl.priors.Normal(0, 1)}
    >>> falling = hl.Model("p(successes, size) ~ period + (1 | herd)", herds, priors=period)
    >>> result = hl.bayes_factor({"same": same, "falling": falling}, reference="same", draws=1024)
    >>> result.table.index[0], bool(result.table.loc["falling", "bayes_factor"] > 100)
    ('falling', True)
    """
    what = "models or fits by name, {'one': fit1, 'two': fit2}"
    if not isinstance(fits, Mapping) or len(fits) < 2:
        raise FitError("bayes_factor needs two or more fits by name: hl.bayes_factor({'one': fit1, 'two': fit2}).")
    for name, fit in fits.items():
        refuse_pooled(fit, f"fits['{name}']", "The evidence is that")
    models = {name: model_of(value, f"fits['{name}']") for name, value in mapping("fits", fits, FitError, what).items()}
    for model in models.values():
        refuse_sampling_weights(model, "hl.bayes_factor", NO_LIKELIHOOD)
    refuse_other_rows({name: model.design for name, model in models.items()})
    if reference is not None:
        choice("reference", reference, tuple(models), FitError)
    prior = _prior_probabilities(models, probabilities)
    multiples = _checked_scales(scales)
    draws = whole_number("draws", draws, FitError, least=LEAST_DRAWS)
    count = None if nodes is None else whole_number("nodes", nodes, FitError, least=1, most=MOST_NODES)
    check_executor(executor)
    seed = DEFAULT_SEED if seed is None else seed_or_new(seed, FitError)
    task = _Evidences(tuple(models.values()), draws, count, seed)
    found = all_results(task, range(len(models)), executor, "Integrating models")
    results = dict(zip(models, found.values(), strict=True))
    # The priors of parameters that all models have hardly matter for the ratios.
    differing = _differing(models)
    of_defaults = dict.fromkeys(label for one in results.values() for label in one.default_priors)
    warn_of_defaults([label for label in of_defaults if label in differing])
    warn_if_inaccurate(results)
    return _assembled(models, results, prior, reference, multiples, executor)


def _assembled(
    models: Mapping[str, ModelSpec],
    results: Mapping[str, Evidence],
    prior: Mapping[str, float],
    reference: str | None,
    scales: Sequence[float],
    executor: AnyExecutor | None,
) -> BayesFactors:
    values = {name: _Value(one.log_evidence, one.mcse, one.pareto_k) for name, one in results.items()}
    order = sorted(models, key=lambda name: -(values[name].log_evidence + np.log(prior[name])))
    base = order[0] if reference is None else reference
    table = _compared(values, prior, base).assign(method=[one.method for one in results.values()])
    differing = _differing(models)
    labels = dict.fromkeys(label for model in models.values() for label in parameter_labels(model.design))
    # Correlations, which have no scale, keep their priors.
    scaled = tuple(label for label in labels if label in differing and not label.startswith("cor_"))
    task = _Scaled(tuple(results.values()), differing, tuple(scales) if scaled else (1.0,))
    found = all_results(task, range(len(task)), executor, "Scaling priors")
    blocks = {
        scale: _compared({name: found[task.number(k, one)] for one, name in enumerate(results)}, prior, base)
        for k, scale in enumerate(task.scales)
    }
    sensitivity = pd.concat(blocks, names=["scale"]).swaplevel().loc[order]
    return BayesFactors(
        ResultTable.of(table.loc[order], f"Evidence of models, Bayes factors relative to '{base}'"),
        ResultTable.of(sensitivity, f"Bayes factors relative to '{base}', by the scales of the priors"),
        base,
        scaled,
        results,
    )


@dataclass(frozen=True)
class _Evidences:
    """Task that computes the evidence of one of several models; the other attributes are as for `computed_evidence`.

    Attributes
    ----------
    models : tuple of ModelSpec
    draws, nodes, seed
    """

    models: tuple[ModelSpec, ...]
    draws: int
    nodes: int | None
    seed: int

    def __call__(self, number: int) -> Evidence:
        """The evidence of model `number`."""
        return computed_evidence(self.models[number], self.draws, self.nodes, self.seed)


@dataclass(frozen=True)
class _Scaled:
    """Task that computes the evidence of one model with one of the scales of the priors.

    Attributes
    ----------
    results : tuple of Evidence
    differing : frozenset of str
        Labels of the parameters whose priors are scaled.
    scales : tuple of float
    """

    results: tuple[Evidence, ...]
    differing: frozenset[str]
    scales: tuple[float, ...]

    def __len__(self) -> int:
        """Number of models times that of scales."""
        return len(self.results) * len(self.scales)

    def number(self, scale: int, model: int) -> int:
        """Number of the task of a scale and a model."""
        return scale * len(self.results) + model

    def __call__(self, number: int) -> _Value:
        """Log evidence, its error and the Pareto k-hat."""
        scale, model = divmod(number, len(self.results))
        return _scaled(self.results[model], self.differing, self.scales[scale])


def _prior_probabilities(models: Mapping[str, ModelSpec], given: Mapping[str, float] | None) -> dict[str, float]:
    if given is None:
        return dict.fromkeys(models, 1 / len(models))
    numbers = mapping("probabilities", given, FitError, "numbers by model, {'one': 0.5, 'two': 0.5}")
    unknown = [name for name in numbers if name not in models]
    if unknown:
        raise FitError(unknown_names("probabilities", unknown, list(models), "model", "fits"))
    missing = [name for name in models if name not in numbers]
    if missing:
        raise FitError(f"probabilities has no number for {quoted_list(missing)}: give one for each model.")
    positive = {name: real_number(f"probabilities['{name}']", numbers[name], FitError, above=0) for name in models}
    total = sum(positive.values())
    return {name: value / total for name, value in positive.items()}


def _checked_scales(scales: Any) -> list[float]:
    values = number_array("scales", scales, FitError, "multiples of the scales of priors, (0.5, 1, 2)")
    wrong = [float(value) for value in values.ravel() if not LEAST_SCALE <= value <= MOST_SCALE]
    if values.ndim != 1 or not len(values) or wrong:
        shown = f"has {quoted_list(wrong)}" if wrong else f"has the shape {values.shape}"
        raise FitError(
            f"scales {shown}; it must be a list of one or more multiples from {LEAST_SCALE:g} to {MOST_SCALE:,.0f}."
        )
    return sorted({float(value) for value in values} | {1.0})


def _differing(models: Mapping[str, ModelSpec]) -> frozenset[str]:
    """Labels of the parameters that are not in every model."""
    labels = [frozenset(parameter_labels(model.design)) for model in models.values()]
    return labels[0].union(*labels) - labels[0].intersection(*labels)


def _scaled(result: Evidence, differing: frozenset[str], scale: float) -> _Value:
    """Log evidence, its error and the Pareto k-hat with other scales of the priors of some parameters."""
    changed = _with_scales(result.model, differing, scale)
    if scale == 1 or changed is None:
        return _Value(result.log_evidence, result.mcse, result.pareto_k)
    points = result.integral.points
    log_priors = [UnboundedVariables(model).log_prior(points) for model in (changed, result.model)]
    again = result.integral.of_density_times(log_priors[0] - log_priors[1])
    if again.pareto_k <= khat_threshold(len(points)):
        return _Value(again.log_value, again.error, again.pareto_k)
    anew = computed_evidence(changed, result.draws, result.nodes, result.seed)
    return _Value(anew.log_evidence, anew.mcse, anew.pareto_k)


def _with_scales(model: ModelSpec, differing: frozenset[str], scale: float) -> ModelSpec | None:
    """The model with other scales of the priors of some of its parameters; None if it has none of these."""
    priors: dict[str, Prior] = {}
    for label, prior in model.priors.fixed.items():
        if label in differing:
            priors[f"beta[{label}]"] = prior.widened(scale)
    for group in model.design.groups:
        for effect, of_sd in zip(group.effects, model.priors.sd[group.name], strict=True):
            label = f"sd_{group.result_name}[{effect}]"
            if label in differing:
                # A joint prior is that of all effects of the factor.
                key = f"sd_{group.result_name}" if isinstance(of_sd, Decov) else label
                priors[key] = of_sd.widened(scale)
    return model.with_priors(priors) if priors else None


def _compared(values: Mapping[str, _Value], prior: Mapping[str, float], base: str) -> pd.DataFrame:
    """Bayes factors relative to the model `base`, and posterior probabilities."""
    table = pd.DataFrame(list(values.values()), index=pd.Index(list(values), name="model"))
    log_evidence, error = table["log_evidence"], table["error"]
    posterior = log_evidence + np.log([prior[name] for name in table.index])
    probability = np.exp(posterior - posterior.max())
    log_factor = log_evidence - log_evidence[base]
    with np.errstate(over="ignore"):
        factor = np.exp(log_factor)
    return pd.DataFrame(
        {
            "log_evidence": log_evidence,
            "mcse_log_evidence": error,
            "log_bayes_factor": log_factor,
            "mcse_log_bayes_factor": np.where(table.index == base, 0.0, np.hypot(error, error[base])),
            "bayes_factor": factor,
            "probability": probability / probability.sum(),
            "pareto_k": table["pareto_k"],
        }
    )
