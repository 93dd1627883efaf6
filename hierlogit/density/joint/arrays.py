"""The arrays of a model from which the joint log density is computed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...numba_support.struct_by_address import by_address

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@by_address
class Joint(NamedTuple):
    """A model's arrays for the joint density; all of one dimension, floats first.

    n rows, p fixed effects, T grouping factors, the first of which orders the rows; q_t effects for each of J_t levels,
    E effects of all factors together, K correlation variables. Arrays by effect and level have one effect after the
    other, levels innermost.
    """

    y: FloatArray  # (n,)
    trials: FloatArray  # (n,)
    offset: FloatArray  # (n,)
    X: FloatArray  # (p n,) columns of the orthogonal basis
    Z: FloatArray  # (E n,)
    weighted_Z: FloatArray  # (q_0 n,) Z of the first factor times the rows' weights at the centre; empty if T is 1
    gamma0: FloatArray  # (p,)
    gamma_scale: FloatArray  # (p p,) gamma = gamma0 + gamma_scale x_fixed
    beta0: FloatArray  # (p,)
    beta_scale: FloatArray  # (p p,) beta = beta0 + beta_scale x_fixed
    centred0: FloatArray  # (p,) coefficients as priors are stated for them: the intercept at the predictors' means
    centred_scale: FloatArray  # (p p,) centred = centred0 + centred_scale x_fixed
    beta_arguments: FloatArray  # (3 p,) location, scale, degrees of freedom
    centre: FloatArray  # (E + K,) log sds, then correlation variables: centre + width x
    width: FloatArray  # (E + K,)
    growth: FloatArray  # (E,) rates of the sds that have a sign, 0 for the others: see `scale_variables`
    attenuation: FloatArray  # (sum of q_t^2,) c^2 times the mean products of each factor's columns: see `attenuation`
    attenuation0: FloatArray  # (2,) log k without the constant at the centre, and m: see `attenuation`
    sd_arguments: FloatArray  # (3 E,)
    cor_power: FloatArray  # (K,) exponents of 1 - tanh(z)^2 in the density of the correlation variables
    # A quadratic approximation of the log-likelihood in the effects b of a level: kappa' b - b' information b / 2 with
    # the score at zero kappa = score - cross_information gamma.
    information: FloatArray  # (sum of q_t^2 J_t,) factor by factor
    score: FloatArray  # (sum of q_t J_t,)
    cross_information: FloatArray  # (sum of q_t J_t p,) for each factor coefficient by coefficient
    # The map of the variables of the K effects of all factors but the first: see `coupling`.
    coupling_by_fixed: FloatArray  # (p K,) fixed effect by fixed effect
    coupling_entry: FloatArray  # entries of the directions, one after the other
    coupling_stretch: FloatArray  # (directions,)
    beta_family: IntArray  # (p,)
    sd_family: IntArray  # (E,)
    set_size: IntArray  # (E,)
    set_first: IntArray  # (E,) first effect of each effect's set, counted within its factor
    cor_start: IntArray  # (E + 1,) correlation variables of each effect's row
    q: IntArray  # (T,)
    levels: IntArray  # (T,)
    level_of: IntArray  # (T n,) level of each row, factor by factor
    row_start: IntArray  # (J_0 + 1,)
    batch_start: IntArray  # levels of the first factor that are handled together
    kind: IntArray  # how many trials the rows of each batch have: see `kernels.binomial_residuals`
    most: IntArray  # levels and rows of the largest batch
    effect_at: IntArray  # (T + 1,) where each factor's effects start among all E
    variable_at: IntArray  # (T + 1,) where each factor's variables start among those of all levels and effects
    information_at: IntArray  # (T + 1,) where each factor's information starts
    coupling_start: IntArray  # (directions + 1,) where the entries of each direction start
    coupling_index: IntArray  # for each entry the variable that it belongs to

    @property
    def several_factors(self) -> bool:
        """Whether there may be other factors than the first."""
        return True


@by_address
class OneFactorJoint(Joint):
    """The arrays of a model with one grouping factor, for which compiled functions leave out what others need."""

    @property
    def several_factors(self) -> bool:
        """Whether there may be other factors than the first."""
        return False


@by_address
class OverdispersedJoint(Joint):
    """The arrays of a model with beta-binomial outcomes: those of `Joint`, with phi after the E sds.

    Its prior and its logarithm, centre and width stand with theirs, and the correlation variables come after it.
    """
