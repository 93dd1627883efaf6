"""Linear predictors of rows for posterior draws, and the pointwise log-likelihood, computed when it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..design.design import EncodedRows
from ..design.grouping import GroupBlock
from ..model_spec import ModelSpec
from .outcome_likelihood import log_likelihood

if TYPE_CHECKING:
    import xarray as xr

    from ..estimate import Estimate

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: How many numbers are computed at once, which limits temporary arrays to 64 MiB.
CHUNK_SIZE = 2**23
#: Values of a temporary array that stays in the processor's cache (2 MiB).
CACHED = 2**18
#: Distance of points on either side of a maximum, for central differences, relative to standard deviations.
STEP = 1e-3


@dataclass(frozen=True)
class Draws:
    """Posterior draws as arrays, with the chains concatenated.

    Attributes
    ----------
    beta : ndarray, shape (draws, p)
        Fixed effects.
    effects : mapping of str to ndarray, shape (draws, J, q)
        Random effects ``b_<group>`` by grouping factor.
    cholesky : mapping of str to ndarray, shape (draws, q, q)
        Cholesky factors ``L`` of the effects' covariance matrices, ``Sigma = L L'``, by grouping factor.
    phi : ndarray, shape (draws,), or None
        Precision of beta-binomial outcomes, infinite where they are binomial; None for binomial models.
    """

    beta: FloatArray
    effects: Mapping[str, FloatArray]
    cholesky: Mapping[str, FloatArray]
    phi: FloatArray | None = None

    @classmethod
    def of(cls, model: ModelSpec, posterior: xr.Dataset) -> Draws:
        """The draws of a posterior group."""
        groups = model.design.groups
        effects = {group.name: _flat(posterior[f"b_{group.result_name}"]) for group in groups}
        cholesky = {group.name: _covariance_cholesky(group, posterior) for group in groups}
        count = posterior.sizes["chain"] * posterior.sizes["draw"]
        beta = _flat(posterior["beta"]) if "beta" in posterior else np.empty((count, 0))
        return cls(beta, effects, cholesky, _flat(posterior["phi"]) if model.overdispersed else None)

    @classmethod
    def at(cls, estimate: Estimate) -> Draws:
        """A single draw: the maximum of a likelihood fit, with the conditional modes of the effects."""
        modes = {name: values[None] for name, values in estimate.modes.items()}
        phi = None if estimate.phi is None else np.array([estimate.phi])
        return cls(estimate.beta[None], modes, {name: L[None] for name, L in estimate.cholesky.items()}, phi)

    @classmethod
    def around(cls, estimate: Estimate, step: float = STEP) -> Draws:
        """Points on either side of the maximum of a likelihood fit, `step` times each of the estimate's `deviations`.

        First all points on one side, then those on the other. The effects are at their conditional modes.
        """
        p, steps = len(estimate.beta), step * estimate.deviations()
        steps = np.concatenate([steps, -steps])
        cholesky = {name: np.repeat(L[None], len(steps), axis=0) for name, L in estimate.cholesky.items()}
        for k, (name, a, b) in enumerate(estimate.entries):
            cholesky[name][:, a, b] += steps[:, p + k]
        modes = {name: np.broadcast_to(values, (len(steps), *values.shape)) for name, values in estimate.modes.items()}
        phi = None
        if estimate.phi is not None:
            with np.errstate(divide="ignore"):
                phi = (estimate.phi**-0.5 + steps[:, -1]) ** -2.0
        return cls(estimate.beta + steps[:, :p], modes, cholesky, phi)

    def __len__(self) -> int:
        return len(self.beta)

    def __getitem__(self, chosen: slice | npt.NDArray[np.intp]) -> Draws:
        return Draws(
            self.beta[chosen],
            {name: values[chosen] for name, values in self.effects.items()},
            {name: values[chosen] for name, values in self.cholesky.items()},
            None if self.phi is None else self.phi[chosen],
        )

    def extended(self, effects: Mapping[str, FloatArray]) -> Draws:
        """The draws with effects of further clusters, shape (draws, clusters, q), appended by grouping factor."""
        longer = {name: np.concatenate([self.effects[name], new], axis=1) for name, new in effects.items()}
        return replace(self, effects={**self.effects, **longer})

    def chunks(self, rows: int) -> Iterator[tuple[slice, Draws]]:
        """Parts of the draws for which linear predictors of `rows` rows fit the chunk size, each with its slice."""
        step = max(1, CHUNK_SIZE // max(rows, 1))
        for start in range(0, len(self), step):
            part = slice(start, min(start + step, len(self)))
            yield part, self[part]


def _flat(values: xr.DataArray) -> FloatArray:
    array = values.transpose("chain", "draw", ...).to_numpy()
    return array.reshape(-1, *array.shape[2:])


def _covariance_cholesky(group: GroupBlock, posterior: xr.Dataset) -> FloatArray:
    name = group.result_name
    sd = _flat(posterior[f"sd_{name}"])
    cholesky = np.zeros((*sd.shape, sd.shape[1]))
    correlations = _flat(posterior[f"cor_{name}"]) if group.correlated else None
    for members, part in zip(group.sets, group.set_slices, strict=True):
        if correlations is None or len(members) == 1:
            cholesky[:, part, part] = sd[:, part, None]
        else:
            cholesky[:, part, part] = sd[:, part, None] * correlation_cholesky(correlations[:, part, part])
    return cholesky


def correlation_cholesky(R: FloatArray) -> FloatArray:
    """Cholesky factors of correlation matrices, including singular ones, for draws at the boundary."""
    L = np.zeros_like(R)
    for i in range(R.shape[-1]):
        for j in range(i):
            rest = R[:, i, j] - np.einsum("sk,sk->s", L[:, i, :j], L[:, j, :j])
            L[:, i, j] = np.divide(rest, L[:, j, j], out=np.zeros_like(rest), where=L[:, j, j] > 0)
        L[:, i, i] = np.sqrt(np.maximum(R[:, i, i] - np.sum(L[:, i, :i] ** 2, axis=1), 0.0))
    return L


def linear_predictor(draws: Draws, rows: EncodedRows) -> FloatArray:
    """Linear predictor of each draw and row, shape (draws, n).

    A row whose cluster has no effects (index -1) gets none from that factor.
    """
    eta = draws.beta @ rows.X.T
    eta += rows.offset
    for name, group in rows.groups.items():
        add_effects(eta, draws.effects[name], group.index, group.Z)
    return eta


def add_effects(eta: FloatArray, effects: FloatArray, index: npt.NDArray[np.intp], Z: FloatArray) -> None:
    """Add ``z_i' b[index_i]`` to `eta` in place, for the rows whose index is not negative."""
    known = np.flatnonzero(index >= 0)
    if not known.size:
        return
    rows: IntArray | slice = known
    clusters = index[known]
    if 2 * known.size > len(index):  # adding zeros to the other rows is quicker than leaving them out
        rows, clusters = slice(None), index
        if known.size < len(index):  # index -1 is the last column
            effects = np.concatenate([effects, np.zeros_like(effects[:, :1])], axis=1)
    for k in range(Z.shape[1]):
        values = Z[rows, k]
        constant = bool(np.all(values == 1))
        for part in cached_blocks(len(eta), len(clusters)):
            share = effects[part, :, k].take(clusters, axis=1)
            if not constant:
                share *= values
            some = eta[part]
            some[:, rows] += share


