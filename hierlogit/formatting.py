"""Numbers as text with three or four significant digits, for sentences, tables and terminals."""

from __future__ import annotations

import math
import re
from numbers import Integral, Real

#: Significant digits of numbers in sentences; in tables, numbers of 1 and above have one more.
DIGITS = 3
#: Significant digits of Monte Carlo standard errors, and the most of numbers that these round.
MCSE_DIGITS, MOST_DIGITS = 2, 5
#: Significant digits of a standard error, or of the width of an interval, that a number shows at least.
ERROR_DIGITS = 2
#: Numbers beyond these are written with a power of ten.
LARGE, SMALL = 1e6, 1e-5
#: Columns and rows with log-likelihoods and criteria, whose differences matter, not their size.
CRITERIA = (
    *("log_likelihood", "log_posterior", "finer", "aic", "bic", "bic_clusters", "bic_hybrid"),
    *("elpd", "elpd_diff", "difference", "dse"),
)
#: Text for a missing number.
NO_VALUE = "–"
#: LaTeX for its special characters, and in cells of tables for characters that are missing in its usual fonts.
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "_": r"\_",
        "%": r"\%",
        "&": r"\&",
        "#": r"\#",
        "$": r"\$",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        **dict.fromkeys("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029", " "),
    }
)
_LATEX_CELL = _LATEX | str.maketrans(
    {"<": "$<$", ">": "$>$", "|": "$|$", "−": "$-$", "∞": r"$\infty$", "–": "--", "…": r"\dots{}"}
)
#: Replacements of typographic characters that are missing in some terminals and encodings.
PLAIN = str.maketrans({"−": "-", NO_VALUE: "-", "∞": "inf"}) | {
    # Characters that control a terminal, as they may stand in names of columns and levels.
    code: f"\\x{code:02x}"
    for code in (*range(32), *range(127, 160))
    if chr(code) not in "\t\n"
}


def number(value: float, error: float | None = None) -> str:
    """A number with three significant digits; whole numbers and thousands are written in full.

    Parameters
    ----------
    value : float
    error : float, optional
        Its standard error: the number has at least the decimals of two significant digits of it.

    Examples
    --------
    >>> number(2.12034), number(-0.004559), number(1934), number(-1265.96), number(0.0), number(float("nan"))
    ('2.12', '−0.00456', '1,934', '−1,266', '0', '–')
    >>> number(3.2e-9), number(float("inf"))
    ('3.2e−9', '∞')
    >>> number(0.12341, error=0.001), number(0.12341, error=0.02)
    ('0.1234', '0.123')
    """
    return _significant(float(value), DIGITS, error)


def _significant(value: float, digits: int, error: float | None = None) -> str:
    if math.isnan(value):
        return NO_VALUE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size == 0 or (value == round(value) and size < LARGE):
        text = f"{value:,.0f}" if size else "0"
    elif size >= LARGE or size < SMALL:
        mantissa, exponent = f"{value:.1e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
    else:
        decimals = max(0, digits - 1 - math.floor(math.log10(size)), _decimals_of(error))
        text = f"{value:,.{decimals}f}"
    return text.replace("-", "−")


def _decimals_of(error: float | None) -> int:
    """The decimals of a standard error's first two significant digits; none if it is not a positive number."""
    if not isinstance(error, Real) or not SMALL <= error < math.inf:
        return 0
    return max(0, ERROR_DIGITS - 1 - math.floor(math.log10(error)))


def cell(column: str, value: object, mcse: float | None = None, error: float | None = None) -> str:
    """A cell of a table of results.

    Parameters
    ----------
    column : str
        Name of its column: probabilities begin with ``p_`` or are a ``weight``, effective sample sizes begin with
        ``ess``, Monte Carlo standard errors begin or end with ``mcse``; ``r_hat`` has three decimals, criteria such as
        ``aic`` two.
    value : object
    mcse : float, optional
        Monte Carlo standard error of the value, which limits its decimals.
    error : float, optional
        Standard error of the value, of which two significant digits are shown: it has at least their decimals.

    Examples
    --------
    >>> cell("mean", -1.07272), cell("sd", 0.18734), cell("mean", -0.004493), cell("width", 25.0312)
    ('−1.073', '0.187', '−0.00449', '25.03')
    >>> cell("ess_bulk", 2651.13), cell("rows", 1934), cell("p_value", 1e-8), cell("se", float("nan")), cell("arm", "a")
    ('2,651', '1,934', '< 0.001', '–', 'a')
    >>> cell("mean", 0.75831, mcse=0.0031), cell("mean", 0.75831, mcse=0.031), cell("aic", 2496.8503)
    ('0.758', '0.76', '2,496.85')
    >>> cell("estimate", 0.75831, error=0.00092), cell("estimate", 0.75831, error=0.092)
    ('0.75831', '0.758')
    """
    if isinstance(value, Integral) and not isinstance(value, bool):
        return f"{int(value):,}".replace("-", "−")
    if not isinstance(value, Real) or isinstance(value, bool):
        return NO_VALUE if is_missing(value) else str(value)
    size = float(value)
    if column.startswith("p_") or column in ("adjusted_p", "weight"):
        return probability(size)
    if column.startswith("ess") and math.isfinite(size):
        return f"{size:,.0f}"
    if column == "r_hat" and math.isfinite(size):
        return f"{size:.3f}"
    if column.startswith("mcse_") or column.endswith("_mcse"):
        return _significant(size, MCSE_DIGITS)
    if column in CRITERIA:
        return criterion(size)
    if isinstance(mcse, Real) and math.isfinite(mcse) and mcse > 0 and SMALL <= abs(size) < LARGE:
        return _known_to(size, mcse)
    return _significant(size, DIGITS + (abs(size) >= 1), error)


