"""The class `PooledEstimate`: the estimates from several imputations, combined by Rubin's rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from .density.linear_predictor import correlation_cholesky
from .errors import FitError
from .estimate import Clustered, Estimate
from .formatting import number
from .rubins_rules import MissingInformation, between_factor, missing_information

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class PooledEstimate(Estimate):
    """The estimates from several imputations, combined by Rubin's rules.

    Fixed effects, sds, correlations, ``1 / sqrt(phi)`` and conditional modes are means over the imputations.
    ``covariance`` is the total covariance matrix ``T = W + (1 + 1/m) B``: the mean of the covariance matrices of the m
    imputations, and the covariance matrix of their estimates. ``df`` are Barnard and Rubin's degrees of freedom. The
    conditional sds include the variance of the modes between imputations. There is no log-likelihood, since that of
    each imputation is of other data: ``log_likelihood`` is NaN.

    Attributes
    ----------
    members : tuple of Estimate, length m
        The estimates from the imputations.
    nodes, penalised, log_likelihood, fixed_effects, effects, beta, cholesky, covariance, entries, boundary
        As for `Estimate`.
    modes, conditional_sds, n_parameters, n_rows, df, restricted, weighted, clustered, phi
        As for `Estimate`.

    References
    ----------
    Rubin (1987), Multiple Imputation for Nonresponse in Surveys, section 3.1; Barnard and Rubin (1999), Biometrika 86:
    948-955.
    """

    members: tuple[Estimate, ...] = ()

    @classmethod
    def of(cls, members: Sequence[Estimate]) -> PooledEstimate:
        """The estimates combined. They are of the same parameters, by the same engine."""
        members = [_with_positive_diagonals(one) for one in members]
        first = members[0]
        modes = {name: np.array([one.modes[name] for one in members]) for name in first.modes}
        missing = {name: between_factor(len(members)) * values.var(axis=0, ddof=1) for name, values in modes.items()}
        within = {name: np.mean([one.conditional_sds[name] ** 2 for one in members], axis=0) for name in modes}
        boundary = [name for name in first.boundary if all(name in one.boundary for one in members)]
        plain = {name: getattr(first, name) for name in ("nodes", "penalised", "fixed_effects", "effects", "entries")}
        parameters = [_parameters(one) for one in members]
        pooled = cls(
            **plain,
            log_likelihood=np.nan,
            beta=np.mean([one.beta for one in members], axis=0),
            cholesky={name: _mean_cholesky(members, name) for name in first.cholesky},
            covariance=_total(parameters, [one.covariance for one in members]),
            boundary=tuple(boundary),
            modes={name: values.mean(axis=0) for name, values in modes.items()},
            conditional_sds={name: np.sqrt(within[name] + missing[name]) for name in modes},
            n_parameters=first.n_parameters,
            n_rows=first.n_rows,
            df=first.df,
            restricted=first.restricted,
            weighted=first.weighted,
            clustered=_clustered(members, parameters),
            phi=None if first.phi is None else _precision(float(np.mean([_dispersion(one) for one in members]))),
            members=tuple(members),
        )
        return pooled._reduced()

    def _reduced(self) -> PooledEstimate:
        """The estimate with the degrees of freedom that the members and their differences give."""
        p = len(self.beta)
        return replace(self, df=self.reduced_df(self.deviations()[:, :p], self.complete_df))

    def _differences(self) -> FloatArray:
        """Differences from the mean, shape (m, parameters), whose cross-products are ``(1 + 1/m) B``."""
        return _apart([_parameters(one) for one in self.members])

    def spread_covariance(self) -> tuple[list[tuple[str, int, int]], FloatArray, FloatArray]:
        """Sds and correlations with their total covariance matrix, as of any estimate."""
        places: list[tuple[str, int, int]] = []
        values = []
        for one in self.members:
            places, value, _ = one.spread_covariance()
            values.append(value)
        deviations = self.spread_deviations()
        return places, np.mean(values, axis=0), deviations.T @ deviations

    def spread_deviations(self) -> FloatArray:
        """Deviations of sds and correlations, in the order of `deviations`; NaN for those without a standard error."""
        within = [one.spread_deviations() / np.sqrt(len(self.members)) for one in self.members]
        unknown = np.all([np.isnan(part).any(axis=0) for part in within], axis=0)
        between = _apart([one.spread_covariance()[1] for one in self.members])
        return np.where(unknown, np.nan, np.concatenate([*map(np.nan_to_num, within), between]))

    def deviations(self) -> FloatArray:
        """Deviations whose cross-products are the covariance matrix.

        First those of each member, then the differences between the members, m rows.
        """
        within = [one.deviations() / np.sqrt(len(self.members)) for one in self.members]
        return np.concatenate([*within, self._differences()])

    @property
    def kind_of_df(self) -> str:
        """Which degrees of freedom the t tests have, in words."""
        return "Barnard-Rubin"

    @property
    def complete_df(self) -> FloatArray:
        """Degrees of freedom of the fixed effects that missing values have not reduced, shape (p,)."""
        return np.asarray(np.min([one.df for one in self.members], axis=0))

    @property
    def other_df(self) -> FloatArray:
        """Degrees of freedom of the sds and correlations, in the order of `spread_covariance`, and of phi."""
        return self.reduced_df(self._other_deviations(), super().other_df)

    def _other_deviations(self) -> FloatArray:
        """Deviations of sds, correlations and ``1 / sqrt(phi)``, in the order of `deviations`."""
        spread = self.spread_deviations()
        return spread if self.phi is None else np.column_stack([spread, self.deviations()[:, -1]])

    def with_df(self, df: FloatArray) -> Self:
        """The estimate with other degrees of freedom of the fixed effects, as they are without missing values."""
        changed: Self = replace(self, members=tuple(one.with_df(df) for one in self.members))
        return changed._reduced()  # type: ignore[return-value]

    def df_of(self, deviations: FloatArray) -> FloatArray:
        """Degrees of freedom of functions of the parameters with these `deviations`, shape (r, k)."""
        m = len(self.members)
        of_members = np.split(deviations[:-m] * np.sqrt(m), m)
        complete = [one.df_of(part) for one, part in zip(self.members, of_members, strict=True)]
        return self.reduced_df(deviations, np.min(complete, axis=0))

    def reduced_df(self, deviations: FloatArray, complete: FloatArray) -> FloatArray:
        """Degrees of freedom of functions of the parameters, given those without missing values, shape (k,)."""
        return self._missing(deviations, complete).df

    def _missing(self, deviations: FloatArray, complete: FloatArray) -> MissingInformation:
        """What missing values cost in functions of the parameters with these deviations, shape (r, k)."""
        m = len(self.members)
        between = (deviations[-m:] ** 2).sum(axis=0) / between_factor(m)
        return missing_information((deviations[:-m] ** 2).sum(axis=0), between, m, complete)

    @property
    def missing_information(self) -> dict[str, FloatArray]:
        """What missing values cost in each parameter, as columns of a table."""
        deviations = np.column_stack([self.deviations()[:, : len(self.beta)], self._other_deviations()])
        complete = np.concatenate([self.complete_df, super().other_df])
        return self._missing(deviations, complete).columns

    @property
    def deviance(self) -> float:
        """There is none.

        Raises
        ------
        FitError
        """
        raise FitError(
            "estimates pooled over imputations have no log-likelihood, deviance, AIC or BIC: those of each imputation "
            "are of other data, and their mean compares no models. hl.test_terms(fit) and hl.hypotheses(fit) test "
            "terms by Wald's method; fit.fits has the fits of the imputations."
        )

    aic = deviance
    bic = deviance

    def facts(self) -> tuple[tuple[str, str], ...]:
        """How much is missing, for a view of the estimate or of its fit."""
        missing = self.missing_information["fmi"][: len(self.beta)]
        known = missing[np.isfinite(missing)]
        what = f"up to {number(float(known.max()))} of a coefficient's" if known.size else "unknown"
        boundary = (("boundary", "; ".join(self.boundary)),) if self.boundary else ()
        tests = (("tests", f"t, with {self.kind_of_df} degrees of freedom"),)
        errors = (("standard errors", self.clustered.described),) if self.clustered else ()
        return (("information missing", what), *errors, *(() if self.penalised else tests), *boundary)


def _apart(values: Sequence[FloatArray]) -> FloatArray:
    """Differences of the imputations from their mean, whose cross-products are ``(1 + 1/m) B``."""
    m, every = len(values), np.array(values)
    differences: FloatArray = (every - every.mean(axis=0)) * np.sqrt(between_factor(m) / (m - 1))
    return differences


def _total(values: Sequence[FloatArray], covariances: Sequence[FloatArray]) -> FloatArray:
    """The total covariance matrix ``W + (1 + 1/m) B`` of estimates with these covariance matrices."""
    differences = _apart(values)
    total: FloatArray = np.mean(covariances, axis=0) + differences.T @ differences
    return total


def _clustered(members: Sequence[Estimate], parameters: Sequence[FloatArray]) -> Clustered | None:
    """The clusters of the members' covariance matrices, with the total of those that their models have."""
    clustered = members[0].clustered
    if clustered is None:
        return None
    return replace(clustered, model_covariance=_total(parameters, [one.model_covariance for one in members]))


