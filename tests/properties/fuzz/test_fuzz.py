"""Whatever is given to the public functions, they end in a sane result or in an error of this package.

Each test takes a share of the cases: 100 in the default run, which are the same each time, and 10,000 new ones by
`make fuzz`. A case is a table, a formula and what is done with them; several calls may be made in each.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import InvalidOperation
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from typer.testing import CliRunner

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.cli.app import app
from hierlogit.model import Model

from . import formulas
from .arguments import chances, elicited, engines, families, keys_of, numbers, priors, studies
from .checks import OF_MODELS, check_call, check_fit, check_fit_and_calls, fit_of, look_at, model_of, share, words_of
from .outcomes import attempt, check_shown, check_table, findings_of, no_canary, same, tally
from .tables import CODE, KINDS, ROLES, SCRIPT, Rows, any_rows, sound_rows
from .verbs import SLOW, calls
from .weights import Options, usual

# ---- models --------------------------------------------------------------------------------------------------------


any_formulas = st.one_of(formulas.nearly_valid(), formulas.nearly_valid(), formulas.hostile())


@share(0.28)
@given(any_formulas, sound_rows, usual)
def test_any_formula(template: Any, rows: Rows, options: Options) -> None:
    text = formulas.written(template, rows)
    model = model_of("formulas", text, rows, options).value
    if model is not None:
        attempt("formulas", lambda: check_shown(hl.explain(model)))


@share(0.20)
@given(formulas.valid(), any_rows, usual)
def test_any_table(template: str, rows: Rows, options: Options) -> None:
    model = model_of("tables", formulas.written(template, rows), rows, options).value
    if model is not None:
        look_at("tables", model)


@share(0.03)
@given(formulas.valid(), sound_rows, st.sampled_from(list(KINDS)))
def test_kinds_of_tables_make_the_same_design(template: str, rows: Rows, kind: str) -> None:
    text = formulas.written(template, rows)
    plain = Rows(rows.seed, rows.rows, rows.clusters, (), rows.names)
    one, other = (model_of("kinds", text, Rows(*_of(plain), kind=name)).value for name in ("pandas", kind))
    assert (one is None) == (other is None)
    if one is not None:
        # The order of the levels of categoricals is lost in most kinds of tables.
        assume(f"{rows.written['u']}" not in text)
        assert one.design.fixed_effects == other.design.fixed_effects
        np.testing.assert_array_equal(one.design.X, other.design.X)
        np.testing.assert_array_equal(one.design.outcome.y, other.design.outcome.y)


def _of(rows: Rows) -> tuple[Any, ...]:
    return rows.seed, rows.rows, rows.clusters, rows.changes, rows.names


# ---- priors --------------------------------------------------------------------------------------------------------


@share(0.11)
@given(st.data(), formulas.valid(), sound_rows, usual)
def test_any_priors(data: st.DataObject, template: str, rows: Rows, options: Options) -> None:
    keys = st.sampled_from(keys_of({role: rows.name(role) for role in ROLES}))
    chosen = data.draw(st.dictionaries(keys, priors(), min_size=1, max_size=2), label="priors")
    made = {}
    for key, (family, arguments) in chosen.items():
        made[key] = attempt("priors", lambda of=family, given=arguments: getattr(pr, of)(*given)).value
    assume(None not in made.values())
    for prior in made.values():
        check_shown(prior)
        points = data.draw(st.lists(numbers, max_size=3), label="points")
        attempt("priors", lambda prior=prior, points=points: prior.logpdf(points))
        density = attempt("priors", lambda prior=prior: prior.logpdf([0.0, 5e-324, 0.5, 3.0, 1e154, 1e300])).value
        assert density is None or not np.isnan(density).any(), f"{prior} has a density that is not a number"
    words = formulas.written(template, rows)
    model = model_of("priors", words, rows, options, priors=made).value
    if model is not None:
        check_shown(model)
        fit = attempt("priors", lambda: model.fit(hl.MAP(draws=100, seed=1)), [*OF_MODELS, "MAP"]).value
        if fit is not None:
            check_fit("priors", fit)


# ---- fits and what is made of them ---------------------------------------------------------------------------------


@share(0.15)
@given(st.data(), formulas.valid(), sound_rows, engines)
def test_fits_and_what_is_computed_of_them(data: st.DataObject, template: str, rows: Rows, engine: Any) -> None:
    check_fit_and_calls("fits", data, template, rows, engine)


@share(0.03)
@given(formulas.valid(), sound_rows, engines, usual)
def test_order_of_rows_and_names_of_clusters_do_not_matter(
    template: str, rows: Rows, engine: Any, options: Options
) -> None:
    assume(not any(part in template for part in ("{h}", "{k}", "{w}", "bs(", "poly(")))
    text = formulas.written(template, rows)
    model = model_of("order", text, rows, options).value
    assume(model is not None)
    one = attempt("order", lambda: Model(text, rows.frame, **options.of(rows)).fit(engine)).value
    frame = rows.frame.iloc[np.random.default_rng(rows.seed).permutation(len(rows.frame))]
    label = rows.name("g")
    relabelled = frame[label].map("cluster {}".format, na_action="ignore").astype(object)
    frame = frame.assign(**{label: relabelled})
    again = attempt("order", lambda: Model(text, frame, **options.of(rows)).fit(engine)).value
    assert (one is None) == (again is None)
    if one is None or findings_of(one) or findings_of(again):
        return
    assert one.estimate.log_likelihood == pytest.approx(again.estimate.log_likelihood, rel=1e-6, abs=1e-6)
    np.testing.assert_allclose(one.estimate.beta, again.estimate.beta, rtol=1e-3, atol=1e-3)


@share(0.03)
@given(formulas.valid(), st.builds(Rows, st.integers(0, 9_999), st.integers(24, 60), st.integers(3, 9)))
def test_counts_are_the_same_as_their_rows(template: str, rows: Rows) -> None:
    right = template.partition("~")[2]
    assume(not any(part in right for part in ("bs(", "poly(", "scale(", "center(", "standardize(", "tween", "within")))
    frame = rows.frame
    single = frame.loc[frame.index.repeat(frame["n"])].reset_index(drop=True)
    position = frame.groupby(frame.index).cumcount()
    position = pd.Series(np.concatenate([np.arange(n) for n in frame["n"]]), single.index)
    single["y"] = (position < single["s"]).astype(int)
    plain = Rows(rows.seed, rows.rows, rows.clusters)
    texts = formulas.written(f"p({{s}}, {{n}}) ~{right}", plain), formulas.written(f"{{y}} ~{right}", plain)
    engine = hl.Laplace(draws=100, seed=1)
    fits = []
    for text, table in zip(texts, (frame, single), strict=True):
        model = attempt("counts", lambda text=text, table=table: Model(text, table)).value
        fits.append(None if model is None else attempt("counts", lambda model=model: model.fit(engine)).value)
    if None in fits or any(map(findings_of, fits)):
        return
    np.testing.assert_allclose(fits[0].estimate.beta, fits[1].estimate.beta, rtol=1e-3, atol=1e-3)


@share(0.02)
@given(formulas.valid(), sound_rows, engines, usual)
def test_a_saved_fit_is_the_same(template: str, rows: Rows, engine: Any, options: Options) -> None:
    fit = fit_of("files", template, rows, engine, options)
    if fit is None:
        return
    path = attempt("files", lambda: fit.save("fit.nc"), [*OF_MODELS, "fit.nc"]).value
    if path is None:
        return
    loaded = attempt("files", lambda: hl.load(path)).value
    assert loaded is not None, "a saved fit cannot be read"
    assert repr(loaded) == repr(fit)
    assert same(hl.summary(fit, progress=False), hl.summary(loaded, progress=False))
    np.testing.assert_array_equal(fit.model.design.X, loaded.model.design.X)


# ---- what takes longer ---------------------------------------------------------------------------------------------


@share(0.01)
@given(st.data(), formulas.valid(), sound_rows, usual)
def test_functions_that_refit_or_draw_pictures(
    data: st.DataObject, template: str, rows: Rows, options: Options
) -> None:
    fit = fit_of("slow", template, rows, hl.Laplace(draws=100, seed=1), options)
    if fit is not None:
        check_call("slow", fit, data.draw(calls(fit, SLOW), label="call"))


@share(0.002)
@given(formulas.valid(), sound_rows, usual)
def test_reports_and_graphs(template: str, rows: Rows, options: Options) -> None:
    fit = fit_of("reports", template, rows, hl.Laplace(draws=100, seed=1), options)
    if fit is None:
        return
    attempt("reports", fit.model.to_pymc)
    page = attempt("reports", lambda: hl.report(fit, "page.html", title=SCRIPT, replicates=50, seed=1)).value
    if page is not None:
        text = page.read_text(encoding="utf-8")
        assert SCRIPT not in text
        assert "<b>bold" not in text


@share(0.01)
@given(st.data(), formulas.valid(), sound_rows, usual)
def test_sampled_fits(data: st.DataObject, template: str, rows: Rows, options: Options) -> None:
    engine = hl.NUTS(draws=20, tune=30, chains=2, cores=1, seed=1, progress=False)
    check_fit_and_calls("sampled", data, template, rows, engine, options)


@share(0.02)
@given(
    formulas.valid(),
    formulas.valid(),
    sound_rows,
    st.one_of(usual.map(lambda options: [options, options]), st.lists(usual, min_size=2, max_size=2)),
    st.sampled_from(["compare", "likelihood_ratio", "pcv", "bayes_factor"]),
)
def test_two_fits(first: str, second: str, rows: Rows, options: list[Options], name: str) -> None:
    templates = first, f"{first.partition('~')[0]}~{second.partition('~')[2]}"
    engine = hl.Laplace(draws=100, seed=1)
    fits = [fit_of("two", template, rows, engine, one) for template, one in zip(templates, options, strict=True)]
    if None in fits:
        return
    verbs: dict[str, Callable[[], Any]] = {
        "compare": lambda: hl.compare({"one": fits[0], SCRIPT: fits[1]}),
        "likelihood_ratio": lambda: hl.likelihood_ratio(*fits),
        "pcv": lambda: hl.pcv(*fits),
        "bayes_factor": lambda: hl.bayes_factor({"one": fits[0], SCRIPT: fits[1]}, draws=256, nodes=1),
    }
    found = attempt(f"two: {name}", verbs[name]).value
    check_shown(found)
    if isinstance(found, pd.DataFrame):
        check_table(found, explained=any(map(findings_of, fits)))


@share(0.02)
@given(formulas.valid(), sound_rows, st.sampled_from([None, "numbers"]))
def test_build_ups(template: str, rows: Rows, estimand: str | None) -> None:
    text = formulas.written(template, rows)
    quantity = None if estimand is None else lambda fit: fit.estimate.log_likelihood
    engine = hl.Laplace(draws=100, seed=1)
    found = attempt("build", lambda: hl.build(text, rows.table, engine=engine, estimand=quantity), words_of(rows)).value
    if found is None:
        return
    attempt("build", lambda: check_shown(found))
    assert np.isfinite(found.table["log_likelihood"]).all()
    assert found.proposed in found.kept
    assert set(found.findings) == set(found.fits) == set(found.table.index)
    assert not set(found.not_tried) & set(found.table["adds"])


# ---- studies -------------------------------------------------------------------------------------------------------

OF_STUDIES = ("clusters", "predictor", "size", "beta", "sd", "cor", "phi", "layout", "formula", "rows", *OF_MODELS)


@share(0.05)
@given(studies(), st.sampled_from([0, 1, None]))
def test_studies(chosen: dict[str, Any], seed: int | None) -> None:
    parts = {name: chosen.pop(name) for name in ("clusters", "size", "predictors", "cluster_predictors")}
    layout = attempt("studies", lambda: hl.Layout(**parts), OF_STUDIES).value
    if layout is None:
        return
    check_shown(layout)
    one, other = (
        attempt("studies", lambda: hl.simulate(chosen["formula"], layout, seed=1, **_parameters(chosen)), OF_STUDIES)
        for _ in range(2)
    )
    if one.error is None:
        assert same(one.value, other.value)
        assert len(one.value) == len(layout.table(seed=1)) or "size" in parts
    power = attempt(
        "studies",
        lambda: hl.power(chosen["formula"], layout, replicates=2, seed=seed, **_parameters(chosen)),
        OF_STUDIES,
    ).value
    if power is not None:
        check_shown(power)
        check_table(power.table, explained=bool(power.failures))


def _parameters(chosen: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in chosen.items() if name != "formula"}


@share(0.03)
@given(elicited, chances, families)
def test_elicited_priors(given: tuple[str, tuple[Any, ...]], prob: Any, family: str) -> None:
    name, values = given
    words = ("mor", "icc", "low", "high", "prob", "typical", "family", "shape")
    prior = attempt("elicited priors", lambda: getattr(hl, name)(*values, prob=prob, family=family), words).value
    if prior is not None:
        check_shown(prior)
        median = prior.quantile(0.5)
        assert np.isfinite(median)
        assert median > 0


# ---- the command line ----------------------------------------------------------------------------------------------

FILES: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "with a mark of byte order": lambda text: text.encode("utf-8-sig"),
    "latin-1": lambda text: text.encode("latin-1", "replace"),
    "utf-16": lambda text: text.encode("utf-16"),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "decimal commas": lambda text: text.replace(",", ";").replace(".", ",").encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "cut off": lambda text: text[: len(text) * 2 // 3].encode(),
    "one line too long": lambda text: (text + "1,2,3" * 20 + "\n").encode(),
    "quote without an end": lambda text: (text + '"').encode(),
    "zeros": lambda text: text.encode() + b"\0\0\0",
    "header only": lambda text: text.partition("\n")[0].encode(),
    "empty": lambda _: b"",
    "binary": lambda _: bytes(range(256)) * 4,
    "windows lines": lambda text: text.replace("\n", "\r\n").encode(),
    "comment": lambda text: ("# a comment\n" + text).encode(),
}


OPTIONS = (
    ["--sep", ";"], ["--sep", "tab"], ["--sep", ""], ["--sep", "nonsense"], ["--decimal", ","],
    ["--decimal", "nonsense"], ["--encoding", "latin-1"], ["--encoding", "utf-16"], ["--encoding", "nonsense"],
    ["--missing", "error"], ["--missing", "nonsense"], ["--prior", "beta=Normal(0, 1)"],
    ["--prior", "sd=Exponential(2)"], ["--prior", "beta"], ["--prior", f"beta={CODE}"],
    ["--prior", "beta=Normal(0, -1)"], ["--prior", "beta=Normal(1e400)"], ["--ci-prob", "0.95"], ["--ci-prob", "2"],
    ["--draws", "-1"], ["--draws", "x"], ["--nodes", "5"], ["--engine", "map"], ["--engine", "agq"],
    ["--engine", "nonsense"], ["--family", "betabinomial"], ["--family", "nonsense"],
    ["--chains", "2"], ["--seed", "-1"], ["--nonsense"],
)  # fmt: skip


@share(0.04)
@given(
    st.one_of(formulas.valid(), formulas.valid(), any_formulas),
    st.one_of(sound_rows, any_rows),
    st.sampled_from(["as it is"] * len(FILES) + list(FILES)),
    st.one_of(st.just([]), st.lists(st.sampled_from(OPTIONS), max_size=2)),
)
def test_command_line(template: str, rows: Rows, how: str, options: list[list[str]]) -> None:
    text = formulas.written(template, rows)
    try:
        Path("rows.csv").write_bytes(FILES[how](rows.frame.to_csv(index=False)))
    except (InvalidOperation, UnicodeError):
        assume(False)  # pandas cannot write these values
    given = [word for option in options for word in option]
    asked = [
        "fit",
        "rows.csv",
        "-o",
        "out",
        "--overwrite",
        "--engine",
        "laplace",
        "--draws",
        "100",
        "--seed",
        "1",
        *given,
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hierlogit.cli.app.write_results", lambda *_: [])  # pictures take seconds
        result = CliRunner().invoke(app, [*asked, "--", text])
    plt.close("all")
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code in (0, 2), result.output
    assert "Traceback" not in result.output
    assert "Warning:" not in result.output, result.output
    no_canary()
    if result.exit_code == 2:
        assert result.stderr.strip(), "no message"
    tally["command line", "error" if result.exit_code else "result"] += 1
