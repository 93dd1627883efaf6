"""The integrated completed likelihood: a criterion that counts how well the random effects are known."""

from __future__ import annotations

from ..density.marginal.laplace import LaplaceLikelihood
from ..engines.maximum.integrator import likelihood_at
from ..fits.fit import Fit
from .nesting import maxima


def icl(fit: Fit) -> float:
    """Integrated completed likelihood of a fit by a likelihood engine; smaller is better. Experimental.

    ``ICL = BIC + 2 Ent`` with ``Ent`` the entropy of the random effects given outcomes and estimates, under the normal
    distribution about their modes, less that of the standard normal distribution they have beforehand. For the
    standardised effects u with the precision H at their modes that is ``Ent = -log|H| / 2``, so that
    ``ICL = BIC - log|H|``: among models with equal BIC the criterion favours the one whose clusters the outcomes tell
    apart. Latent classes, for which the criterion was made (Biernacki, Celeux and Govaert 2000), have an entropy of
    their own; there is no settled definition for normal effects, so compare with `fit.estimate.bic` beside it.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    float

    Raises
    ------
    FitError
        If the fit is by a sampler or by MAP.

    References
    ----------
    Biernacki, Celeux and Govaert (2000), IEEE Transactions on Pattern Analysis and Machine Intelligence 22: 719-725.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ urban + (1 | district)", hl.datasets.load("contraception")).fit("laplace")
    >>> hl.icl(fit) < fit.estimate.bic
    True
    """
    estimate = maxima({"the fit": fit})["the fit"]
    likelihood = likelihood_at(fit.model, estimate, nodes=1)
    assert isinstance(likelihood, LaplaceLikelihood)
    return estimate.bic - float(likelihood.work.log_det.sum())
