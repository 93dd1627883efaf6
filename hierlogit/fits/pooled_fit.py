"""The class `PooledFit`: one model fitted to several imputed tables, with the fits combined."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..density.linear_predictor import Draws
from ..estimate import Estimate
from ..formatting import number
from ..pooled_estimate import PooledEstimate
from ..validation import number_of
from .diagnostics import Diagnostics
from .fit import Fit, M_co, counted_draws
from .netcdf import stored_imputations
from .posterior import assemble, posterior_of_arrays

if TYPE_CHECKING:
    import xarray as xr

FloatArray = npt.NDArray[np.float64]

#: Fewest degrees of freedom of the draws' tails: with 1 or 2, their standard deviation would be infinite.
LEAST_DF = 4


class PooledFit(Fit[M_co]):
    """One model fitted to several imputed tables, with the fits combined.

    It is what `hierlogit.pool` and `hierlogit.fit_imputed` return, and functions of fits take it as they take a `Fit`.
    The estimates of likelihood fits are combined by Rubin's rules, the draws of all fits are stacked. Functions that
    compute with the training rows do so with each imputed table and the fit to it.

    Attributes
    ----------
    fits : tuple of Fit, length m
        The fits, in the order of the imputed tables.
    model : Model
        The model of the first imputed table.
    data : xarray.DataTree
        ``posterior`` with the draws of all fits, whose dimension ``chain`` has the coordinate ``imputation``; for
        sampled fits also ``sample_stats``; and ``observed_data`` if all tables have the same outcomes. There is no
        ``log_likelihood``, since that of each fit is of other data.
    diagnostics : Diagnostics
        Findings of all fits.
    estimate : PooledEstimate or None
        For likelihood fits, the estimates combined by Rubin's rules.

    Notes
    -----
    The variance of the draws of m fits, simply stacked, is ``W + (1 - 1/m) B``, which is too small: Rubin's total
    variance is ``W + (1 + 1/m) B``, with t distributions. In the draws of likelihood fits the differences between the
    estimates of an imputation and the means of all are therefore multiplied by ``sqrt((m + 1) / (m - 1))``, and by
    ``sqrt(d / q)`` with q from the chi-squared distribution with ``d = max(m - 1, 4)`` degrees of freedom, before they
    are stacked: the variance between imputations is itself estimated, from m values. Intervals from the draws are thus
    close to those by Barnard and Rubin's t distributions, and the standard deviation of the draws is
    ``sqrt(1 + 2 * lambda / (d - 2))`` times Rubin's standard error, where ``lambda`` is the share of the variance due
    to missing values: 1.22 times with 5 imputations and a share of a half, 1.03 times with 20. The draws of samplers
    are stacked as they are; with 20 imputations or more, the difference is small.

    References
    ----------
    Rubin (1987), Multiple Imputation for Nonresponse in Surveys, section 3.3; Zhou and Reiter (2010), The American
    Statistician 64: 159-163, for stacked draws.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.summary(hl.pool(fits))  # doctest: +SKIP
    """

    fits: tuple[Fit[M_co], ...]

    def __init__(self, fits: Sequence[Fit[M_co]], diagnostics: Diagnostics) -> None:
        estimates = [one.estimate for one in fits if one.estimate is not None]
        estimate = PooledEstimate.of(estimates) if estimates else None
        super().__init__(fits[0].model, self._stacked, diagnostics, estimate)
        self.__dict__["fits"] = tuple(fits)

    def __reduce__(self) -> tuple[object, ...]:
        return (PooledFit, (self.fits, self.diagnostics))

    @cached_property
    def imputations(self) -> tuple[Fit[M_co], ...]:
        """The fits, with draws that have the tails of Rubin's t distributions when they are stacked."""
        if not isinstance(self.estimate, PooledEstimate):
            return self.fits
        seeds = np.random.SeedSequence(self.diagnostics.seed).spawn(len(self.fits))
        pairs = zip(self.fits, self.estimate.members, seeds, strict=True)
        return tuple(
            Fit(fit.model, partial(_spread_out, fit, member, self.estimate, seed), fit.diagnostics, fit.estimate)
            for fit, member, seed in pairs
        )

    def _stacked(self) -> xr.DataTree:
        """The draws of all imputations in ArviZ's groups."""
        import xarray as xr

        chains = [one.posterior.sizes["chain"] for one in self.imputations]
        labels = {
            "chain": np.arange(sum(chains)),
            "imputation": ("chain", np.repeat(np.arange(1, len(chains) + 1), chains)),
        }

        def stacked(name: str) -> xr.Dataset:
            parts = [one.data[name].to_dataset() for one in self.imputations]
            return xr.concat(parts, dim="chain", coords="minimal", compat="override").assign_coords(labels)

        groups = {"posterior": stacked("posterior")}
        if all("sample_stats" in one.data.children for one in self.imputations):
            groups["sample_stats"] = stacked("sample_stats")
        if self.same_outcomes:
            groups["observed_data"] = self.imputations[0].data["observed_data"].to_dataset()
        return xr.DataTree.from_dict(groups)

    @property
    def same_outcomes(self) -> bool:
        """Whether all tables have the same outcomes, so that none of them are imputed."""
        outcomes = [one.model.design.outcome for one in self.fits]
        return all(
            np.array_equal(outcomes[0].y, other.y) and np.array_equal(outcomes[0].trials, other.trials)
            for other in outcomes[1:]
        )

    @cached_property
    def imputed_rows(self) -> dict[str, int]:
        """By column of the formula, the number of rows in which the tables differ, if there are any."""
        first, *others = (one.model.design.table.frame for one in self.fits)
        counts = {}
        for name in map(str, first.columns):
            values = first[name].astype(object).to_numpy()
            differ = np.zeros(len(values), dtype=bool)
            for other in others:
                differ |= values != other[name].astype(object).to_numpy()
            if differ.any():
                counts[name] = int(differ.sum())
        return counts

    def _stored(self) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
        return stored_imputations((one._stored() for one in self.fits), self.diagnostics)

    def _about(self) -> tuple[tuple[str, str], ...]:
        where = ", ".join(f"{name} {number_of(count, 'row')}" for name, count in self.imputed_rows.items())
        return (*super()._about(), ("imputations", str(len(self.fits))), ("tables differ in", where or "nothing"))

    def _title(self) -> str:
        draws = "" if self.estimate is not None else f"{counted_draws(self)}, "
        seconds = number(sum(self.diagnostics.seconds.values()))
        engine, m = self.diagnostics.engine, len(self.fits)
        return f"{m} fits by {engine} to imputed tables, pooled: {draws}{self.diagnostics.status}, {seconds} s"


