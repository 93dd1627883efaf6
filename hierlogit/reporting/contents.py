"""Contents of the sections of a report, made by this process and a second one that takes over some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from ..errors import HierlogitWarning, StudyError, collected_warnings, warn
from ..fits.repeated_findings import findings_shown
from ..parallel.second_process import second_process
from ..parallel.workers import Workers, workers_of
from ..progress import progress
from .request import Request, attempted

#: Headings and functions of sections, by key.
type Sections = Mapping[str, tuple[str, Callable[[Request], str]]]

#: What the second process returns: a content, and the warnings of this package.
type _Made = tuple[str, list[tuple[str, type[HierlogitWarning]]]]

#: Sections that stay here: the first two share the checks, a build-up has many fits, and the others take no time.
HERE = ("summary", "checks", "build", "estimates", "convergence")
#: Sections that take longest, longest first.
LONG = ("summary", "clusters", "influence", "ranking", "ignoring", "effects", "checks")
#: With fewer of them, a second process takes longer to start than it saves.
FEWEST_LONG = 4
#: Bytes of the posteriors with which a second process would need too much memory.
MOST_BYTES = 2**28


@dataclass(frozen=True)
class _Content:
    """Task that makes the content of one section, with the warnings of this package.

    Attributes
    ----------
    request : Request
    sections : mapping of str to tuple
    settings : dict
        matplotlib's settings, which the process that runs the task takes over.
    """

    request: Request
    sections: Sections
    settings: Any

    def __call__(self, key: str) -> _Made:
        import matplotlib as mpl

        mpl.rcParams.update(self.settings)
        with findings_shown(), collected_warnings() as found:
            return _content(self.request, self.sections, key), found


def contents(request: Request, sections: Sections) -> dict[str, str]:
    """The contents of sections by key; of a section that fails, a line that says why.

    On a machine with more than one processor, a second process makes some of them, unless there is an executor, which
    then has the processors. Whatever it cannot make is made here.

    Parameters
    ----------
    request : Request
    sections : mapping of str to (str, callable)
        Heading and function of each section, by key.
    """
    others = sorted((key for key in sections if key not in HERE), key=_place)
    made: dict[str, str] = {}
    with ExitStack() as stack:
        workers = _workers(request, sections, stack)
        asked = {} if workers is None else {key: workers.submit(None, _made_by, key) for key in others}
        here = [key for key in sections if key in HERE]
        for key in progress(_one_by_one([*here, *others], asked), "Writing the report", total=len(sections)):
            made[key] = _of_second(asked.get(key)) or _content(request, sections, key)
    return made


def _one_by_one(keys: Sequence[str], asked: Mapping[str, Future[_Made]]) -> Iterator[str]:
    """Sections in this order, but those that the second process has begun at the end."""
    begun = []
    for key in keys:
        if key in asked and not asked[key].cancel():
            begun.append(key)
        else:
            yield key
    yield from begun


def _place(key: str) -> int:
    return LONG.index(key) if key in LONG else len(LONG)


def _content(request: Request, sections: Sections, key: str) -> str:
    words, content = sections[key]
    return attempted(words, lambda: content(request))


def _made_by(task: Any, key: str) -> _Made:
    made: _Made = task.read()(key)
    return made


def _of_second(asked: Future[_Made] | None) -> str | None:
    """The content that the second process has made or is making; None if it was not to begin, or fails."""
    if asked is None or asked.cancelled():
        return None
    try:
        content, found = asked.result()
    except Exception:  # it was killed, or has not what the fits need, such as functions of the main module
        return None
    for text, kind in found:
        warn(text, kind)
    return content


def _workers(request: Request, sections: Sections, stack: ExitStack) -> Workers | None:
    """A second process to which the request has been sent; None where it would not help, or cannot be."""
    few = sum(key in LONG for key in sections) < FEWEST_LONG
    large = sum(subject.fit.posterior.nbytes for subject in request.subjects) > MOST_BYTES
    executor = None if few or large or request.executor is not None else stack.enter_context(second_process())
    if executor is None:
        return None
    import matplotlib as mpl

    # Reading the backend would choose one.
    settings: Any = {name: mpl.rcParams[name] for name in mpl.rcParams if name != "backend"}
    task = _Content(replace(request, build=None), sections, settings)
    try:
        return stack.enter_context(workers_of(executor, task))
    except StudyError:  # a fit cannot be pickled, or not be written
        return None
