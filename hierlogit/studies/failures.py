"""Replicates without a result, counted by reason, with what that means for the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import ConvergenceWarning, warn
from ..validation import agree

#: Number of reasons that are named.
SHOWN = 3
#: Share of the replicates without a result from which on there is a warning.
TOLERABLE = 0.05


def count_failures(failures: Mapping[Any, str], run: int, consequence: str, what: str = "replicates") -> Iterator[str]:
    """Sentences about the replicates without a result: how many, why, and what follows; none if there are none.

    Parameters
    ----------
    failures : mapping of object to str
        Reasons by number of the replicate.
    run : int
        Number of replicates that ran.
    consequence : str
        A sentence.
    what : str
        What they are.

    Examples
    --------
    >>> list(count_failures({3: "FitError: no maximum."}, 50, "They are left out."))
    ['1 of 50 replicates (2%) has no result. They are left out.', '1 time: FitError: no maximum.']
    """
    if not failures:
        return
    share = len(failures) / run
    verb = agree(len(failures), "has", "have")
    yield f"{len(failures):,} of {run:,} {what} ({share:.0%}) {verb} no result. {consequence}"
    reasons = Counter(failures.values()).most_common()
    for text, count in reasons[:SHOWN]:
        yield f"{count:,} {agree(count, 'time', 'times')}: {text}"
    if len(reasons) > SHOWN:
        yield f"and {len(reasons) - SHOWN:,} other {agree(len(reasons) - SHOWN, 'reason', 'reasons')}"


def warn_of_failures(failures: Mapping[Any, str], run: int, consequence: str) -> None:
    """Warn at the line that called the public function if more replicates have no result than is tolerable.

    Warns
    -----
    ConvergenceWarning
    """
    if run and len(failures) > TOLERABLE * run:
        warn(" ".join(count_failures(failures, run, consequence)), ConvergenceWarning)
