"""The report of one or several fits as a self-contained HTML file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.resources import files
from os import PathLike
from pathlib import Path
from urllib.parse import quote

from ..building.models_tried import Build
from ..diagnostics.fit.check import FEWEST_REPLICATES
from ..display import element
from ..errors import FitError
from ..explorer import page as explorer
from ..fits.arguments import require_fit
from ..fits.diagnostics import versions
from ..fits.fit import Fit
from ..fits.repeated_findings import findings_shown
from ..parallel.workers import AnyExecutor, check_executor
from ..summaries.intervals import Interval
from ..validation import file_path, kind_of, names, reason_of, seed_or_none, shortened, text, whole_number
from ..whole_files import written_whole
from .contents import contents
from .html import bullets, heading, paragraph, prose
from .request import Request, Subject, attempted
from .sections import (
    building,
    checks,
    clusters,
    comparison,
    convergence,
    data,
    effects,
    estimates,
    formula,
    ignoring,
    influence,
    provenance,
    ranking,
    sliders,
    summary,
    variance,
)

#: Sections by key, with heading and function, in the order of the page.
SECTIONS: Mapping[str, tuple[str, Callable[[Request], str]]] = {
    "summary": ("Summary", summary.content),
    "data": ("Data and clusters", data.content),
    "model": ("Model", formula.content),
    "build": ("How the model was built up", building.content),
    "comparison": ("Comparison of models", comparison.content),
    "convergence": ("Did the computation work?", convergence.content),
    "estimates": ("Estimates", estimates.content),
    "effects": ("Effects on probabilities", effects.content),
    "variance": ("Variance between clusters", variance.content),
    "clusters": ("Clusters", clusters.content),
    "ranking": ("Comparison of clusters", ranking.content),
    "ignoring": ("What ignoring clusters would do", ignoring.content),
    "checks": ("Checks", checks.content),
    "influence": ("Influence of single clusters", influence.content),
    "sliders": ("Try it: differences between clusters", sliders.content),
}
#: Key and heading of the last section, which is always included.
PROVENANCE = ("provenance", "How this report was made")
#: Data sets simulated for the checks; each takes a refit.
REPLICATES = 200


class ReportPath(Path):
    """The path of a report, which notebooks show as a link."""

    def with_segments(self, *segments: str | PathLike[str]) -> Path:  # type: ignore[override]
        """Paths made from this one, such as its folder, are no reports."""
        return Path(*segments)

    def _repr_html_(self) -> str:
        return element("a", escape(self.name), href=quote(self.as_posix()), target="_blank")


@findings_shown()
def report(
    fits: Fit | Mapping[str, Fit] | Build,
    path: str | PathLike[str] = "report.html",
    *,
    title: str | None = None,
    sections: Sequence[str] | None = None,
    replicates: int = REPLICATES,
    seed: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    executor: AnyExecutor | None = None,
) -> Path:
    """Path of the report of one or several fits, written as a self-contained HTML file.

    Parameters
    ----------
    fits : Fit, mapping of str to Fit, or Build
        One fit, several fits by name, or the result of `build`, whose proposed model is reported.
    path : str or path
        File to write; an existing one is replaced once the new one is complete.
    title : str, optional
        Title of the page; derived from the outcome if not given.
    sections : sequence of str, optional
        Sections to include, in this order: ``"summary"``, ``"data"``, ``"model"``, ``"build"`` (of a
        build-up), ``"comparison"`` (with several fits), ``"convergence"``, ``"estimates"``, ``"effects"``,
        ``"variance"``, ``"clusters"``, ``"ranking"`` (clusters compared with what is expected of them), ``"ignoring"``
        (what a regression without clusters gets wrong), ``"checks"``, ``"influence"``, ``"sliders"`` (sliders that show
        the effect of differences between clusters); all if not given. How the report was made always comes last.
    replicates : int
        How many data sets to simulate for the checks, at least 50.
    seed : int, optional
        Makes all simulations of the report reproducible; the seed of the first fit if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes the simulations and refits of the sections over workers, as for `bootstrap`. If not given, a second
        process of this machine makes some of the sections.

    Returns
    -------
    pathlib.Path
        The file, which notebooks show as a link.

    Raises
    ------
    FitError
        If there is no fit, a section is not known, or the file cannot be written.
    StudyError
        If `executor` is not an executor.

    Notes
    -----
    The page needs no network. If a part cannot be computed, a line says why, and the other parts are unaffected. The
    page has headings, captions and text alternatives of all plots, and can be used with a keyboard, on a phone and
    in print, where long tables of fits after the first are left out unless they are opened. Its scripts move the
    curves of the sliders and copy texts.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria")).fit(hl.MAP(seed=1))
    >>> hl.report(fit, "bacteria.html", sections=["data", "estimates"])  # doctest: +SKIP
    ReportPath('bacteria.html')
    """
    built = fits if isinstance(fits, Build) else None
    subjects = _subjects(fits.fit if isinstance(fits, Build) else fits)
    place = file_path("path", path, FitError)
    if title is not None:
        title = text("title", title, FitError)
    chosen = _chosen(sections, several=len(subjects) > 1, built=built is not None)
    replicates = whole_number("replicates", replicates, FitError, least=FEWEST_REPLICATES)
    seed = seed_or_none("seed", seed, FitError)
    check_executor(executor)
    used_seed = subjects[0].fit.diagnostics.seed if seed is None else seed
    request = Request(
        subjects,
        None if sections is None else chosen,
        Interval.of(ci_prob, ci_kind),
        1 if used_seed is None else int(used_seed),
        replicates,
        built,
        executor,
    )
    made = contents(request, {key: SECTIONS[key] for key in chosen})
    parts = [_section(key, SECTIONS[key][0], made[key]) for key in chosen]
    last = attempted(PROVENANCE[1], lambda: provenance.content(request, title, place.name))
    parts.append(_section(*PROVENANCE, last))
    whole = _page(request, title or _title(request), [*chosen, PROVENANCE[0]], "".join(parts))
    try:
        with written_whole(place) as partial:
            partial.write_text(whole, encoding="utf-8")
    except OSError as error:
        raise FitError(f"cannot write the report to {place}: {reason_of(error)}.") from error
    return ReportPath(place)


def _subjects(fits: Fit | Mapping[str, Fit]) -> tuple[Subject, ...]:
    given = {"": fits} if isinstance(fits, Fit) else fits
    if not isinstance(given, Mapping) or not given:
        raise FitError(
            "report needs a fit, or several by name, hl.report({'one': first, 'other': second}); got "
            f"{kind_of(given)}."
        )
    for name, fit in given.items():
        require_fit(fit, f"fits[{shortened(name)}]")
    return tuple(Subject(str(name), fit) for name, fit in given.items())


def _chosen(sections: Sequence[str] | None, *, several: bool, built: bool) -> tuple[str, ...]:
    left_out = {"comparison": not several, "build": not built}
    known = [key for key in SECTIONS if not left_out.get(key, False)]
    if sections is None:
        return tuple(known)
    return tuple(names("sections", sections, known, FitError, "section", "the report"))


def _title(request: Request) -> str:
    first = request.subjects[0].design
    by = f" by {first.groups[0].name}" if first.groups else ""
    return f"{first.outcome.event}{by}"


def _section(key: str, words: str, content: str) -> str:
    return element("section", heading(words, 2) + content, id=key)


def _page(request: Request, title: str, keys: Sequence[str], content: str) -> str:
    headings = {key: words for key, (words, _) in SECTIONS.items()} | dict([PROVENANCE])
    links = bullets(element("a", prose(headings[key]), href=f"#{key}") for key in keys)
    about = (
        f"{len(request.subjects)} models compared: {', '.join(subject.name for subject in request.subjects)}."
        if request.several
        else f"A {'mixed-effects ' if request.subjects[0].design.groups else ''}logistic regression, fitted by "
        f"{request.subjects[0].engine}."
    )
    assets = files(__package__).joinpath("assets")
    moving = "sliders" in keys
    style = assets.joinpath("style.css").read_text(encoding="utf-8") + (
        explorer.asset("explorer.css") if moving else ""
    )
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
    script = element("script", assets.joinpath("copy.js").read_text(encoding="utf-8"))
    script += explorer.script() if moving else ""
    inside = element("head", head) + element("body", element("div", body, class_="page") + script)
    return f"<!doctype html>\n{element('html', inside, lang='en')}\n"
