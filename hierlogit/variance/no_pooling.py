"""Estimates of each cluster by itself: logistic regressions of the clusters' own rows, all at the same time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
#: Most steps, and most halvings of one; the longest, and one that ends the search, on the scale of linear predictors.
STEPS, HALVINGS, LONGEST, SMALL_STEP = 100, 30, 5.0, 1e-9
#: Linear predictors further from their start than this belong to an infinite maximum.
FARTHEST = 30.0
#: Smallest eigenvalues with which columns are independent and the information is invertible, for columns of size one.
INDEPENDENT, INVERTIBLE = 1e-10, 1e-13
#: Part of a coefficient, relative to its size, in directions that the columns do not tell, that counts as none.
TOLD = 1e-5


def unpooled_estimates(
    y: FloatArray,
    trials: FloatArray,
    offset: FloatArray,
    columns: FloatArray,
    index: IntArray,
    start: FloatArray,
    loadings: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Maximum-likelihood estimates of the coefficients of each cluster by itself, and their covariance matrices.

    By Newton's method for all clusters at once; where the information is singular, with its upper bound (Böhning and
    Lindsay 1988, Annals of the Institute of Statistical Mathematics 40: 641-663). A cluster has no estimates if its
    columns separate its events from its non-events: then the maximum is infinite. Where its columns are linearly
    dependent, the directions that they do not tell stay at the start, and coefficients with a part in them have no
    estimate.

    The rows differ between the clusters here; `logistic_regressions` is for many outcomes of the same rows. Separation
    shows in a linear predictor beyond `FARTHEST`, which one cluster's few rows reach within a few steps.

    Parameters
    ----------
    y, trials, offset : ndarray, shape (n,)
    columns : ndarray, shape (n, m)
    index : ndarray of int, shape (n,)
        Cluster of each row.
    start : ndarray, shape (J, m)
        Coefficients to start from: those of a mixed model, or zeros.
    loadings : ndarray, shape (r, m)
        The combinations of the columns' coefficients that are wanted; an identity matrix for the coefficients.

    Returns
    -------
    estimates : ndarray, shape (J, r)
    covariances : ndarray, shape (J, r, r)
        NaN for clusters and combinations that have none.

    Examples
    --------
    >>> y, ones = np.array([1.0, 0, 1, 1, 1, 1]), np.ones(6)
    >>> start, index = np.zeros((2, 1)), np.array([0, 0, 0, 0, 1, 1])
    >>> own, _ = unpooled_estimates(y, ones, 0 * ones, ones[:, None], index, start, np.eye(1))
    >>> own.round(3)  # log(3), and an infinite one
    array([[1.099],
           [  nan]])
    """
    a, begin, count = start.copy(), _predictor(columns, start, index), len(start)
    products = _by_cluster(columns[:, :, None] * columns[:, None, :], index, count)
    bound = _by_cluster(trials[:, None, None] / 4 * columns[:, :, None] * columns[:, None, :], index, count)
    untold, told = _untold(products, loadings)
    bound += untold
    found, given_up = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    fit = _log_likelihood(y, trials, offset + begin, index, count)
    for _ in range(STEPS):
        searched = ~(found | given_up)
        if not searched.any():
            break
        eta = _predictor(columns, a, index)
        gradient, information = _derivatives(y, trials, offset + eta, columns, index, count)
        information += untold
        # Far from the maximum, where the information vanishes, its upper bound takes its place.
        regular = _regular(information, INVERTIBLE)
        information[~regular] = bound[~regular]
        step = np.zeros_like(a)
        step[searched] = np.linalg.solve(information[searched], gradient[searched, :, None])[..., 0]
        width = _largest(np.abs(_predictor(columns, step, index)), index, count)
        step *= np.minimum(1.0, LONGEST / np.maximum(width, LONGEST))[:, None]
        a, fit = _ascent(y, trials, offset, columns, index, a, step, fit)
        found |= searched & regular & (width < SMALL_STEP)
        far = _largest(np.abs(_predictor(columns, a, index) - begin), index, count) > FARTHEST
        given_up |= searched & far
    _, information = _derivatives(y, trials, offset + _predictor(columns, a, index), columns, index, count)
    covariances = np.full((count, len(loadings), len(loadings)), np.nan)
    covariances[found] = loadings @ np.linalg.inv((information + untold)[found]) @ loadings.T
    told &= found[:, None]
    estimates = np.where(told, a @ loadings.T, np.nan)
    return estimates, np.where(told[:, :, None] & told[:, None, :], covariances, np.nan)


