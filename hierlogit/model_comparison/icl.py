"""The integrated completed likelihood, a criterion that accounts for the uncertainty of the random effects."""

from __future__ import annotations

import numpy as np

from ..density.marginal.laplace import LaplaceLikelihood
from ..engines.maximum.integrator import likelihood_at
from ..fits.arguments import NO_LIKELIHOOD, USE_WALD, refuse_pooled, require_unweighted
from ..fits.fit import Fit
from .nesting import maxima


def icl(fit: Fit) -> float:
    """Integrated completed likelihood of a maximum-likelihood fit; smaller is better. Not for choosing a model.

    ``bic`` judges a model by the likelihood of the outcomes, ``icl`` by that of the outcomes together with the most
    probable cluster effects: ``ICL = -2 log p(y, u | estimates) + k log n`` at the modes u of the standardised effects,
    for k parameters and n rows. By Laplace's method this is ``BIC - log|H| + q log(2 pi)``, for q effects whose
    precision matrix at the modes is H.

    The criterion was developed for latent classes (Biernacki, Celeux and Govaert 2000), where it favours classes that
    are well separated. Normal effects of clusters are never well separated: in simulated studies (the page on comparing
    models) it missed random effects that exist in most studies with ten rows in a cluster, and predictors of clusters
    in nearly all, and forms without the constant or with the entropy did no better. `compare` has criteria that choose
    the right model.

    Parameters
    ----------
    fit : Fit
        A fit by Laplace or AGQ.

    Returns
    -------
    float

    Raises
    ------
    FitError
        If the fit is by NUTS or MAP.

    References
    ----------
    Biernacki, Celeux and Govaert (2000), IEEE Transactions on Pattern Analysis and Machine Intelligence 22: 719-725.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ urban + (1 | district)", hl.datasets.load("contraception")).fit("laplace")
    >>> round(fit.estimate.bic), round(hl.icl(fit))
    (2526, 2589)
    """
    require_unweighted(fit, "hl.icl", NO_LIKELIHOOD)
    refuse_pooled(fit, "fit", "A likelihood is that", USE_WALD)
    estimate = maxima({"the fit": fit})["the fit"]
    likelihood = likelihood_at(fit.model, estimate, nodes=1)
    assert isinstance(likelihood, LaplaceLikelihood)
    effects = sum(len(group.levels) * len(group.effects) for group in fit.model.design.groups)
    return estimate.bic - float(likelihood.work.log_det.sum()) + effects * float(np.log(2 * np.pi))
