"""Fits -> the Python program that makes them again, and the report of them."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..priors.defaults import default_priors
from ..priors.families import Decov, Prior
from .request import Request, Subject

if TYPE_CHECKING:
    from ..model_spec import ModelSpec

#: Options of engines that change no result.
_WITHOUT_EFFECT = ("progress", "cores", "store", "store_u")


def program(asked: Request, title: str | None, path: str) -> str:
    """Write the program.

    Parameters
    ----------
    asked : Request
    title : str or None
        Of the page, if one was given.
    path : str
        Of the page.
    """
    first = asked.subjects[0].design
    columns = ", ".join(map(repr, first.table.frame.columns))
    lines = [
        "import hierlogit as hl",
        "import pandas as pd",
        "",
        f'rows = pd.read_csv("rows.csv")  # your table: {first.n_rows:,} complete rows, with {columns}',
    ]
    options = "".join(f", {text}" for text in _options(asked, title))
    if not asked.several:
        lines += [*_model(asked.subjects[0]), f"hl.report(fit, {path!r}{options})"]
        return "\n".join(lines)
    lines.append("fits = {}")
    for one in asked.subjects:
        *above, last = _model(one)
        lines += [*above, last.replace("fit = ", f"fits[{one.name!r}] = ", 1)]
    return "\n".join([*lines, f"hl.report(fits, {path!r}{options})"])


def _options(asked: Request, title: str | None) -> list[str]:
    given = [] if title is None else [f"title={title!r}"]
    if asked.chosen is not None:
        given.append(f"sections={list(asked.chosen)!r}")
    given += [f"replicates={asked.replicates}", f"seed={asked.seed}"]
    return [*given, f"ci_prob={asked.interval.prob:g}", f"ci_kind={asked.interval.kind!r}"]


def _model(one: Subject) -> list[str]:
    model = one.fit.model
    formula = one.fit.model.formula.line
    priors = _priors(model) if one.fit.with_priors else []
    if not priors:
        return [f"model = hl.Model({formula!r}, rows)", f"fit = model.fit({_engine(one)})"]
    held = [f"    {key!r}: {prior}," for key, prior in priors]
    return [
        "priors = {",
        *held,
        "}",
        f"model = hl.Model({formula!r}, rows, priors=priors)",
        f"fit = model.fit({_engine(one)})",
    ]


def _priors(model: ModelSpec) -> list[tuple[str, str]]:
    """Those that are not the defaults, by the keys they may be given by."""
    usual, own = default_priors(model.design), model.priors
    found: list[tuple[str, Prior]] = []
    for label, prior in own.fixed.items():
        if prior != usual.fixed[label]:
            found.append((f"beta[{label}]", prior))
    for group in model.design.groups:
        name = group.result_name
        for effect, held, default in zip(group.effects, own.sd[group.name], usual.sd[group.name], strict=True):
            key = f"sd_{name}" if isinstance(held, Decov) else f"sd_{name}[{effect}]"
            if held != default and all(key != other for other, _ in found):
                found.append((key, held))
        if group.name in own.cor and own.cor[group.name] != usual.cor[group.name]:
            found.append((f"cor_{name}", own.cor[group.name]))
    return [(key, f"hl.priors.{prior!r}") for key, prior in found]


def _engine(one: Subject) -> str:
    """The engine with those of its options that are not its defaults."""
    from ..engines.registry import resolve_engine

    report = one.fit.diagnostics
    default: Any = resolve_engine(report.engine)
    usual = {item.name: item.default for item in fields(default)}
    shown = [
        f"{name}={value!r}"
        for name, value in report.settings.items()
        if name not in _WITHOUT_EFFECT and value is not None and usual.get(name) != value
    ]
    seed = [] if report.seed is None else [f"seed={report.seed}"]
    return f"hl.{report.engine}({', '.join([*shown, *seed])})"
