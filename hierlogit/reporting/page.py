"""Fits → one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.resources import files
from os import PathLike
from pathlib import Path

from ..display import element
from ..errors import FitError
from ..fits.diagnostics import versions
from ..fits.fit import Fit
from ..progress import progress
from ..summaries.intervals import Interval
from ..validation import quoted_list
from .html import bullets, heading, paragraph, prose
from .request import Request, Subject, attempted
from .sections import checks, clusters, convergence, data, estimates, formula, variance
from .sections import comparison as beside
from .sections import effects as population
from .sections import influence as influential
from .sections import provenance as making
from .sections import sliders as play

#: Sections by key, with their headings, in the order of the page.
SECTIONS: Mapping[str, tuple[str, Callable[[Request], str]]] = {
    "data": ("Data and clusters", data.content),
    "model": ("Model", formula.content),
    "comparison": ("Models compared", beside.content),
    "convergence": ("Did the computation work?", convergence.content),
    "estimates": ("Estimates", estimates.content),
    "effects": ("Effects on probabilities", population.content),
    "variance": ("Variance between clusters", variance.content),
    "clusters": ("Clusters", clusters.content),
    "checks": ("Checks", checks.content),
    "influence": ("Influence of single clusters", influential.content),
    "play": ("Try it: differences between clusters", play.content),
}
#: The last section, which is always there.
MAKING = ("making", "How this was made")
#: A data set simulated for the checks takes a refit.
REPLICATES = 100


def report(
    fits: Fit | Mapping[str, Fit],
    path: str | PathLike[str] = "report.html",
    *,
    title: str | None = None,
    sections: Sequence[str] | None = None,
    replicates: int = REPLICATES,
    seed: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
) -> Path:
    """Write a report of one fit, or of several side by side, as one HTML file that needs no network.

    Parameters
    ----------
    fits : Fit or mapping of str to Fit
        One fit, or several by the names that the reader is told.
    path : str or path
        Where to write; a file of that name is replaced when the new one is complete.
    title : str, optional
        Of the page; made from the outcome if not given.
    sections : sequence of str, optional
        Which to write, in this order: ``"data"``, ``"model"``, ``"comparison"`` (of several fits), ``"convergence"``,
        ``"estimates"``, ``"effects"``, ``"variance"``, ``"clusters"``, ``"checks"``, ``"influence"``, ``"play"``; all
        if not given. How the report was made always comes last.
    replicates : int
        Data sets that the checks simulate, 50 or more.
    seed : int, optional
        Of all that is simulated for the report; that of the first fit if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    FitError
        If there is no fit, a section is not known, or the file cannot be written.

    Notes
    -----
    A part that cannot be made says why in one line, and loses none of the others. The page has headings, captions, a
    sentence in place of each picture, and works with a keyboard, on a phone and on paper; its one script, which moves
    the curves of the last part, is written to be read.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria")).fit(hl.MAP(seed=1))
    >>> hl.report(fit, "bacteria.html", sections=["data", "estimates"])  # doctest: +SKIP
    PosixPath('bacteria.html')
    """
    subjects = _subjects(fits)
    place = Path(path)
    chosen = _chosen(sections, several=len(subjects) > 1)
    used = subjects[0].fit.diagnostics.seed if seed is None else seed
    asked = Request(
        subjects,
        None if sections is None else chosen,
        Interval.of(ci_prob, ci_kind),
        1 if used is None else int(used),
        replicates,
    )
    made = []
    for key in progress(chosen, "Writing the report"):
        words, content = SECTIONS[key]
        made.append(_section(key, words, attempted(words, lambda content=content: content(asked))))  # type: ignore[misc]
    made.append(_section(*MAKING, attempted(MAKING[1], lambda: making.content(asked, title, place.name))))
    whole = _page(asked, title or _title(asked), [*chosen, MAKING[0]], "".join(made))
    partial = place.with_name(f"{place.name}.partial")
    try:
        partial.write_text(whole, encoding="utf-8")
        partial.replace(place)
    except OSError as error:
        raise FitError(f"cannot write the report to {place}: {error}.") from error
    finally:
        partial.unlink(missing_ok=True)
    return place


def _subjects(fits: Fit | Mapping[str, Fit]) -> tuple[Subject, ...]:
    given = {"": fits} if isinstance(fits, Fit) else fits
    if not isinstance(given, Mapping) or not given:
        raise FitError("report needs a fit, or several by name: hl.report({'one': first, 'other': second}).")
    for name, fit in given.items():
        if not isinstance(fit, Fit):
            raise FitError(f"report: what is given as {name!r} is no fit but of type {type(fit).__name__}.")
    return tuple(Subject(str(name), fit) for name, fit in given.items())


def _chosen(sections: Sequence[str] | None, *, several: bool) -> tuple[str, ...]:
    known = [key for key in SECTIONS if several or key != "comparison"]
    if sections is None:
        return tuple(known)
    if isinstance(sections, str):
        raise FitError(f"sections must be a list: [{sections!r}].")
    for key in sections:
        if key not in known:
            raise FitError(f"there is no section {key!r}; choose from {quoted_list(known)}.")
    return tuple(dict.fromkeys(sections))


def _title(asked: Request) -> str:
    first = asked.subjects[0].design
    by = f" by {first.groups[0].name}" if first.groups else ""
    return f"{first.outcome.event}{by}"


def _section(key: str, words: str, content: str) -> str:
    return element("section", heading(words, 2) + content, id=key)


def _page(asked: Request, title: str, keys: Sequence[str], content: str) -> str:
    names = {key: words for key, (words, _) in SECTIONS.items()} | dict([MAKING])
    links = bullets(element("a", prose(names[key]), href=f"#{key}") for key in keys)
    about = (
        f"{len(asked.subjects)} models compared: {', '.join(one.name for one in asked.subjects)}."
        if asked.several
        else f"A {'mixed-effects ' if asked.subjects[0].design.groups else ''}logistic regression, fitted by "
        f"{asked.subjects[0].fit.diagnostics.engine}."
    )
    assets = files(__package__).joinpath("assets")
    style = assets.joinpath("style.css").read_text(encoding="utf-8")
    head = "".join(
        [
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            element("title", escape(title)),
            element("style", style),
        ]
    )
    body = "".join(
        [
            element("header", element("h1", escape(title)) + paragraph(about)),
            element("nav", links, aria_label="Sections"),
            element("main", content),
            element("footer", paragraph(f"Made with hierlogit {versions()['hierlogit']}.")),
        ]
    )
    script = element("script", assets.joinpath("play.js").read_text(encoding="utf-8")) if "play" in keys else ""
    inside = element("head", head) + element("body", element("div", body, class_="page") + script)
    return f"<!doctype html>\n{element('html', inside, lang='en')}\n"