def cached_blocks(draws: int, size: int) -> Iterator[slice]:
    """Runs of draws so short that a temporary array of `size` values for each stays in the processor's cache.

    Examples
    --------
    >>> list(cached_blocks(3, 200_000))
    [slice(0, 1, None), slice(1, 2, None), slice(2, 3, None)]
    """
    step = max(1, CACHED // max(size, 1))
    return (slice(start, min(start + step, draws)) for start in range(0, draws, step))


def _log_likelihood_at(
    model: ModelSpec, draws: Draws, per_chain: int, chain: IntArray, draw: IntArray, row: IntArray
) -> FloatArray:
    """Log-likelihood by chain, draw and row."""
    rows, outcome = model.design.training_rows().at(row), model.design.outcome
    picked = (chain[:, None] * per_chain + draw).ravel()
    values = np.empty((len(picked), len(row)))
    for part, some in draws[picked].chunks(len(row)):
        eta = linear_predictor(some, rows)
        values[part] = log_likelihood(outcome.y[row], outcome.trials[row], eta, some.phi)
    if outcome.of_counted is not None:
        values += outcome.beyond_binomial[row]
    return values.reshape(len(chain), len(draw), len(row))


def pointwise_log_likelihood(model: ModelSpec, posterior: xr.Dataset) -> xr.Dataset:
    """The ``log_likelihood`` group of a fit, computed when it is read.

    Parameters
    ----------
    model : Model
    posterior : xarray.Dataset
        With ``beta`` and ``b_<group>``.

    Returns
    -------
    xarray.Dataset
        One variable named after the outcome, dims (chain, draw, obs). Reading a part of it computes that part only,
        in chunks of bounded memory.
    """
    import xarray as xr

    from ..lazy_draws import lazy_variable

    chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
    compute = partial(_log_likelihood_at, model, Draws.of(model, posterior), draws)
    variable = lazy_variable(("chain", "draw", "obs"), (chains, draws, model.design.n_rows), compute)
    coords = {"chain": posterior["chain"], "draw": posterior["draw"], "obs": model.coords["obs"]}
    return xr.Dataset({model.outcome_name: variable}, coords=coords)
