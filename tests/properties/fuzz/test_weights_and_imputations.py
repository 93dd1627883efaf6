"""Models with weights and beta-binomial counts, imputed tables, robust standard errors and validations, of any kind.

As in `test_fuzz`, a call ends in a sane result or in an error of this package. Each test takes a share of the cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import hierlogit as hl
from hierlogit.model import Model
from hierlogit.pictures import Pictured

from . import formulas
from .arguments import engines, options
from .checks import OF_MODELS, check_call, check_calls, check_fit_and_calls, fit_of, model_of, share, words_of
from .imputed import Imputed, any_imputed, sound_imputed
from .outcomes import attempt, check_reason, check_shown, findings_of, same
from .tables import SCRIPT, Rows, any_rows, sound_rows, weighted_rows
from .verbs import QUICK, SLOW, calls
from .weights import Options, any_options, overdispersed, usual, weighted

#: Formulas of counts, without which there is no over-dispersion.
of_counts = st.builds(
    lambda response, template: f"{response} ~{template.partition('~')[2]}",
    st.sampled_from(["p({s}, {n})", "p({s}, {n})", "cbind({s}, {d})", "p({s}, 9)"]),
    formulas.valid(),
)
LAPLACE = hl.Laplace(draws=100, seed=1)
IN_NUTS = hl.NUTS(draws=20, tune=30, chains=2, cores=1, seed=1, progress=False)
OF_IMPUTATIONS = ("tables", "imputation", "fit", *OF_MODELS)


# ---- weights and beta-binomial counts ------------------------------------------------------------------------------


@share(0.03)
@given(formulas.valid(), st.one_of(weighted_rows, any_rows), any_options)
def test_any_weights_and_families(template: str, rows: Rows, chosen: Options) -> None:
    model = model_of("options", formulas.written(template, rows), rows, chosen).value
    if model is not None:
        attempt("options", lambda: check_shown(model))
        check_shown(attempt("options", lambda: hl.check_data(model)).value)


@share(0.02)
@given(st.data(), formulas.valid(), weighted_rows, engines, weighted)
def test_weighted_fits(data: st.DataObject, template: str, rows: Rows, engine: Any, chosen: Options) -> None:
    check_fit_and_calls("weights", data, template, rows, engine, chosen)


@share(0.02)
@given(st.data(), of_counts, sound_rows, engines, overdispersed)
def test_beta_binomial_fits(data: st.DataObject, template: str, rows: Rows, engine: Any, chosen: Options) -> None:
    check_fit_and_calls("beta-binomial", data, template, rows, engine, chosen)


@pytest.mark.slow  # of `make fuzz` alone
@share(0.003)
@given(st.data(), of_counts, sound_rows, overdispersed)
def test_sampled_beta_binomial_fits(data: st.DataObject, template: str, rows: Rows, chosen: Options) -> None:
    check_fit_and_calls("sampled beta-binomial", data, template, rows, IN_NUTS, chosen)


@share(0.01)
@given(formulas.valid(), weighted_rows, engines, st.sampled_from(["binomial", "binomial", "betabinomial"]))
def test_counted_rows_are_the_same_as_repeated_rows(template: str, rows: Rows, engine: Any, family: str) -> None:
    # Lists and other kinds do not keep the order of the levels, with which the coefficients differ.
    rows = replace(rows, kind="pandas")
    text, counted = formulas.written(template, rows), Options("counts", family=family)
    model = model_of("repeated rows", text, rows, counted).value
    assume(model is not None and model.design.table.counts is None)  # few enough to be repeated
    frame = rows.frame
    known = frame[model.design.table.frame.columns].notna().all(axis=1) & frame[rows.name("wf")].notna()
    counts = np.where(known, frame[rows.name("wf")].where(known, 0).astype(float).round(), 0).astype(int)
    repeated = frame.iloc[np.repeat(np.arange(len(frame)), counts)]
    one = attempt("repeated rows", lambda: model.fit(engine)).value
    again = attempt("repeated rows", lambda: Model(text, repeated, family=family).fit(engine)).value
    assert (one is None) == (again is None)
    if one is not None:
        assert one.estimate.log_likelihood == pytest.approx(again.estimate.log_likelihood, rel=1e-8, abs=1e-8)
        np.testing.assert_allclose(one.estimate.beta, again.estimate.beta, rtol=1e-8, atol=1e-8)


# ---- robust standard errors, validation and over-dispersion --------------------------------------------------------


@share(0.01)
@given(st.data(), formulas.valid(), sound_rows, engines, usual)
def test_fits_with_robust_standard_errors(
    data: st.DataObject, template: str, rows: Rows, engine: Any, chosen: Options
) -> None:
    fit = fit_of("robust", template, rows, engine, chosen)
    if fit is None:
        return
    possible = options(fit)
    given = data.draw(
        st.fixed_dictionaries(
            {}, optional={"covariance": possible["covariance"], "cluster": st.one_of(st.none(), possible["cluster"])}
        ),
        label="options",
    )
    words = ["fit", "cluster", "covariance", *map(str, given.values())]
    robust = attempt("robust", lambda: hl.robust(fit, **given), words).value
    if robust is not None:
        np.testing.assert_array_equal(robust.estimate.beta, fit.estimate.beta)
        check_calls("robust", data, robust)


@share(0.01)
@given(st.data(), st.one_of(of_counts, formulas.valid()), sound_rows, engines, usual)
def test_validations_and_overdispersion(
    data: st.DataObject, template: str, rows: Rows, engine: Any, chosen: Options
) -> None:
    fit = fit_of("validations", template, rows, engine, chosen)
    if fit is not None:
        names = {name: SLOW[name] for name in ("validate", "check_overdispersion", "calibration")}
        found = check_call("validations", fit, data.draw(calls(fit, names | {"scores": {"seed": 1}}), label="call"))
        if isinstance(found, Pictured):
            attempt("validations: plots", found.plot)


# ---- imputed tables ------------------------------------------------------------------------------------------------


@share(0.02)
@given(formulas.valid(), any_imputed, usual)
def test_any_imputed_tables(template: str, imputed: Imputed, chosen: Options) -> None:
    text = formulas.written(template, imputed.rows)
    words = [*OF_IMPUTATIONS, *words_of(imputed.rows)]
    made = attempt("imputed", lambda: hl.fit_imputed(text, imputed.tables, LAPLACE, **chosen.of(imputed.rows)), words)
    if made.error is not None:
        check_reason(str(made.error))
    else:
        check_shown(made.value)


@share(0.02)
@given(st.data(), formulas.valid(), sound_imputed, engines, usual)
def test_pooled_fits(data: st.DataObject, template: str, imputed: Imputed, engine: Any, chosen: Options) -> None:
    text = formulas.written(template, imputed.rows)
    made = attempt(
        "pooled",
        lambda: hl.fit_imputed(text, imputed.tables, engine, missing="drop", **chosen.of(imputed.rows)),
        [*OF_IMPUTATIONS, *words_of(imputed.rows)],
    )
    if made.error is not None:
        check_reason(str(made.error))
        return
    pooled = kept = made.value
    if data.draw(st.sampled_from([False, False, False, True]), label="robust"):
        kept = attempt("pooled", lambda: hl.pool([hl.robust(one) for one in pooled.fits])).value
    if kept is None:
        return
    names = data.draw(st.sampled_from([QUICK, QUICK, QUICK, QUICK, SLOW]), label="functions")
    check_calls("pooled", data, kept, names)
    again = attempt("pooled", lambda: hl.pool(kept.fits)).value
    assert same(hl.summary(kept), hl.summary(again))


@pytest.mark.slow  # of `make fuzz` alone
@share(0.002)
@given(st.data(), formulas.valid(), sound_imputed, usual)
def test_sampled_pooled_fits(data: st.DataObject, template: str, imputed: Imputed, chosen: Options) -> None:
    text = formulas.written(template, imputed.rows)
    pooled = attempt("sampled pooled", lambda: hl.fit_imputed(text, imputed.tables, IN_NUTS, **chosen.of(imputed.rows)))
    if pooled.value is not None:
        check_calls("sampled pooled", data, pooled.value)


@pytest.mark.slow  # of `make fuzz` alone
@share(0.003)
@given(formulas.valid(), sound_imputed, st.sampled_from(["report", "file", "file"]))
def test_reports_and_files_of_pooled_fits(template: str, imputed: Imputed, what: str) -> None:
    text = formulas.written(template, imputed.rows)
    pooled = attempt("pooled files", lambda: hl.fit_imputed(text, imputed.tables, LAPLACE, missing="drop")).value
    if pooled is None:
        return
    if what == "report":
        page = attempt(
            "pooled files", lambda: hl.report(pooled, "page.html", title=SCRIPT, replicates=50, seed=1)
        ).value
        assert page is None or SCRIPT not in Path(page).read_text(encoding="utf-8")
        return
    path = attempt("pooled files", lambda: pooled.save("pooled.nc"), [*OF_MODELS, "pooled.nc"]).value
    if path is not None:
        loaded = attempt("pooled files", lambda: hl.load(path)).value
        assert loaded is not None, "a saved fit cannot be read"
        assert findings_of(loaded) == findings_of(pooled)
        assert same(hl.summary(pooled), hl.summary(loaded))


# ---- files with tables ---------------------------------------------------------------------------------------------


def _write_arrow(frame: pd.DataFrame, path: Path) -> None:
    table = pa.Table.from_pandas(frame)
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table)


#: What writes a table to a file, by the ending of its name.
WRITERS: Mapping[str, Callable[[pd.DataFrame, Path], object]] = {
    "parquet": lambda frame, path: frame.to_parquet(path),
    "feather": lambda frame, path: frame.to_feather(path),
    "arrow": _write_arrow,
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "csv.gz": lambda frame, path: frame.to_csv(path, index=False),
    "tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "xlsx": lambda frame, path: frame.to_csv(path),
}
#: What happens to the bytes of a file, at a place that a number chooses.
DAMAGE: Mapping[str, Callable[[bytes, int], bytes]] = {
    "cut off": lambda content, place: content[: place % (len(content) + 1)],
    "another byte": lambda content, place: (
        content[: place % len(content)] + b"\x07" + content[place % len(content) + 1 :]
    ),
    "bytes before": lambda content, _: b"# title\n" + content,
    "empty": lambda *_: b"",
}


@share(0.02)
@given(
    formulas.valid(),
    sound_rows,
    st.sampled_from(["parquet", *WRITERS]),
    st.one_of(st.none(), st.none(), st.sampled_from(list(DAMAGE))),
    usual,
)
def test_files_of_tables(template: str, rows: Rows, kind: str, damage: str | None, chosen: Options) -> None:
    path = Path(f"rows.{kind}")
    try:
        WRITERS[kind](rows.frame, path)
    except Exception:  # this format cannot hold the values
        assume(False)
    if damage is not None:
        path.write_bytes(DAMAGE[damage](path.read_bytes(), rows.seed * 7919))
    text, words = formulas.written(template, rows), [*words_of(rows), str(path), "file"]
    model = attempt("table files", lambda: Model(text, str(path), **chosen.of(rows)), words).value
    if model is not None:
        attempt("table files", lambda: check_shown(model))
