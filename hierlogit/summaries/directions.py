"""Table of the directions in which clusters vary: principal components of the random effects."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design.grouping import GroupBlock
from ..errors import FitError
from ..fits.arguments import require_fit
from ..fits.fit import Fit
from ..fits.principal_components import PrincipalComponents
from ..fits.repeated_findings import repeats_findings
from ..result_table import ResultTable
from ..validation import flag

FloatArray = npt.NDArray[np.float64]


@repeats_findings
def re_pca(fit: Fit, group: str | None = None, *, standardized: bool = True) -> ResultTable:
    """Principal components of the random effects: in how many directions clusters vary, as lme4's ``rePCA``.

    A covariance matrix of q effects is singular, or nearly so, if the variance lies in fewer than q directions: some
    effect then adds nothing to the others. The title of the table says which.

    Parameters
    ----------
    fit : Fit
        For a fit by a sampler, the posterior mean of the covariance matrix is decomposed.
    group : str, optional
        One grouping factor; all of them if not given.
    standardized : bool
        Whether each effect counts for a change of its predictor by one standard deviation, so that the result does not
        depend on units. If not, it counts for one unit, as in lme4.

    Returns
    -------
    ResultTable
        Indexed by ``group`` and ``direction``, the direction with the largest variance first: its ``sd`` on the logit
        scale, ``share`` of the variance, ``cumulative`` share, and the loading of each effect.

    Raises
    ------
    FitError
        If the model has no random effects, or no such grouping factor.

    References
    ----------
    Bates, Kliegl, Vasishth and Baayen (2015), Parsimonious mixed models, arXiv 1506.04967.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("use ~ urban + age + (1 + urban + age | district)", hl.datasets.load("contraception"))
    >>> hl.re_pca(model.fit("laplace"))
    Directions in which clusters vary (logit scale, one sd of each predictor); given the intercept and
        the slope of urban[Y], the slope of age adds nothing: all of the variance between 'district'
        lies in 2 of 3 directions
      group     direction     sd   share  cumulative  Intercept  urban[Y]     age
      district  1          0.678  0.907        0.907      0.865    -0.496  0.0783
      district  2          0.217  0.0925       1          0.419     0.798  0.433
      district  3          0      0            1         -0.277    -0.341  0.898
    """
    require_fit(fit)
    standardized = flag("standardized", standardized, FitError)
    tables, sentences = [], []
    for factor in fit.model.design.chosen_groups(group):
        units = factor.column_sds if standardized else np.ones(len(factor.effects))
        found = PrincipalComponents.of(factor.effects, units[:, None] * _root(fit, factor))
        # From the last direction backwards, so that what none is left of is exactly 1, or 0 without variance.
        left = np.append(np.cumsum(found.shares[:0:-1])[::-1], 0.0)
        columns = {"sd": found.sds, "share": found.shares, "cumulative": np.round(found.shares.sum()) - left}
        columns |= dict(zip(factor.effects, found.loadings, strict=True))
        directions = [(factor.name, k + 1) for k in range(len(factor.effects))]
        tables.append(pd.DataFrame(columns, pd.MultiIndex.from_tuples(directions, names=["group", "direction"])))
        sentence = found.described(factor.name).removesuffix(".")
        sentences.append(sentence[:1].lower() + sentence[1:])
    what = "one sd of each predictor" if standardized else "one unit of each predictor"
    title = "; ".join(filter(None, [f"Directions in which clusters vary (logit scale, {what})", *sentences]))
    return ResultTable.of(pd.concat(tables), title, spare=("cumulative", "share"))


def _root(fit: Fit, factor: GroupBlock) -> FloatArray:
    """A root of the covariance matrix of a factor's effects, shape (q, q)."""
    if fit.estimate is not None:
        return fit.estimate.cholesky[factor.name]
    dim = fit.model.effect_dim(factor)
    sd = fit.posterior[f"sd_{factor.result_name}"].transpose("chain", "draw", dim).to_numpy()
    covariance = sd[..., :, None] * sd[..., None, :] * np.eye(len(factor.effects))
    if factor.correlated:
        cor = fit.posterior[f"cor_{factor.result_name}"].transpose("chain", "draw", dim, f"{dim}_bis").to_numpy()
        covariance = sd[..., :, None] * sd[..., None, :] * cor
    values, vectors = np.linalg.eigh(covariance.mean(axis=(0, 1)))
    root: FloatArray = vectors * np.sqrt(np.maximum(values, 0.0))
    return root
