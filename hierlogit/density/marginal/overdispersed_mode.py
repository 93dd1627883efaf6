"""The conditional mode of the random effects of beta-binomial outcomes, by a safeguarded Newton's method, compiled.

The log-likelihood of a count is not concave in its linear predictor where the count is far from its expectation.
Where ``H = I + A'WA`` is not positive definite, a step is taken with weights that are not below those of the variance
function, which leads upwards from any point (Gauss-Newton steps in place of Newton's). At the mode, H has the observed
weights again, as in TMB's Laplace approximation (Kristensen et al. 2016, Journal of Statistical Software 70 (5)).

In all functions the last entry of `cholesky`, the flat Cholesky factors, is ``1 / sqrt(phi)``.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from ...numba_support.compile import exact_kernel, kernel
from ...numba_support.vectors import add_column, copy, view
from ..kernels.beta_binomial import dispersion_slopes, linearise, variance_weight
from .block_cholesky import eliminate, factorise_dense, solve_dense, solve_first, solve_last
from .conditional_mode import MOST_HALVINGS, MOST_STEPS, TOLERANCE, mode_gradient
from .cross_products import sum_products
from .effect_draws import correlate_noise
from .effects_to_predictor import add_effects, move, product, scale_effects
from .fixed_effects import fixed_predictor
from .work import Work

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@kernel
def inverse_phi(cholesky: FloatArray) -> float:
    """``1 / phi``, from the end of the flat Cholesky factors."""
    root: float = cholesky[len(cholesky) - 1]
    return root * root


@kernel
def _joint_log_density(r: RowIndex, w: Work, cholesky: FloatArray, eta_fixed: FloatArray, part: IntArray) -> float:
    """Log-likelihood of the rows of one part minus ``|u|^2 / 2``, with the rows' derivatives in the work arrays."""
    first, last = r.row_start[r.part_start[part[0]]], r.row_start[r.part_start[part[0] + 1]]
    eta, log_likelihoods = view(w.eta, first, last), view(w.deta, first, last)
    scale_effects(r, cholesky, part, w.u, w.b)
    copy(view(eta_fixed, first, last), eta)
    add_effects(r, part, w.b, w.eta)
    linearise(
        view(r.y, first, last),
        view(r.trials, first, last),
        eta,
        inverse_phi(cholesky),
        view(w.residual, first, last),
        view(w.weight, first, last),
        view(w.one_minus_2p, first, last),
        log_likelihoods,
    )
    total = 0.0
    for log_likelihood in log_likelihoods:
        total += log_likelihood
    w.log_joint[part[0]] = total - 0.5 * product(r, part[0], w.u, w.u)
    return float(w.log_joint[part[0]])


@kernel
def _newton_step(r: RowIndex, w: Work, cholesky: FloatArray, part: IntArray) -> None:
    """Newton's step of one part with the weights in the work arrays; NaN where H is not positive definite."""
    mode_gradient(r, w, cholesky, part)
    sum_products(r, w, part)
    eliminate(r, w, cholesky, part)
    factorise_dense(r, w, part)
    solve_first(r, w, part, w.step)
    solve_dense(r, w, part, w.step)
    solve_last(r, w, part, w.step)
    w.decrement[part[0]] = product(r, part[0], w.gradient, w.step)


@kernel
def _raise_weights(r: RowIndex, w: Work, tau: float, part: IntArray) -> None:
    """Weights of one part that are at least those of the variance function."""
    for i in range(r.row_start[r.part_start[part[0]]], r.row_start[r.part_start[part[0] + 1]]):
        w.weight[i] = max(w.weight[i], variance_weight(r.trials[i], w.eta[i], tau))


@exact_kernel
def raise_weights(r: RowIndex, w: Work, tau: float, eta: FloatArray) -> None:
    """Weights of all rows, at linear predictors `eta`, that are at least those of the variance function."""
    for i in range(len(eta)):
        w.weight[i] = max(w.weight[i], variance_weight(r.trials[i], eta[i], tau))


@kernel
def _find_mode(r: RowIndex, w: Work, cholesky: FloatArray, eta: FloatArray, part: IntArray) -> None:
    """Find the mode of one part; where its H is not positive definite, the decrement is infinite afterwards."""
    one = part[0]
    height = _joint_log_density(r, w, cholesky, eta, part)
    for _ in range(MOST_STEPS):
        _newton_step(r, w, cholesky, part)
        definite = math.isfinite(w.log_det[one]) and math.isfinite(w.decrement[one])
        if not definite:
            _raise_weights(r, w, inverse_phi(cholesky), part)
            _newton_step(r, w, cholesky, part)
        if not w.decrement[one] > TOLERANCE:
            break
        move(r, one, 1.0, w.step, w.u)
        fraction, higher = 1.0, _joint_log_density(r, w, cholesky, eta, part)
        for _ in range(MOST_HALVINGS):
            if higher >= height - 1e-12 * abs(height):
                break
            fraction *= 0.5
            move(r, one, -fraction, w.step, w.u)
            higher = _joint_log_density(r, w, cholesky, eta, part)
        height = higher
    if definite:
        return
    # A stationary point of another kind: the factorisation with the observed weights says so.
    _joint_log_density(r, w, cholesky, eta, part)
    _newton_step(r, w, cholesky, part)
    if not math.isfinite(w.log_det[one]):
        w.decrement[one] = math.inf


@exact_kernel
def find_modes(r: RowIndex, w: Work, cholesky: FloatArray, eta: FloatArray, parts: IntArray) -> None:
    """Find the modes of some parts, from the effects in ``w.u``; the work arrays then hold the factorisation of H."""
    for k in range(len(parts)):
        _find_mode(r, w, cholesky, eta, view(parts, k, k + 1))


@exact_kernel
def row_slopes(
    r: RowIndex, tau: float, eta: FloatArray, score: FloatArray, residual: FloatArray, weight: FloatArray
) -> None:
    """Derivatives in ``1 / phi`` of all rows' log-likelihoods, residuals and weights, at linear predictors `eta`."""
    dispersion_slopes(r.y, r.trials, eta, tau, score, residual, weight)


@exact_kernel
def draw_effects(
    r: RowIndex,
    w: Work,
    gammas: FloatArray,
    cholesky: FloatArray,
    starts: FloatArray,
    noise: FloatArray,
    eta: FloatArray,
) -> None:
    """Draw effects from the Gaussian at their conditional mode, for each draw of the parameters.

    Parameters
    ----------
    gammas : shape (draws, p)
    cholesky : shape (draws, entries)
    starts : shape (draws, effects)
        Replaced by the draws of the standardised effects.
    noise : shape (draws, effects)
        Standard normal numbers, overwritten.
    eta : shape (n,)
        Scratch.
    """
    parts = np.arange(len(r.part_start) - 1)
    for s in range(len(gammas)):
        fixed_predictor(r, gammas[s], eta)
        copy(starts[s], w.u)
        find_modes(r, w, cholesky[s], eta, parts)
        correlate_noise(r, w, parts, noise[s])
        add_column(noise[s], 1.0, w.u)
        copy(w.u, starts[s])
