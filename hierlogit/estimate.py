"""Estimate: the point a likelihood engine found, its log-likelihood, its uncertainty, and the modes of the effects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import xarray as xr

    from .design.design import Design

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A maximum of the likelihood or of the posterior density.

    Attributes
    ----------
    nodes : int
        Quadrature nodes in each dimension; 1 for Laplace's method.
    penalised : bool
        Whether priors were part of what was maximised.
    log_likelihood : float
        Marginal log-likelihood at the estimates, with the binomial coefficients.
    beta : ndarray, shape (p,)
        Fixed effects.
    cholesky : mapping of str to ndarray, shape (q, q)
        By grouping factor, the lower triangular Cholesky factor L of the covariance matrix ``L L'`` of its effects.
    covariance : ndarray, shape (m, m)
        Covariance matrix of the fixed effects and the free entries of the Cholesky factors, from the observed
        information. Rows and columns of parameters at a boundary are zero; all entries are NaN where the information
        is not positive definite.
    entries : tuple of (str, int, int), length m - p
        Grouping factor, row and column of each entry of a Cholesky factor.
    boundary : tuple of str
        Names of sds that are zero and of correlations that are 1 or -1.
    modes : mapping of str to ndarray, shape (J, q)
        By grouping factor, the conditional modes of the effects on the logit scale.
    conditional_sds : mapping of str to ndarray, shape (J, q)
        Standard deviations of the effects about their modes, given the estimates.
    n_parameters : int
        Degrees of freedom of the likelihood: fixed effects, sds and correlations, those at a boundary too.
    n_rows : int
        Rows of data; what the BIC counts.
    """

    nodes: int
    penalised: bool
    log_likelihood: float
    beta: FloatArray
    cholesky: Mapping[str, FloatArray]
    covariance: FloatArray
    entries: tuple[tuple[str, int, int], ...]
    boundary: tuple[str, ...]
    modes: Mapping[str, FloatArray]
    conditional_sds: Mapping[str, FloatArray]
    n_parameters: int
    n_rows: int

    @property
    def method(self) -> str:
        """How the random effects were integrated out: ``"Laplace"``, ``"quadrature with 25 nodes"``."""
        return "Laplace" if self.nodes == 1 else f"quadrature with {self.nodes} nodes"

    @property
    def standard_errors(self) -> FloatArray:
        """Standard errors of the fixed effects, shape (p,)."""
        with np.errstate(invalid="ignore"):
            return np.sqrt(np.diag(self.covariance)[: len(self.beta)])

    @property
    def deviance(self) -> float:
        """Minus twice the marginal log-likelihood."""
        return -2 * self.log_likelihood

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        return self.deviance + 2 * self.n_parameters

    @property
    def bic(self) -> float:
        """Schwarz's criterion, with the number of rows as lme4 takes it."""
        return self.deviance + float(np.log(self.n_rows)) * self.n_parameters

    def sd(self, group: str) -> FloatArray:
        """Standard deviations of the effects of a grouping factor, shape (q,)."""
        return np.asarray(np.sqrt((self.cholesky[group] ** 2).sum(axis=1)))

    def cor(self, group: str) -> FloatArray:
        """Correlations of the effects of a grouping factor, shape (q, q); 0 where an sd is zero."""
        L, sd = self.cholesky[group], self.sd(group)
        unit = np.divide(L, sd[:, None], out=np.zeros_like(L), where=sd[:, None] > 0)
        R: FloatArray = unit @ unit.T
        np.fill_diagonal(R, 1.0)
        return R

    def spread_covariance(self, design: Design) -> tuple[list[tuple[str, int, int]], FloatArray, FloatArray]:
        """Sds and correlations with their covariance matrix, by the delta method.

        Parameters
        ----------
        design : Design

        Returns
        -------
        places : list of (str, int, int)
            Grouping factor and two effects; the same effect twice for an sd.
        values : ndarray
        covariance : ndarray
            Of the values.
        """
        places: list[tuple[str, int, int]] = []
        for group in design.groups:
            places += [(group.name, i, i) for i in range(len(group.effects))]
            places += [(group.name, i, j) for i, j in group.correlated_pairs]
        values = np.array([_spread(self.cholesky[name], i, j).real for name, i, j in places])
        jacobian = np.zeros((len(places), len(self.entries)))
        step = 1e-100
        for column, (name, a, b) in enumerate(self.entries):
            L = self.cholesky[name].astype(complex)
            L[a, b] += 1j * step
            for row, (owner, i, j) in enumerate(places):
                if owner == name:
                    jacobian[row, column] = _spread(L, i, j).imag / step
        p = len(self.beta)
        covariance: FloatArray = jacobian @ self.covariance[p:, p:] @ jacobian.T
        return places, values, covariance


def to_dataset(estimate: Estimate) -> xr.Dataset:
    """Put an estimate into arrays and attributes that a file can hold.

    See Also
    --------
    from_dataset : the way back.
    """
    import xarray as xr

    variables: dict[str, Any] = {"beta": ("p", estimate.beta), "covariance": (("m", "n"), estimate.covariance)}
    for k, name in enumerate(estimate.cholesky):
        variables[f"cholesky_{k}"] = ((f"effect_{k}", f"effect_{k}_bis"), estimate.cholesky[name])
        variables[f"modes_{k}"] = ((f"level_{k}", f"effect_{k}"), estimate.modes[name])
        variables[f"conditional_sds_{k}"] = ((f"level_{k}", f"effect_{k}"), estimate.conditional_sds[name])
    plain = {name: getattr(estimate, name) for name in _PLAIN}
    return xr.Dataset(variables, attrs={"estimate": json.dumps({**plain, "groups": list(estimate.cholesky)})})


def from_dataset(stored: xr.Dataset) -> Estimate:
    """Read what `to_dataset` wrote."""
    record = json.loads(stored.attrs["estimate"])
    groups = record.pop("groups")
    record["entries"] = tuple((str(name), int(a), int(b)) for name, a, b in record["entries"])
    record["boundary"] = tuple(record["boundary"])
    by_group: dict[str, Any] = {
        field: {name: stored[f"{field}_{k}"].to_numpy() for k, name in enumerate(groups)}
        for field in ("cholesky", "modes", "conditional_sds")
    }
    beta, covariance = stored["beta"].to_numpy(), stored["covariance"].to_numpy()
    return Estimate(beta=beta, covariance=covariance, **by_group, **record)


#: Attributes of an estimate that are no arrays.
_PLAIN = ("nodes", "penalised", "log_likelihood", "entries", "boundary", "n_parameters", "n_rows")


def _spread(L: npt.NDArray[np.generic], i: int, j: int) -> complex:
    """Sd of an effect, or correlation of two, as an analytic function of L: for derivatives by complex steps."""
    first = np.sqrt((L[i] ** 2).sum())
    if i == j:
        return complex(first)
    second = np.sqrt((L[j] ** 2).sum())
    return complex((L[i] * L[j]).sum() / (first * second)) if first and second else 0j
