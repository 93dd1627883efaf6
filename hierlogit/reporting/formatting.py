"""Numbers -> text a person reads: three digits that mean something, and no more."""

from __future__ import annotations

import math

#: Digits that are shown, and numbers so large or small that they need a power of ten.
DIGITS, LARGE, SMALL = 3, 1e6, 1e-5


def number(value: float) -> str:
    """Write a number with three digits that mean something; whole numbers and thousands in full.

    Examples
    --------
    >>> number(2.12034), number(-0.004559), number(1934), number(-1265.96), number(0.0), number(float("nan"))
    ('2.12', '−0.00456', '1,934', '−1,266', '0', '–')
    >>> number(3.2e-9), number(float("inf"))
    ('3.2e−9', '∞')
    """
    value = float(value)
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size == 0 or (value == round(value) and size < LARGE):
        text = f"{value:,.0f}" if size else "0"
    elif size >= LARGE or size < SMALL:
        mantissa, exponent = f"{value:.1e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
    else:
        decimals = max(0, DIGITS - 1 - math.floor(math.log10(size)))
        text = f"{value:,.{decimals}f}"
    return text.replace("-", "−")


def span(low: float, high: float) -> str:
    """Write an interval.

    Examples
    --------
    >>> span(-0.2, 1.025)
    '−0.200 to 1.02'
    """
    return f"{number(low)} to {number(high)}"


def percent(share: float, decimals: int = 1) -> str:
    """Write a share as a percentage.

    Examples
    --------
    >>> percent(0.39245), percent(float("nan"))
    ('39.2%', '–')
    """
    return "–" if math.isnan(share) else f"{100 * share:.{decimals}f}%".replace("-", "−")


def points(difference: float, *, signed: bool = True) -> str:
    """Write a difference of probabilities in percentage points.

    Examples
    --------
    >>> points(0.15633), points(-0.0004)
    ('+15.6', '−0.04')
    """
    if math.isnan(difference):
        return "–"
    value = 100 * difference
    decimals = 1 if abs(value) >= 0.1 or value == 0 else 2
    return f"{value:{'+' if signed else ''}.{decimals}f}".replace("-", "−")


def probability(value: float) -> str:
    """Write a p-value or a posterior probability, which is never 0 or 1.

    Examples
    --------
    >>> probability(0.0312), probability(0.00002), probability(0.99999)
    ('0.031', '< 0.001', '> 0.999')
    """
    if math.isnan(value):
        return "–"
    if value < 0.001:
        return "< 0.001"
    return "> 0.999" if value > 0.999 else f"{value:.3f}"
