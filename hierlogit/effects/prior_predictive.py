"""Parameters drawn from the priors of a model, and outcomes simulated from them."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from threading import Lock

import xarray as xr

from ..errors import PredictionError
from ..fits.arguments import require_model
from ..fits.posterior import posterior_layout, values_per_draw
from ..model_spec import ModelSpec
from ..validation import refuse_beyond_memory, seed_or_none, whole_number

#: Held while the settings of logs and warnings are changed: they are shared by all threads.
_SETTINGS_LOCK = Lock()


@contextlib.contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Silence a library's log messages below warnings, and PyTensor's warning about BLAS, for one thread at a time."""
    log = logging.getLogger(logger)
    with _SETTINGS_LOCK, warnings.catch_warnings():
        before = log.level
        log.setLevel(logging.WARNING)
        warnings.filterwarnings("ignore", "PyTensor could not link to a BLAS", UserWarning)
        try:
            yield
        finally:
            log.setLevel(before)


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
    import pymc as pm

    from ..density.pymc_graph import build_graph

    with build_graph(model), quiet("pymc"):
        # Optimising the compiled graph would take longer than the draws themselves.
        drawn = pm.sample_prior_predictive(draws=draws, random_seed=seed, compile_kwargs={"mode": "FAST_COMPILE"})
    prior = drawn["prior"].to_dataset()[list(posterior_layout(model))]
    return xr.DataTree.from_dict(
        {
            "prior": prior.drop_vars([name for name in prior.coords if name not in prior.dims]),
            "prior_predictive": drawn["prior_predictive"].to_dataset(),
            "observed_data": drawn["observed_data"].to_dataset(),
        }
    )