def imputations_of(fit: Fit[M_co]) -> tuple[Fit[M_co], ...]:
    """The fits of the imputations of a pooled fit; any other fit by itself."""
    return fit.imputations if isinstance(fit, PooledFit) else (fit,)


def _spread_out(fit: Fit, member: Estimate, pooled: PooledEstimate, seed: np.random.SeedSequence) -> xr.DataTree:
    """The draws of a likelihood fit, further from the mean of all imputations, with tails of t distributions."""
    draws, m = Draws.of(fit.model, fit.posterior), len(pooled.members)
    more = (_scales(len(draws), m, np.random.default_rng(seed)) - 1)[:, None]
    cholesky = {name: _covariances_apart(L, name, member, pooled, more) for name, L in draws.cholesky.items()}
    effects = {
        name: b + more[..., None] * (member.modes[name] - pooled.modes[name]) for name, b in draws.effects.items()
    }
    beta = draws.beta + more * (member.beta - pooled.beta)
    phi = None
    if draws.phi is not None and member.phi is not None and pooled.phi is not None:
        with np.errstate(divide="ignore"):
            phi = (draws.phi**-0.5 + more[:, 0] * (member.phi**-0.5 - pooled.phi**-0.5)) ** -2.0
    posterior = posterior_of_arrays(fit.model, beta, cholesky, effects, phi)
    return assemble(fit.model, posterior, None, priors=pooled.penalised)


def _covariances_apart(
    L: FloatArray, group: str, member: Estimate, pooled: PooledEstimate, more: FloatArray
) -> FloatArray:
    """Cholesky factors, shape (draws, q, q), with sds and the directions of their rows further from the means."""
    sd = np.sqrt((L**2).sum(axis=2))
    units = np.divide(L, sd[..., None], out=np.zeros_like(L), where=sd[..., None] > 0)
    mean = np.mean([one.unit_rows(group) for one in pooled.members], axis=0)
    units += more[..., None] * (member.unit_rows(group) - mean)
    lengths = np.sqrt((units**2).sum(axis=2))
    moved = np.abs(sd + more * (member.sd(group) - pooled.sd(group)))
    factors: FloatArray = np.divide(moved, lengths, out=np.zeros_like(moved), where=lengths > 0)[..., None] * units
    # The sign of a column is free.
    return factors * np.where(np.diagonal(factors, axis1=1, axis2=2) < 0, -1.0, 1.0)[:, None]


def _scales(count: int, imputations: int, random: np.random.Generator) -> FloatArray:
    """Factors of the differences between imputations by draw: evenly spaced quantiles in random order."""
    from scipy.special import chdtri

    df = max(imputations - 1, LEAST_DF)
    probabilities = (random.permutation(count) + 0.5) / count
    scales: FloatArray = np.sqrt((imputations + 1) / (imputations - 1) * df / chdtri(df, 1 - probabilities))
    return scales
