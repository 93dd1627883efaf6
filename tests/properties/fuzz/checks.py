"""What every fuzz test does with models, fits and calls of public functions, and what must hold of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import settings
from hypothesis import strategies as st

import hierlogit as hl
from hierlogit.fits.fit import Fit
from hierlogit.model import Model
from hierlogit.results import PooledFit

from . import formulas
from .outcomes import Outcome, attempt, check_probabilities, check_shown, check_table, findings_of, same, tables_of
from .tables import ROLES, Rows
from .verbs import QUICK, Call, calls
from .weights import Options

Test = Callable[..., None]

#: Words of which errors of models mention one, besides the names in the table.
OF_MODELS = (
    "formula", "outcome", "column", "row", "table", "prior", "data must be", "mapping", "random", "term", "response",
    "bracket", "~", "character", "cluster", "fixed", "text", "predictor", "operator", "name", "function", "empty",
    "weights", "Weights", "family",
)  # fmt: skip

NO_OPTIONS = Options()


def share(part: float) -> Callable[[Test], Test]:
    """As many cases as are the part of all of them."""
    return settings(max_examples=max(1, round(part * settings.default.max_examples)))


# ---- models ------------------------------------------------------------------------------------------------------


def words_of(rows: Rows) -> list[Any]:
    """Words of which errors of models of these rows mention one."""
    return [*OF_MODELS, *rows.written.values(), *(rows.name(role) for role in ROLES)]


def model_of(kind: str, text: Any, rows: Rows, options: Options = NO_OPTIONS, **others: Any) -> Outcome:
    return attempt(kind, lambda: Model(text, rows.table, **options.of(rows), **others), words_of(rows))


def look_at(kind: str, model: Model) -> None:
    """What is done with a model before it is fitted."""
    for see in (check_shown, lambda one: check_shown(one.design), lambda one: check_shown(one.priors)):
        attempt(kind, lambda see=see: see(model))
    check_shown(attempt(kind, lambda: hl.check_data(model)).value)
    check_shown(attempt(kind, lambda: hl.explain(model)).value)
    latex = attempt(kind, model.to_latex).value
    assert latex is None or latex.count("{") - latex.count("\\{") == latex.count("}") - latex.count("\\}"), latex
    X = model.design.X
    assert np.isfinite(X).all(), "the design is not finite"
    assert len(X) == model.design.n_rows == len(model.design.table.frame)


# ---- fits and what is made of them ---------------------------------------------------------------------------------


def fit_of(kind: str, template: str, rows: Rows, engine: Any, options: Options = NO_OPTIONS) -> Fit | None:
    model = model_of(kind, formulas.written(template, rows), rows, options).value
    return None if model is None else attempt(kind, lambda: model.fit(engine), [*OF_MODELS, "Laplace", "nodes"]).value


def check_fit(kind: str, fit: Fit) -> None:
    """The estimates are finite, unless a finding says why not; text and pages can be made of them."""
    found = findings_of(fit)
    table = attempt(kind, lambda: hl.summary(fit, progress=False)).value
    check_table(table, explained=bool(found))
    if fit.estimate is not None and not isinstance(fit, PooledFit):  # those of imputations have no log-likelihood
        assert np.isfinite(fit.estimate.log_likelihood) or found, "the log-likelihood is not finite"
        # A density of contrasts of the outcomes may be above one, a probability not.
        if not fit.estimate.restricted:
            assert fit.estimate.log_likelihood <= 1e-9 or not np.isfinite(fit.estimate.log_likelihood)
    attempt(kind, lambda: check_shown(fit))
    attempt(kind, lambda: check_shown(fit.diagnostics))


def check_call(kind: str, fit: Fit, call: Call) -> Any:
    """A call gives a sane result, twice the same if it has a seed, or an error that mentions what was given."""
    words = ["fit", "model", "row", *call.options, *map(str, call.options.values()), *fit.model.design.table.frame]
    one = attempt(f"{kind}: {call.name}", lambda: call(fit), words)
    if one.error is not None:
        return None
    attempt(f"{kind}: {call.name}", lambda: check_shown(one.value))
    # A single draw has no standard deviation.
    explained = bool(one.warned or findings_of(fit)) or call.options.get("num_draws") == 1
    if isinstance(one.value, pd.DataFrame):
        seen = ("ratio", "lnratio", "lnor", "lift", "oddsratio", "eyex", "dyex", "eydx")
        explained = explained or any(word in map(str, call.options.values()) for word in seen)
        check_table(one.value, explained)
        if call.name in ("predictions", "avg_predictions") and call.options.get("kind") != "outcome":
            if call.options.get("scale") != "link":
                check_probabilities(one.value)
            rows = call.arguments(fit).get("newdata")
            whole = not call.options.get("by") and not call.options.get("hypothesis")
            if call.name == "predictions" and whole and (rows is None or hasattr(rows, "shape")):
                several = isinstance(call.options.get("clusters"), list)
                repeats = one.value["clusters"].nunique() if several else 1
                assert len(one.value) == repeats * (fit.model.design.n_rows if rows is None else len(rows))
        if call.name in ("icc", "vpc", "r2"):
            check_probabilities(one.value)
    for table in tables_of(one.value):
        check_table(table, explained=True)
    if "seed" in call.options and call.options["seed"] is not None:
        assert same(one.value, attempt(f"{kind}: {call.name}", lambda: call(fit)).value)
    return one.value


def check_calls(kind: str, data: st.DataObject, fit: Fit, names: Mapping[str, dict[str, Any]] = QUICK) -> None:
    """What must hold of a fit, and of a few functions that are computed of it."""
    check_fit(kind, fit)
    for call in data.draw(st.lists(calls(fit, names), min_size=2, max_size=4), label="calls"):
        check_call(kind, fit, call)


def check_fit_and_calls(
    kind: str, data: st.DataObject, template: str, rows: Rows, engine: Any, options: Options = NO_OPTIONS
) -> Fit | None:
    """The fit of a model, if there is one, checked by `check_calls`."""
    fit = fit_of(kind, template, rows, engine, options)
    if fit is not None:
        check_calls(kind, data, fit)
    return fit
