"""Priors of standard deviations, elicited as median odds ratios, intraclass correlations or ranges of probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..errors import PriorError
from ..validation import one_of, probability, real_number, shortened, text
from .families import Exponential, Gamma, HalfCauchy, HalfNormal, HalfStudentT, LogNormal, ScalePrior

#: Logarithm of the median odds ratio for a standard deviation of 1: ``sqrt(2) Phi^-1(3/4)``.
LOG_ODDS_RATIO_PER_SD = 0.9538725524089398

#: Families by name: a function of scale and shape, and the default shape, None if the family has only a scale.
FAMILIES: dict[str, tuple[Callable[[float, float], ScalePrior], float | None]] = {
    "exponential": (lambda scale, _: Exponential(1 / scale), None),
    "halfnormal": (lambda scale, _: HalfNormal(scale), None),
    "halfcauchy": (lambda scale, _: HalfCauchy(scale), None),
    "halfstudentt": (lambda scale, nu: HalfStudentT(nu, scale), 3.0),
    "gamma": (lambda scale, alpha: Gamma(alpha, 1 / scale), 2.0),
    "lognormal": (lambda scale, sigma: LogNormal(math.log(scale), sigma), 0.5),
}


def prior_from_mor(
    mor: float, prob: float = 0.05, *, family: str = "exponential", shape: float | None = None
) -> ScalePrior:
    """Prior of the sd of random intercepts under which the median odds ratio exceeds `mor` with probability `prob`.

    For a standard deviation s, the median odds ratio is ``exp(sqrt(2) Phi^-1(3/4) s)``; see `hierlogit.mor`.

    Parameters
    ----------
    mor : float
        An implausibly large median odds ratio; above 1.
    prob : float
        Prior probability of larger values.
    family : {"exponential", "halfnormal", "halfstudentt", "halfcauchy", "gamma", "lognormal"}
        Family of the prior; its scale follows from `mor` and `prob`.
    shape : float, optional
        Degrees of freedom of the half-t (3 if not given), shape of the gamma (2), sigma of the lognormal (0.5).

    Returns
    -------
    ScalePrior
        To be passed as ``Model(..., priors={"sd": prior})``, or with the key ``"sd_<group>"``.

    Raises
    ------
    PriorError
        If `mor` or `prob` is out of range, the family is not known, or no prior of the family fulfils the condition.

    References
    ----------
    Larsen and Merlo (2005), American Journal of Epidemiology 161: 81-88, for the median odds ratio.

    Examples
    --------
    >>> import hierlogit as hl
    >>> print(hl.prior_from_mor(5, prob=0.05))
    Exponential(lam=1.775)
    >>> print(hl.prior_from_mor(5, prob=0.05, family="halfnormal"))
    HalfNormal(sigma=0.8609)
    """
    # The median odds ratio is 1 if clusters do not differ.
    mor = real_number("mor", mor, PriorError, above=1)
    return _with_tail(math.log(mor) / LOG_ODDS_RATIO_PER_SD, prob, family, shape)


def prior_from_icc(
    icc: float, prob: float = 0.05, *, family: str = "exponential", shape: float | None = None
) -> ScalePrior:
    """Prior of the sd of random intercepts under which the latent ICC exceeds `icc` with probability `prob`.

    For one grouping factor with standard deviation s, the intraclass correlation on the latent scale is
    ``s^2 / (s^2 + pi^2 / 3)``; see `hierlogit.icc`.

    Parameters
    ----------
    icc : float
        An implausibly large intraclass correlation; between 0 and 1.
    prob, family, shape
        As for `prior_from_mor`.

    Returns
    -------
    ScalePrior

    Raises
    ------
    PriorError
        If `icc` or `prob` is out of range, the family is not known, or no prior of the family fulfils the condition.

    References
    ----------
    Goldstein, Browne and Rasbash (2002), Understanding Statistics 1: 223-231, for the intraclass correlation.

    Examples
    --------
    >>> import hierlogit as hl
    >>> print(hl.prior_from_icc(0.3, prob=0.05))
    Exponential(lam=2.523)
    """
    icc = probability("icc", icc, PriorError)
    return _with_tail(math.pi / math.sqrt(3) * math.sqrt(icc / (1 - icc)), prob, family, shape)


def prior_from_range(
    low: float,
    high: float,
    *,
    typical: float | None = None,
    share: float = 0.95,
    prob: float = 0.05,
    family: str = "exponential",
    shape: float | None = None,
) -> ScalePrior:
    """Prior of the sd of random intercepts under which the probabilities of most clusters lie between two bounds.

    For a standard deviation s, the share of clusters whose probability is between `low` and `high` is
    ``Phi((logit(high) - logit(typical)) / s) - Phi((logit(low) - logit(typical)) / s)``. Under the prior, this share is
    smaller than `share` with probability `prob`.

    Parameters
    ----------
    low, high : float
        Probabilities of the event.
    typical : float, optional
        Probability in a typical cluster, between `low` and `high`; their midpoint on the logit scale if not given.
    share : float
        Share of the clusters that should lie between the bounds.
    prob : float
        Prior probability that a smaller share lies between them.
    family, shape
        As for `prior_from_mor`.

    Returns
    -------
    ScalePrior

    Raises
    ------
    PriorError
        If the probabilities are not in order or out of range, the family is not known, or no prior of the family
        fulfils the condition.

    Examples
    --------
    The probability is typically 20%, and rarely below 5% or above 50%:

    >>> import hierlogit as hl
    >>> print(hl.prior_from_range(0.05, 0.5, typical=0.2))
    Exponential(lam=4.015)
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr

    low, high, share = (
        probability(name, value, PriorError) for name, value in (("low", low), ("high", high), ("share", share))
    )
    if not low < high:
        raise PriorError(f"low={low:g} must be below high={high:g}.")
    if typical is not None:
        typical = real_number("typical", typical, PriorError, above=low, below=high)
    below, above = _logit(low), _logit(high)
    middle = (below + above) / 2 if typical is None else _logit(typical)

    def excess(log_sd: float) -> float:
        sd = math.exp(log_sd)
        return float(ndtr((above - middle) / sd) - ndtr((below - middle) / sd)) - share

    gap = min(above - middle, middle - below)
    if not gap > 0:  # the probabilities differ, but their logits do not
        given = (low, high) if typical is None else (low, typical, high)
        raise PriorError(
            f"the probabilities {', '.join(map(repr, given))} are too close to each other. Give a wider range."
        )
    nearest = math.log(gap)
    limit = math.exp(brentq(excess, nearest - 10, math.log(above - below) + 40, xtol=1e-12, rtol=1e-12))
    return _with_tail(limit, prob, family, shape)


