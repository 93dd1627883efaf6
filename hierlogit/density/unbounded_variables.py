"""Fixed effects, sds and correlations as one unbounded vector, and their prior density in it, with all constants.

The vector x holds, one after the other, the coefficients of the orthogonal basis of the fixed effects divided by
``f = sqrt(1 + c^2 s^2)``, the logarithms of all sds, and a variable z for each correlation. Here s^2 is the variance of
the random part of the linear predictor, averaged over the rows, and c = 16 sqrt(3) / (15 pi): the quotients are about
the coefficients of probabilities averaged over clusters (Zeger, Liang and Albert 1988, Biometrics 44: 1049-1060), which
data tell nearly whatever the sds, whereas those within clusters grow with the sds. The posterior is therefore much
nearer to normal in them.

The Cholesky factor of a correlation matrix has the entries ``tanh(z_ab)`` times what columns before b leave of the
row's unit length (Lewandowski, Kurowicka and Joe 2009, Journal of Multivariate Analysis 100: 1989-2001). Under
LKJ(eta), the density of z_ab is ``sech(z_ab)^(2 a) / B(a, 1/2)`` with ``a = eta + (k - 2 - b) / 2`` for k effects,
columns counted from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import EngineError
from ..priors.families import Decov
from .joint.attenuation import ATTENUATION
from .joint.geometry import centring_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..model_spec import ModelSpec
    from ..priors.families import ScalePrior

FloatArray = npt.NDArray[np.float64]

#: The smallest log sd and the largest correlation variable that `UnboundedVariables.at` returns: the ends have none.
LEAST_LOG_SD = -20.0
MOST_Z = 8.0


@dataclass(frozen=True)
class _Row:
    """One row of a Cholesky factor: its log sd and its correlation variables."""

    group: int
    set_slice: slice
    effect: int
    log_sd: int
    z: slice
    powers: FloatArray


class UnboundedVariables:
    """The estimated parameters of a model as one unbounded vector.

    Parameters
    ----------
    model : Model
    triangular : ndarray, shape (p, p), optional
        ``R`` of the orthogonal basis of the fixed effects' columns, if the model does not have all rows.

    Attributes
    ----------
    n_dim : int
        Length of the vector.
    n_fixed : int
        Number of fixed effects, whose variables come first.

    Raises
    ------
    EngineError
        If the outcomes are beta-binomial.
    """

    def __init__(self, model: ModelSpec, triangular: FloatArray | None = None) -> None:
        if model.overdispersed:
            raise EngineError(
                "marginal likelihoods, and what is computed from them, such as Bayes factors, are for binomial "
                "outcomes, and this model's are beta-binomial. hl.loo and hl.compare take both."
            )
        self._model, design = model, model.design
        self.n_fixed = len(design.fixed_effects)
        self._triangular = model.arrangement.triangular if triangular is None else triangular
        self._inverse = np.linalg.inv(self._triangular)
        self._centring = centring_matrix(model)
        # Means of the products of the columns of each factor's effects: s^2 is the sum of the traces of L' (Z'Z / n) L.
        self._products = [group.Z.T @ group.Z / len(group.Z) for group in design.groups]
        self._rows: list[_Row] = []
        log_sd = self.n_fixed
        z = log_sd + sum(len(group.effects) for group in design.groups)
        for g, group in enumerate(design.groups):
            for part in group.set_slices:
                size = part.stop - part.start
                for place, effect in enumerate(range(part.start, part.stop)):
                    eta = model.priors.cor[group.name].eta if size > 1 else 1.0
                    powers = eta + (size - 2 - np.arange(place)) / 2
                    self._rows.append(_Row(g, part, effect, log_sd, slice(z, z + place), powers))
                    log_sd, z = log_sd + 1, z + place
        self.n_dim = z

    def beta(self, x: FloatArray) -> FloatArray:
        """Fixed effects of vectors of shape (..., n_dim), shape (..., p)."""
        return self._beta(x, self.cholesky(x))

    def cholesky(self, x: FloatArray) -> list[FloatArray]:
        """Cholesky factor of each grouping factor's covariance matrix, shape (..., q, q)."""
        factors = [np.zeros((*x.shape[:-1], len(g.effects), len(g.effects))) for g in self._model.design.groups]
        for row in self._rows:
            L, left = factors[row.group], np.exp(x[..., row.log_sd])
            for b, z in enumerate(range(row.z.start, row.z.stop), start=row.set_slice.start):
                L[..., row.effect, b] = left * np.tanh(x[..., z])
                left = left / np.cosh(x[..., z])
            L[..., row.effect, row.effect] = left
        return factors

    def at(self, beta: FloatArray, cholesky: Sequence[FloatArray]) -> FloatArray:
        """The vector of fixed effects, shape (p,), and Cholesky factors, shape (q, q) each.

        An sd of zero or a correlation of one, which no vector has, is taken for one that is nearly so.
        """
        x = np.zeros(self.n_dim)
        x[: self.n_fixed] = self._triangular @ beta / self._factor(cholesky)
        for row in self._rows:
            entries = cholesky[row.group][row.effect, row.set_slice.start : row.effect + 1]
            sd = float(np.sqrt((entries**2).sum()))
            x[row.log_sd] = np.log(sd) if sd > np.exp(LEAST_LOG_SD) else LEAST_LOG_SD
            left = sd
            for entry, z in zip(entries[:-1], range(row.z.start, row.z.stop), strict=True):
                partial = entry / left if left > 0 else 0.0
                x[z] = np.clip(np.arctanh(np.clip(partial, -np.tanh(MOST_Z), np.tanh(MOST_Z))), -MOST_Z, MOST_Z)
                left = np.sqrt(max(left**2 - entry**2, 0.0))
        return x

    def centred(self, x: FloatArray) -> FloatArray:
        """The coefficients that have priors, with the intercept at the means of the predictors, shape (..., p)."""
        centred: FloatArray = self._beta(x, self.cholesky(x)) @ self._centring.T
        return centred

    def of_centred(self, centred: FloatArray, others: FloatArray) -> FloatArray:
        """The vectors of such coefficients, shape (m, p), and the variables of sds and correlations, shape (m, k)."""
        x = np.concatenate([np.zeros_like(centred), others], axis=1)
        basis = np.linalg.solve(self._centring @ self._inverse, centred.T).T
        x[:, : self.n_fixed] = basis / self._factor(self.cholesky(x))[..., None]
        return x

    def log_volume(self, x: FloatArray) -> FloatArray:
        """Logarithm of the volume of the coefficients that have priors in that of their variables; shape (...)."""
        constant = float(np.linalg.slogdet(self._inverse)[1])
        volume: FloatArray = constant + self.n_fixed * np.log(self._factor(self.cholesky(x)))
        return volume

    @property
    def correlation_powers(self) -> FloatArray:
        """The power a of each correlation variable, in the order of the vector."""
        return np.concatenate([np.empty(0), *(row.powers for row in self._rows)])

    def log_prior(self, x: FloatArray) -> FloatArray:
        """Normalised log prior density of vectors of shape (..., n_dim); shape ``x.shape[:-1]``."""
        cholesky = self.cholesky(x)
        value = self._log_jacobian + self.n_fixed * np.log(self._factor(cholesky))
        centred = self._beta(x, cholesky) @ self._centring.T
        for k, label in enumerate(self._model.design.fixed_effects):
            value += self._model.priors.fixed[label].logpdf(centred[..., k])
        for row in self._rows:
            prior = self._sd_priors(row)[row.effect - row.set_slice.start]
            value += x[..., row.log_sd]
            if not isinstance(prior, Decov):
                value += prior.logpdf(np.exp(x[..., row.log_sd]))
            elif row.effect == row.set_slice.start:
                value += prior.logpdf(self._sds_of_set(row, x))
            value += (row.powers * _log_sech_square(x[..., row.z])).sum(axis=-1)
        return value

    def log_prior_gradient(self, x: FloatArray) -> FloatArray:
        """Gradient of `log_prior` at one vector, shape (n_dim,)."""
        cholesky = self.cholesky(x)
        centred = self._centring @ self._beta(x, cholesky)
        scores = [
            float(self._model.priors.fixed[label].score(centred[k]))
            for k, label in enumerate(self._model.design.fixed_effects)
        ]
        jacobian = [self.n_fixed * one for one in self._log_factor_slopes(cholesky)]
        gradient = self.pull_back(x, self._centring.T @ np.array(scores), [np.zeros_like(L) for L in cholesky])
        gradient += self._pull_back_cholesky(x, cholesky, jacobian)
        for row in self._rows:
            prior = self._sd_priors(row)[row.effect - row.set_slice.start]
            sd = np.exp(x[row.log_sd])
            if isinstance(prior, Decov):
                score = prior.score(self._sds_of_set(row, x))[row.effect - row.set_slice.start]
            else:
                score = prior.score(sd)
            gradient[row.log_sd] += 1.0 + float(score) * sd
            gradient[row.z] += -2.0 * row.powers * np.tanh(x[row.z])
        return gradient

    def pull_back(self, x: FloatArray, dbeta: FloatArray, dcholesky: Sequence[FloatArray]) -> FloatArray:
        """Gradient in x of a function of which those in the fixed effects and in the Cholesky factors are given."""
        cholesky = self.cholesky(x)
        along = float(dbeta @ self._beta(x, cholesky))  # the fixed effects grow with the factor
        moved = [own + along * slopes for own, slopes in zip(dcholesky, self._log_factor_slopes(cholesky), strict=True)]
        gradient = self._pull_back_cholesky(x, cholesky, moved)
        gradient[: self.n_fixed] = self._factor(cholesky) * (self._inverse.T @ dbeta)
        return gradient

    def _pull_back_cholesky(
        self, x: FloatArray, cholesky: Sequence[FloatArray], dcholesky: Sequence[FloatArray]
    ) -> FloatArray:
        gradient = np.zeros(self.n_dim)
        for row in self._rows:
            members = slice(row.set_slice.start, row.effect + 1)
            slopes = dcholesky[row.group][row.effect, members]
            products = slopes * cholesky[row.group][row.effect, members]
            gradient[row.log_sd] = products.sum()
            # Entry b of the row has the factor tanh(z_b), the entries after it the factor 1 / cosh(z_b).
            left = np.exp(x[row.log_sd])
            for b, z in enumerate(range(row.z.start, row.z.stop)):
                sech = 1.0 / np.cosh(x[z])
                gradient[z] = slopes[b] * left * sech**2 - np.tanh(x[z]) * products[b + 1 :].sum()
                left *= sech
        return gradient

    def _beta(self, x: FloatArray, cholesky: Sequence[FloatArray]) -> FloatArray:
        fixed: FloatArray = self._factor(cholesky)[..., None] * x[..., : self.n_fixed] @ self._inverse.T
        return fixed

    def _factor(self, cholesky: Sequence[FloatArray]) -> FloatArray:
        """The factor f of Cholesky factors of shape (..., q, q)."""
        shrinkage = np.ones(cholesky[0].shape[:-2]) if cholesky else np.ones(())
        for L, products in zip(cholesky, self._products, strict=True):
            shrinkage = shrinkage + ATTENUATION * np.einsum("...ac,ab,...bc->...", L, products, L)
        factor: FloatArray = np.sqrt(shrinkage)
        return factor

    def _log_factor_slopes(self, cholesky: Sequence[FloatArray]) -> list[FloatArray]:
        """Derivative of ``log f`` in the entries of the Cholesky factors."""
        scale = ATTENUATION / self._factor(cholesky) ** 2
        return [scale * (products @ L) for L, products in zip(cholesky, self._products, strict=True)]

    @cached_property
    def _log_jacobian(self) -> float:
        """Constants: of the change of the basis, and of the densities of the correlation variables."""
        from scipy.special import betaln

        constant = float(np.linalg.slogdet(self._inverse)[1])
        return constant - float(sum(betaln(row.powers, 0.5).sum() for row in self._rows))

    def _sd_priors(self, row: _Row) -> Sequence[ScalePrior]:
        return self._model.priors.sd[self._model.design.groups[row.group].name][row.set_slice]

    def _sds_of_set(self, row: _Row, x: FloatArray) -> FloatArray:
        first = row.log_sd - (row.effect - row.set_slice.start)
        sds: FloatArray = np.exp(x[..., first : first + row.set_slice.stop - row.set_slice.start])
        return sds


def _log_sech_square(z: FloatArray) -> FloatArray:
    """``log(1 - tanh(z)^2)``, written so that no digits cancel."""
    size = np.abs(z)
    logs: FloatArray = 2.0 * np.log(2.0) - 2.0 * size - 2.0 * np.log1p(np.exp(-2.0 * size))
    return logs