def _predictor(columns: FloatArray, a: FloatArray, index: IntArray) -> FloatArray:
    eta: FloatArray = np.einsum("nm,nm->n", columns, a[index])
    return eta


def _by_cluster(values: FloatArray, index: IntArray, count: int) -> FloatArray:
    """Sums over the rows of each cluster of values, shape (n, ...)."""
    flat = values.reshape(len(values), -1)
    sums = np.column_stack([np.bincount(index, weights=column, minlength=count) for column in flat.T])
    return sums.reshape(count, *values.shape[1:])


def _largest(values: FloatArray, index: IntArray, count: int) -> FloatArray:
    most = np.zeros(count)
    np.maximum.at(most, index, values)
    return most


def _untold(products: FloatArray, loadings: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """What makes the information regular in directions that columns do not tell, and which combinations they tell.

    Parameters
    ----------
    products : ndarray, shape (J, m, m)
        Products of the columns of each cluster.
    loadings : ndarray, shape (r, m)

    Returns
    -------
    untold : ndarray, shape (J, m, m)
        Zero for clusters whose columns are independent.
    told : ndarray of bool, shape (J, r)
    """
    size = np.sqrt(np.diagonal(products, axis1=1, axis2=2))
    size = np.where(size > 0, size, 1.0)
    values, vectors = np.linalg.eigh(products / (size[:, :, None] * size[:, None, :]))
    null = vectors * (values <= INDEPENDENT)[:, None, :]
    scaled = loadings / size[:, None, :]
    told = np.linalg.norm(scaled @ null, axis=2) <= TOLD * np.linalg.norm(scaled, axis=2)
    stretched = size[:, :, None] * null
    return stretched @ stretched.transpose(0, 2, 1), told


def _regular(products: FloatArray, tolerance: float) -> npt.NDArray[np.bool_]:
    """Whether the smallest eigenvalue of each matrix, shape (J, m, m), is large enough after scaling; shape (J,)."""
    size = np.sqrt(np.diagonal(products, axis1=1, axis2=2))
    regular = (size > 0).all(axis=1)
    scaled = products[regular] / (size[regular, :, None] * size[regular, None, :])
    regular[regular] = np.linalg.eigvalsh(scaled)[:, 0] > tolerance
    return regular


def _log_likelihood(y: FloatArray, trials: FloatArray, eta: FloatArray, index: IntArray, count: int) -> FloatArray:
    """Log-likelihood of each cluster, without the binomial coefficients."""
    return np.bincount(index, weights=y * eta - trials * np.logaddexp(0, eta), minlength=count)


def _derivatives(
    y: FloatArray, trials: FloatArray, eta: FloatArray, columns: FloatArray, index: IntArray, count: int
) -> tuple[FloatArray, FloatArray]:
    """Gradient of each cluster's log-likelihood, shape (J, m), and its information, shape (J, m, m)."""
    from scipy.special import expit

    residual, weight = y * expit(-eta) - (trials - y) * expit(eta), trials * expit(eta) * expit(-eta)
    gradient = _by_cluster(columns * residual[:, None], index, count)
    return gradient, _by_cluster(weight[:, None, None] * columns[:, :, None] * columns[:, None, :], index, count)


def _ascent(
    y: FloatArray,
    trials: FloatArray,
    offset: FloatArray,
    columns: FloatArray,
    index: IntArray,
    a: FloatArray,
    step: FloatArray,
    fit: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The coefficients after a step, halved in each cluster until the likelihood does not fall, and the likelihood."""
    share = np.ones(len(a))
    for _ in range(HALVINGS):
        new = a + share[:, None] * step
        reached = _log_likelihood(y, trials, offset + _predictor(columns, new, index), index, len(a))
        fallen = reached < fit - 1e-12 * (1 + np.abs(fit))
        if not fallen.any():
            break
        share[fallen] /= 2
    return new, reached