def is_missing(value: object) -> bool:
    """Whether a value stands for a missing one: None, NaN, NaT or pandas' NA.

    Examples
    --------
    >>> is_missing(float("nan")), is_missing(None), is_missing("nan")
    (True, True, False)
    """
    return value is None or (not isinstance(value, str) and str(value) in {"nan", "NaT", "<NA>"})


def _known_to(value: float, mcse: float) -> str:
    """A number with the decimals that twice its Monte Carlo standard error leaves, as in ``arviz_stats.summary``."""
    decimals = max(-math.floor(math.log10(2 * mcse)), 0)
    most = max(MOST_DIGITS - 1 - math.floor(math.log10(abs(value))), 0)
    return f"{value:,.{min(decimals, most)}f}".replace("-", "−")


def fixed(value: float, decimals: int) -> str:
    """A number with a number of decimals.

    Examples
    --------
    >>> fixed(-1180.30514, 3)
    '−1,180.305'
    """
    return f"{value:,.{max(decimals, 0)}f}".replace("-", "−")


def criterion(value: float) -> str:
    """A log-likelihood or information criterion with two decimals, since differences matter.

    Examples
    --------
    >>> criterion(-1180.30514)
    '−1,180.31'
    """
    return f"{value:,.2f}".replace("-", "−") if math.isfinite(value) else number(value)


def plain(text: str) -> str:
    r"""The text without typographic and control characters, for terminals and files in any encoding.

    Examples
    --------
    >>> plain(number(-1.5)), plain(number(float("inf"))), plain(number(float("nan")))
    ('-1.50', 'inf', '-')
    >>> print(plain("\x1b[31mred"))
    \x1b[31mred
    """
    return text.translate(PLAIN)


def latex_escaped(words: str) -> str:
    r"""The words as text of LaTeX, on one line.

    Examples
    --------
    >>> print(latex_escaped("a_b & 5%"))
    a\_b \& 5\%
    """
    return " ".join(words.split()).translate(_LATEX)


def latex_cell(words: str) -> str:
    r"""The words as a cell of a table in LaTeX, whatever its fonts have.

    Examples
    --------
    >>> print(latex_cell("−0.62"), latex_cell("< 0.001"), latex_cell("sd_district"))
    $-$0.62 $<$ 0.001 sd\_district
    """
    return " ".join(words.split()).translate(_LATEX_CELL)


def markdown_cell(words: str) -> str:
    r"""The words as a cell of a table in Markdown, without HTML.

    Examples
    --------
    >>> print(markdown_cell("(1 | district)"), markdown_cell("<b>"), markdown_cell("< 0.001"))
    (1 \| district) \<b> < 0.001
    """
    return re.sub(r"<(?=[A-Za-z/!?])", r"\\<", " ".join(words.split()).replace("|", "\\|"))


def span(low: float, high: float) -> str:
    """An interval, with two significant digits of its width or more.

    Examples
    --------
    >>> span(-0.2, 1.025), span(1.2341, 1.2389)
    ('−0.200 to 1.02', '1.2341 to 1.2389')
    """
    return f"{number(low, high - low)} to {number(high, high - low)}"


def percent(share: float, decimals: int = 1) -> str:
    """A share as a percentage.

    Examples
    --------
    >>> percent(0.39245), percent(float("nan"))
    ('39.2%', '–')
    """
    return NO_VALUE if math.isnan(share) else f"{100 * share:.{decimals}f}%".replace("-", "−")


def points(difference: float, *, signed: bool = True) -> str:
    """A difference of probabilities in percentage points.

    Examples
    --------
    >>> points(0.15633), points(-0.0004)
    ('+15.6', '−0.04')
    """
    if math.isnan(difference):
        return NO_VALUE
    value = 100 * difference
    decimals = 1 if abs(value) >= 0.1 or value == 0 else 2
    return f"{value:{'+' if signed else ''}.{decimals}f}".replace("-", "−")


def probability(value: float) -> str:
    """A p-value or posterior probability, which is never written as 0 or 1.

    Examples
    --------
    >>> probability(0.3124), probability(0.001418), probability(0.00002), probability(0.99999)
    ('0.312', '0.0014', '< 0.001', '> 0.999')
    """
    if math.isnan(value):
        return NO_VALUE
    if value < 0.001:
        return "< 0.001"
    if value > 0.999:
        return "> 0.999"
    return f"{value:.4f}" if value < 0.00995 else f"{value:.3f}"


def p_value(value: float) -> str:
    """A p-value for a sentence.

    Examples
    --------
    >>> p_value(0.0312), p_value(0.00002)
    ('p = 0.031', 'p < 0.001')
    """
    text = probability(value)
    return f"p {text}" if text[0] in "<>" else f"p = {text}"
