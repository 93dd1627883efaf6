"""The Python program that reproduces the fits and the report."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..estimate import ROWS
from ..fits.pooled_fit import PooledFit
from ..fits.row_clusters import known_names
from ..priors.defaults import default_priors
from ..priors.families import Decov, Prior
from .request import Request, Subject

if TYPE_CHECKING:
    from ..building.models_tried import Build
    from ..model_spec import ModelSpec

#: Options of engines that do not affect results.
_WITHOUT_EFFECT = {"progress", "cores", "store", "store_u"}


def program(request: Request, title: str | None, path: str) -> str:
    """The program as text.

    Parameters
    ----------
    request : Request
    title : str or None
        Title of the page, if one was given.
    path : str
        File name of the page.
    """
    first = request.subjects[0].design
    table, weights = first.table, first.table.weights
    complete = table.n_repeated or first.n_observations
    columns = ", ".join(map(repr, dict.fromkeys([*table.frame.columns, *(() if weights is None else weights.columns)])))
    lines = [
        "import hierlogit as hl",
        "import pandas as pd",
        "",
        f'rows = pd.read_csv("rows.csv")  # your table: {complete:,} complete rows, with {columns}',
    ]
    options = "".join(f", {text}" for text in _options(request, title))
    if request.build is not None:
        return "\n".join([*lines, *_build(request.build, request.subjects[0], path, options)])
    if not request.several:
        lines += [*_model(request.subjects[0]), f"hl.report(fit, {path!r}{options})"]
        return "\n".join(lines)
    lines.append("fits = {}")
    for subject in request.subjects:
        *above, last = _model(subject)
        lines += [*above, last.replace("fit = ", f"fits[{subject.name!r}] = ", 1)]
    return "\n".join([*lines, f"hl.report(fits, {path!r}{options})"])


def _build(result: Build, subject: Subject, path: str, options: str) -> list[str]:
    settings = "".join(f", {name}={value!r}" for name, value in result.settings.items())
    return [
        f"result = hl.build({result.planned!r}, rows, engine={_engine(subject)}{settings})",
        f"hl.report(result, {path!r}{options})",
    ]


def _options(request: Request, title: str | None) -> list[str]:
    given = [] if title is None else [f"title={title!r}"]
    if request.chosen is not None:
        given.append(f"sections={list(request.chosen)!r}")
    given += [f"replicates={request.replicates}", f"seed={request.seed}"]
    return [*given, f"ci_prob={request.interval.prob:g}", f"ci_kind={request.interval.kind!r}"]


def _model(subject: Subject) -> list[str]:
    """The lines that make the model and its fit, which is the last one."""
    estimate, sampling = subject.fit.estimate, subject.design.sampling
    if estimate is None or estimate.clustered is None:
        return _as_modelled(subject)
    if sampling is not None and estimate.clustered.group == (sampling.top or ROWS):  # what the engine computes itself
        return _as_modelled(subject)
    group, kind = estimate.clustered.group, estimate.clustered.kind
    option = "" if kind == "robust" else f", covariance={kind!r}"
    pooled, known = isinstance(subject.fit, PooledFit), group in known_names(subject.fit.model)
    values = f"tables.loc[tables['.imp'] == 1, {group!r}].to_numpy()" if pooled else f"rows[{group!r}]"
    of_clusters = f"{repr(group) if known else values}{option}"
    again = (
        f"hl.pool([hl.robust(one, {of_clusters}) for one in fit.fits])" if pooled else f"hl.robust(fit, {of_clusters})"
    )
    return [*_as_modelled(subject), f"fit = {again}"]


def _as_modelled(subject: Subject) -> list[str]:
    model = subject.fit.model
    formula, family = model.formula.line, f", family={model.family!r}" if model.overdispersed else ""
    weights = "" if model.weights is None else f", weights=hl.{model.weights!r}"
    priors = _priors(model) if subject.fit.with_priors else []
    if isinstance(subject.fit, PooledFit):
        given = f", priors={{{', '.join(f'{key!r}: {prior}' for key, prior in priors)}}}" if priors else ""
        return [
            'tables = pd.read_csv("imputed.csv")  # imputed tables one below the other, numbered by the column .imp',
            f"fit = hl.fit_imputed({formula!r}, tables, {_engine(subject)}{given}{weights}{family})",
        ]
    if not priors:
        return [f"model = hl.Model({formula!r}, rows{weights}{family})", f"fit = model.fit({_engine(subject)})"]
    entries = [f"    {key!r}: {prior}," for key, prior in priors]
    return [
        "priors = {",
        *entries,
        "}",
        f"model = hl.Model({formula!r}, rows, priors=priors{weights}{family})",
        f"fit = model.fit({_engine(subject)})",
    ]


def _priors(model: ModelSpec) -> list[tuple[str, str]]:
    """The priors that differ from the defaults, by their keys."""
    defaults, priors = default_priors(model.design), model.priors
    changed: list[tuple[str, Prior]] = []
    for label, prior in priors.fixed.items():
        if prior != defaults.fixed[label]:
            changed.append((f"beta[{label}]", prior))
    for group in model.design.groups:
        name = group.result_name
        for effect, sd_prior, default in zip(
            group.effects, priors.sd[group.name], defaults.sd[group.name], strict=True
        ):
            key = f"sd_{name}" if isinstance(sd_prior, Decov) else f"sd_{name}[{effect}]"
            if sd_prior != default and all(key != other for other, _ in changed):
                changed.append((key, sd_prior))
        if group.name in priors.cor and priors.cor[group.name] != defaults.cor[group.name]:
            changed.append((f"cor_{name}", priors.cor[group.name]))
    if priors.phi is not None and priors.phi != defaults.phi:
        changed.append(("phi", priors.phi))
    return [(key, f"hl.priors.{prior!r}") for key, prior in changed]


def _engine(subject: Subject) -> str:
    """The engine with the options that differ from its defaults."""
    from ..engines.registry import resolve_engine

    report = subject.fit.diagnostics
    default: Any = resolve_engine(report.engine)
    usual = {item.name: item.default for item in fields(default)}
    shown = [
        f"{name}={value!r}"
        for name, value in report.settings.items()
        if name in usual.keys() - _WITHOUT_EFFECT and value is not None and usual[name] != value
    ]
    seed = [] if report.seed is None else [f"seed={report.seed}"]
    return f"hl.{report.engine}({', '.join([*shown, *seed])})"
