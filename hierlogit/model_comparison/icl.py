"""The integrated completed likelihood, a criterion that accounts for the uncertainty of the random effects."""

from __future__ import annotations

from ..density.marginal.laplace import LaplaceLikelihood
from ..engines.maximum.integrator import likelihood_at
from ..fits.arguments import require_fit
from ..fits.fit import Fit
from .nesting import maxima


def icl(fit: Fit) -> float:
    """Integrated completed likelihood of a maximum-likelihood fit; smaller is better. Experimental.

    ``ICL = BIC + 2 Ent``, where ``Ent`` is the entropy of the random effects given the outcomes and estimates, by the
    normal approximation at their modes, minus the entropy of their standard normal distribution before the outcomes are
    seen. For standardised effects u with precision matrix H at their modes, ``Ent = -log|H| / 2`` and therefore
    ``ICL = BIC - log|H|``. Among models with equal BIC, the criterion favours the one whose random effects are known
    more precisely. It was developed for latent classes (Biernacki, Celeux and Govaert 2000); for normal effects there
    is no established definition, so look at ``fit.estimate.bic`` as well.

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
    >>> hl.icl(fit) < fit.estimate.bic
    True
    """
    require_fit(fit)
    estimate = maxima({"the fit": fit})["the fit"]
    likelihood = likelihood_at(fit.model, estimate, nodes=1)
    assert isinstance(likelihood, LaplaceLikelihood)
    return estimate.bic - float(likelihood.work.log_det.sum())