def implied_odds_ratios(prior: ScalePrior) -> str:
    """Text with the median of the median odds ratio that a prior of random intercepts implies, and its 95% bound.

    Examples
    --------
    >>> implied_odds_ratios(Exponential(1))
    'MOR 1.9 (95 % below 17)'
    """
    middle, high = (math.exp(min(LOG_ODDS_RATIO_PER_SD * prior.quantile(q), 700.0)) for q in (0.5, 0.95))
    return f"MOR {_brief(middle)} (95 % below {_brief(high)})"


def implied_correlation(prior: ScalePrior) -> str:
    """Text with the median of the intra-trial correlation that a prior of phi implies, and its central 90%.

    Examples
    --------
    >>> implied_correlation(LogNormal(3, 2))
    'correlation within rows 0.047 (90 % in 0.0019 to 0.57)'
    """
    low, middle, high = (1.0 / (1.0 + prior.quantile(q)) for q in (0.95, 0.5, 0.05))
    return f"correlation within rows {middle:.2g} (90 % in {low:.2g} to {high:.2g})"


def _brief(value: float) -> str:
    if value < 10:
        return f"{value:.1f}"
    return f"{value:,.0f}" if value < 1e5 else f"{value:.0e}"


def _with_tail(limit: float, prob: float, family: str, shape: float | None) -> ScalePrior:
    """The prior of a family whose scale gives probability `prob` to values above `limit`."""
    prob = probability("prob", prob, PriorError)
    name = text("family", family, PriorError).lower().replace("_", "").replace("-", "")
    if name not in FAMILIES:
        raise PriorError(f"family={shortened(family)} is not allowed; {one_of(list(FAMILIES))}.")
    make, usual = FAMILIES[name]
    if usual is None and shape is not None:
        raise PriorError(f"shape={shortened(shape)}: the family '{name}' has only a scale. Leave shape out.")
    form = 1.0 if usual is None else usual if shape is None else real_number("shape", shape, PriorError, above=0)
    try:
        return make(limit / make(1.0, form).quantile(1 - prob), form)
    except (ArithmeticError, ValueError):  # a scale of 0 or infinity, or one that overflows
        raise PriorError(
            f"no prior of the family '{name}' leaves the probability {prob:g} to values above {limit:.3g}: choose "
            "less extreme values, or another family."
        ) from None


def _logit(p: float) -> float:
    return math.log(p) - math.log1p(-p)