def _mean_cholesky(members: Sequence[Estimate], group: str) -> FloatArray:
    """The Cholesky factor with the means of the sds and correlations."""
    sd = np.mean([one.sd(group) for one in members], axis=0)
    correlations = np.mean([one.cor(group) for one in members], axis=0)
    factor: FloatArray = sd[:, None] * correlation_cholesky(correlations[None])[0]
    return factor


def _parameters(estimate: Estimate) -> FloatArray:
    """The parameters in the order of the covariance matrix."""
    entries = [estimate.cholesky[name][a, b] for name, a, b in estimate.entries]
    return np.concatenate([estimate.beta, entries, [] if estimate.phi is None else [_dispersion(estimate)]])


def _precision(dispersion: float) -> float:
    """The phi with this ``1 / sqrt(phi)``."""
    return dispersion**-2 if dispersion > 0 else np.inf


def _dispersion(estimate: Estimate) -> float:
    """``1 / sqrt(phi)``, zero for binomial variation."""
    assert estimate.phi is not None
    return float(estimate.phi**-0.5)


def _with_positive_diagonals(estimate: Estimate) -> Estimate:
    """The estimate with columns of its Cholesky factors turned, whose signs are free, so that those of all agree."""
    signs = np.ones(len(estimate.covariance))
    for k, (name, _, b) in enumerate(estimate.entries, start=len(estimate.beta)):
        signs[k] = -1.0 if estimate.cholesky[name][b, b] < 0 else 1.0
    if np.all(signs > 0):
        return estimate
    cholesky = {name: L * np.where(np.diag(L) < 0, -1.0, 1.0) for name, L in estimate.cholesky.items()}
    turned, clustered = np.outer(signs, signs), estimate.clustered
    if clustered is not None:
        clustered = replace(clustered, model_covariance=clustered.model_covariance * turned)
    return replace(estimate, cholesky=cholesky, covariance=estimate.covariance * turned, clustered=clustered)
