"""The rows' part of the joint density for each distribution of the outcomes, chosen when it is compiled.

The type of a model's arrays says which distribution its outcomes have, so that each density has the machine code of its
own alone. What all rows share is kept in the last numbers of a batch's scratch.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import by_type
from ..kernels.beta_binomial import add_rows as add_beta_binomial_rows
from ..kernels.binomial_residuals import add_rows as add_binomial_rows
from .arrays import Joint, OneFactorJoint, OverdispersedJoint

FloatArray = npt.NDArray[np.float64]

#: Numbers at the end of a batch's scratch: 1 / phi, and the derivative of the rows' log-likelihood in it.
SHARED = 2


def begin_rows(joint: Joint, sd: FloatArray, scratch: FloatArray) -> None:
    """Keep what all rows share; `sd` has the sds and, behind them, phi."""
    raise NotImplementedError


def add_rows(
    joint: Joint,
    k: int,
    y: FloatArray,
    trials: FloatArray,
    eta: FloatArray,
    residual: FloatArray,
    scratch: FloatArray,
) -> float:
    """Log-likelihood of the rows of batch k; writes its derivatives in the linear predictors to `residual`."""
    raise NotImplementedError


def end_rows(joint: Joint, dunbounded: FloatArray, sd: FloatArray, scratch: FloatArray) -> None:
    """Add what reaches the log of phi to the derivative in log sds."""
    raise NotImplementedError


def _begin_binomial(_joint: Joint, _sd: FloatArray, _scratch: FloatArray) -> None:
    pass


def _begin_overdispersed(_joint: Joint, sd: FloatArray, scratch: FloatArray) -> None:
    scratch[len(scratch) - 2] = 1.0 / sd[len(sd) - 1]
    scratch[len(scratch) - 1] = 0.0


def _add_binomial(
    joint: Joint,
    k: int,
    y: FloatArray,
    trials: FloatArray,
    eta: FloatArray,
    residual: FloatArray,
    _scratch: FloatArray,
) -> float:
    return add_binomial_rows(joint.kind[k], y, trials, eta, residual)


def _add_overdispersed(
    _joint: Joint,
    _k: int,
    y: FloatArray,
    trials: FloatArray,
    eta: FloatArray,
    residual: FloatArray,
    scratch: FloatArray,
) -> float:
    value, slope = add_beta_binomial_rows(y, trials, eta, scratch[len(scratch) - 2], residual)
    scratch[len(scratch) - 1] += slope
    return value


def _end_binomial(_joint: Joint, _dunbounded: FloatArray, _sd: FloatArray, _scratch: FloatArray) -> None:
    pass


def _end_overdispersed(_joint: Joint, dunbounded: FloatArray, sd: FloatArray, scratch: FloatArray) -> None:
    # The derivative of 1 / phi in log phi is -1 / phi.
    dunbounded[len(sd) - 1] -= scratch[len(scratch) - 2] * scratch[len(scratch) - 1]


BINOMIAL = Joint, OneFactorJoint
by_type(begin_rows, dict.fromkeys(BINOMIAL, _begin_binomial) | {OverdispersedJoint: _begin_overdispersed})
by_type(add_rows, dict.fromkeys(BINOMIAL, _add_binomial) | {OverdispersedJoint: _add_overdispersed})
by_type(end_rows, dict.fromkeys(BINOMIAL, _end_binomial) | {OverdispersedJoint: _end_overdispersed})
