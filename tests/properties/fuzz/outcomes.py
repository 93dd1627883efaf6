"""What may come of a call: an error of this package, or a result that is sane. Anything else fails a fuzz test.

`attempt` makes a call and watches what it must leave alone: output, warnings, and the state of the process. `tally`
counts how the calls ended.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from hierlogit import errors
from hierlogit.errors import HierlogitError, HierlogitWarning
from hierlogit.fits.fit import Fit
from hierlogit.result_table import HasTables
from hierlogit.results import ShardedFit

from .tables import SCRIPT

#: Seconds after which a call counts as one that does not end; the first may compile.
LONGEST = 300
#: The name of an error or a warning with its message.
NAMED_ERROR = re.compile(r"\b([A-Z]\w*(?:Error|Exception|Warning)): ")

#: How the calls of each kind ended: "result", "finding" (a result with findings or a warning of ours) or "error".
tally: Counter[tuple[str, str]] = Counter()


@dataclass(frozen=True)
class Outcome:
    """The value of a call, or the error of this package that it ended in, and the warnings that it gave."""

    value: Any = None
    error: HierlogitError | None = None
    warned: tuple[str, ...] = ()


# ---- what a call leaves alone --------------------------------------------------------------------------------------


@contextlib.contextmanager
def untouched() -> Iterator[list[str]]:
    """Whatever happens within prints nothing and changes nothing of the process; yields the warnings of ours."""
    streams, printed = (sys.stdout, sys.stderr), (io.StringIO(), io.StringIO())
    said: list[str] = []
    state, settings, folder = np.geterr(), dict(mpl.rcParams), Path.cwd()
    environment = dict(os.environ)
    sys.stdout, sys.stderr = printed
    try:
        # Warnings of others are errors, by the settings of the tests.
        with warnings.catch_warnings(record=True) as caught:
            warnings.filterwarnings("always", category=HierlogitWarning)
            filters = [one for one in warnings.filters if "decode_timedelta" not in str(one[1])]
            yield said
            left = [one for one in warnings.filters if "decode_timedelta" not in str(one[1])]  # xarray's, for any file
        said += [str(warning.message) for warning in caught]
        strangers = [warning for warning in caught if not issubclass(warning.category, HierlogitWarning)]
        assert not strangers, f"a warning of others: {strangers[0]}"
        assert (sys.stdout, sys.stderr) == printed, "the output of the process was exchanged"
    finally:
        sys.stdout, sys.stderr = streams
        plt.close("all")
    assert [stream.getvalue() for stream in printed] == ["", ""], "something was printed"
    assert left == filters, f"the filters of warnings were changed: {set(left) ^ set(filters)}"
    assert np.geterr() == state, "NumPy's handling of errors was changed"
    assert dict(mpl.rcParams) == settings, "settings of matplotlib were changed"
    assert dict(os.environ) == environment, "the environment was changed"
    assert Path.cwd() == folder, "the folder was changed"


def no_canary() -> None:
    """Text of the user was not evaluated."""
    assert not Path("canary").exists(), "text was evaluated"
    assert not Path("canary.npy").exists(), "text was evaluated"


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """A call within that does not end fails the test, where the system has a clock for it."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def late(*_: object) -> None:
        raise AssertionError(f"the call did not end within {LONGEST} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(kind: str, call: Callable[[], Any], words: Sequence[object] = ()) -> Outcome:
    """The outcome of a call, counted as one of `kind`.

    Parameters
    ----------
    kind : str
    call : callable
    words : sequence
        An error mentions one of them, if there are some.
    """
    value = error = None
    with untouched() as said, in_time():
        try:
            value = call()
        except HierlogitError as raised:
            error = raised
    no_canary()
    if error is not None:
        check_error(error, words)
        tally[kind, "error"] += 1
    else:
        failures = getattr(value, "failures", None)
        for reason in failures.values() if isinstance(failures, Mapping) else ():
            check_reason(str(reason))
        tally[kind, "finding" if said or findings_of(value) else "result"] += 1
    return Outcome(value, error, tuple(said))


def findings_of(value: Any) -> list[str]:
    """Codes of the findings of a fit or a check."""
    holder = value.diagnostics if isinstance(value, (Fit, ShardedFit)) else value
    found = getattr(holder, "findings", None)
    return [finding.code for finding in found] if isinstance(found, tuple) else []


def check_error(error: HierlogitError, words: Sequence[object]) -> None:
    """An error has a message, which mentions what was given."""
    text = str(error)
    assert re.search(r"[a-z]{3}", text), f"no message: {text!r}"
    assert not re.search(r"(?i)traceback|<(class|function|object|built-in)|object at 0x", text), f"raw: {text}"
    assert type(error).__module__.startswith("hierlogit."), f"an error from {type(error).__module__}"
    if words:
        assert any(str(word) in text or repr(word)[1:-1] in text for word in words), f"nothing of {words} in: {text}"


def check_reason(text: str) -> None:
    """Of many searches or fits, those that failed did so with errors of this package."""
    for name in NAMED_ERROR.findall(text):
        assert hasattr(errors, name), f"an error of another library: {text}"


# ---- sane results --------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Checks that the elements of HTML are closed in order and that there is no script."""

    VOID = frozenset({"br", "img", "hr", "meta", "link", "input", "wbr", "col"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not any(name.startswith("on") for name, _ in attrs), f"an event in <{tag}>"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"


def check_shown(value: Any) -> None:
    """A result is shown as text and HTML, with the user's words escaped."""
    if isinstance(value, (str, bytes, int, float, type(None))):
        return
    assert repr(value), "no text"
    if hasattr(value, "_repr_html_") and type(value).__module__.startswith("hierlogit"):
        html = value._repr_html_()
        if html is not None:
            assert SCRIPT not in html, "a script in HTML"
            assert "<b>bold" not in html, "markup of the user's in HTML"
            Page(html)


ENDS = re.compile(r"(eti|hdi|wald|profile|simultaneous)[\d_e-]+_(lb|ub)")
#: Columns of results that are probabilities or shares, wherever they are.
SHARES = (
    *("p_value", "p_direction", "p_rope", "p_hypothesis", "p_equivalence", "p_above_1"),
    *("fitted", "weight"),
)
#: Columns that cannot be negative.
SPREADS = ("sd", "se", "conditional_sd", "mcse_mean", "mcse_sd")


def check_table(table: pd.DataFrame, explained: bool) -> None:
    """Intervals are in order, probabilities between 0 and 1; numbers are finite unless something explains it."""
    if table.columns.nlevels > 1:
        for block in table.columns.get_level_values(0).unique():
            check_table(pd.DataFrame(table[block]), explained)
        return
    columns = [str(name) for name in table.columns]
    if len(set(columns)) < len(columns):
        return
    numbers = {name: table[name].to_numpy(dtype=float, na_value=np.nan) for name in numeric_columns(table)}
    for name, low in numbers.items():
        if (found := ENDS.fullmatch(name)) and found[2] == "lb":
            high = numbers.get(name[:-2] + "ub")
            assert high is not None, f"no upper end to {name}"
            assert not (low > high).any(), f"{name} is above the upper end"
            if "median" in numbers and found[1] == "eti":
                middle = numbers["median"]
                assert not ((middle < low) | (middle > high)).any(), f"the median is outside of {name}"
            if "estimate" in numbers and found[1] in ("wald", "profile"):
                middle = numbers["estimate"]
                assert not ((middle < low - 1e-9) | (middle > high + 1e-9)).any(), f"the estimate is outside of {name}"
    for name in SHARES:
        if name in numbers:
            assert not ((numbers[name] < 0) | (numbers[name] > 1)).any(), f"{name} is no probability"
    for name in SPREADS:
        if name in numbers:
            assert not (numbers[name] < 0).any(), f"{name} is negative"
    if not explained:
        for name in ("estimate", "mean", "median", "sd", "se", *filter(ENDS.fullmatch, columns)):
            if name in numbers:
                bad = ~np.isfinite(numbers[name])
                if name.startswith("profile"):  # correlations have no profile interval
                    bad &= ~table.index.astype(str).str.startswith("cor_")
                assert not bad.any(), f"{name} is {numbers[name][bad][0]} without a finding:\n{table.to_string()}"


def tables_of(value: Any) -> list[pd.DataFrame]:
    """The tables of a result that is not itself one."""
    return list(value._tables().values()) if isinstance(value, HasTables) else []


def numeric_columns(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table.columns if pd.api.types.is_numeric_dtype(table[name].dtype)]


def check_probabilities(table: pd.DataFrame) -> None:
    if "hypothesis" in table:  # differences of probabilities
        return
    for name in ("estimate", "mean", "median", *filter(ENDS.fullmatch, map(str, table.columns))):
        if name in table:
            values = table[name].to_numpy(dtype=float)
            assert not ((values < -1e-12) | (values > 1 + 1e-12)).any(), f"{name} is no probability: {values}"


def same(one: Any, other: Any) -> bool:
    """Whether two results of the same call are the same."""
    if isinstance(one, pd.DataFrame):
        pair = (pd.DataFrame(table).drop(columns="seconds", errors="ignore") for table in (one, other))
        pd.testing.assert_frame_equal(*pair)
        return True
    if isinstance(one, HasTables):
        return all(same(*pair) for pair in zip(tables_of(one), tables_of(other), strict=True))
    if isinstance(one, float):
        return one == other or (np.isnan(one) and np.isnan(other))
    return repr(one) == repr(other)
