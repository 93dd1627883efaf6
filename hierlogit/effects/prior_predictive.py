"""Parameters drawn from the priors of a model, and outcomes simulated from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..binomial import simulated_successes
from ..density.linear_predictor import Draws, linear_predictor
from ..design.grouping import GroupBlock
from ..errors import PredictionError
from ..fits.arguments import require_model
from ..fits.posterior import posterior_of_arrays, values_per_draw
from ..model_spec import ModelSpec
from ..priors.families import Decov, ScalePrior
from ..validation import refuse_beyond_memory, seed_or_none, whole_number

FloatArray = npt.NDArray[np.float64]


def prior_predictive(model: ModelSpec, *, draws: int = 500, seed: int | None = None) -> xr.DataTree:
    """Parameters drawn from the priors, and outcomes simulated from them for the rows of the model.

    Parameters
    ----------
    model : Model
    draws : int
        How many draws to make.
    seed : int, optional
        Makes the draws reproducible.

    Returns
    -------
    xarray.DataTree
        Groups ``prior`` (``beta``, ``sd_<group>``, ``cor_<group>``, ``b_<group>``), ``prior_predictive`` with the
        outcome, and ``observed_data``; dims (chain, draw, ...) with one chain.

    Raises
    ------
    PredictionError
        If `draws` is not a whole number of at least 1.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
    >>> hl.prior_predictive(model, draws=20, seed=1).prior_predictive["y"].shape
    (1, 20, 220)
    """
    require_model(model)
    draws = whole_number("draws", draws, PredictionError, least=1)
    seed = seed_or_none("seed", seed, PredictionError)
    refuse_beyond_memory("draws", draws, values_per_draw(model) + model.design.n_rows, PredictionError)
    random = np.random.default_rng(seed)
    with np.errstate(over="ignore", invalid="ignore"):  # of priors with extremely heavy tails
        drawn = draws_of_priors(model, draws, random)
        outcomes = _outcomes(model, drawn, random)
    observed, rows = model.design.outcome.y.astype(np.int64), {"obs": model.coords["obs"]}
    predicted = {model.outcome_name: (("chain", "draw", "obs"), outcomes[None])}
    places = {"chain": [0], "draw": range(draws)}
    return xr.DataTree.from_dict(
        {
            "prior": posterior_of_arrays(model, drawn.beta, drawn.cholesky, drawn.effects, drawn.phi),
            "prior_predictive": xr.Dataset(predicted, coords=places | rows),
            "observed_data": xr.Dataset({model.outcome_name: ("obs", observed)}, coords=rows),
        }
    )


def draws_of_priors(model: ModelSpec, count: int, random: np.random.Generator) -> Draws:
    """Independent draws of the parameters and cluster effects of a model from their priors.

    Parameters
    ----------
    model : Model
    count : int
    random : numpy.random.Generator
    """
    design, priors = model.design, model.priors
    columns = [priors.fixed[label].draw(random, count) for label in design.fixed_effects]
    beta = np.stack(columns, axis=1) if columns else np.empty((count, 0))
    if design.has_intercept:
        # The prior is that of the log-odds where all columns are at their means.
        place = design.fixed_effects.index("Intercept")
        beta[:, place] -= np.delete(beta, place, axis=1) @ np.delete(design.column_means, place)
    cholesky, effects = {}, {}
    for group in design.groups:
        L = _cholesky(model, group, count, random)
        u = random.standard_normal((count, len(group.levels), len(group.effects)))
        cholesky[group.name], effects[group.name] = L, u @ L.transpose(0, 2, 1)
    return Draws(beta, effects, cholesky, None if priors.phi is None else priors.phi.draw(random, count))


def _cholesky(model: ModelSpec, group: GroupBlock, count: int, random: np.random.Generator) -> FloatArray:
    """Cholesky factors of the covariance matrices of a factor's effects, shape (count, q, q)."""
    priors, L = model.priors.sd[group.name], np.zeros((count, *[len(group.effects)] * 2))
    for members, part in zip(group.sets, group.set_slices, strict=True):
        sd = _sds(priors[part], count, random)
        correlations = np.ones((count, 1, 1))
        if len(members) > 1:
            correlations = model.priors.cor[group.name].draw_cholesky(random, count, len(members))
        L[:, part, part] = sd[:, :, None] * correlations
    return L


def _sds(priors: Sequence[ScalePrior], count: int, random: np.random.Generator) -> FloatArray:
    """Standard deviations of a set of effects, shape (count, effects)."""
    if isinstance(priors[0], Decov) and len(priors) > 1:
        return priors[0].draw_jointly(random, count, len(priors))
    return np.stack([prior.draw(random, count) for prior in priors], axis=1)


def _outcomes(model: ModelSpec, drawn: Draws, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Outcomes of the rows of a model, shape (draws, n)."""
    from scipy.special import expit

    rows, trials = model.design.training_rows(), model.design.outcome.trials
    outcomes = np.empty((len(drawn), len(trials)), dtype=np.int64)
    for part, some in drawn.chunks(len(trials)):
        outcomes[part] = simulated_successes(expit(linear_predictor(some, rows)), trials, random, some.phi)
    return outcomes
