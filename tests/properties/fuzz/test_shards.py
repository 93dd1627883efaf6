"""Tables in shards end in sane results or errors of this package, and fits of them are those of the whole tables."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import hierlogit as hl
from hierlogit.model import Model
from hierlogit.results import ShardedFit, ShardedModel

from . import formulas
from .arguments import engines, keys_of, priors, strange
from .checks import OF_MODELS, share, words_of
from .outcomes import attempt, check_probabilities, check_shown, check_table, findings_of
from .tables import CODE, ROLES, SCRIPT, Rows, any_rows, sound_rows

#: Words of which errors of shards mention one, besides those of models.
OF_SHARDS = ("shards", "group", "folder", "Parquet", "categories", "shards.json", "shard-0")
EFFECTS = st.sampled_from(formulas.EFFECTS)
#: Of factors that cross the shards, for which an evaluation takes several rounds.
FEW_EFFECTS = st.sampled_from(["1", "1", "1 + {x}"])


@st.composite
def dividable(draw: st.DrawFn) -> str:
    """A formula whose random effects are those of ``g`` and of factors within it, or of factors that cross it."""
    fixed = draw(formulas.valid(fixed_only=True))
    bar = draw(st.sampled_from(["|", "|", "||"]))
    groups = draw(st.sampled_from(["{g}", "{g}", "{g}/{k}", "{k}", "{g}:{h}", "{g}+{h}", "{g}+{t}", "{g}+{h}+{u}"]))
    own, *across = groups.split("+")
    bars = [f"({draw(EFFECTS)} {bar} {own})", *(f"({draw(FEW_EFFECTS)} {bar} {group})" for group in across)]
    return " + ".join([fixed, *bars])


templates = st.one_of(dividable(), dividable(), dividable(), formulas.valid())


@contextmanager
def divided(kind: str, rows: Rows, group: Any, shards: Any) -> Iterator[hl.Shards | None]:
    """Shards of a table, in a folder of their own, if the table can be divided."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        words = [*words_of(rows), *OF_SHARDS, group]
        yield attempt(kind, lambda: hl.Shards.write(rows.table, f"{folder}/shards", group, shards), words).value


def model_of(kind: str, shards: hl.Shards | None, text: Any, rows: Rows, **others: Any) -> ShardedModel | None:
    if shards is None:
        return None
    words = [*words_of(rows), *OF_SHARDS]
    model: ShardedModel | None = attempt(kind, lambda: shards.model(text, **others), words).value
    return model


def fit_of(kind: str, model: ShardedModel | None, engine: Any) -> ShardedFit | None:
    if model is None:
        return None
    words = [*OF_MODELS, *OF_SHARDS, "Laplace", "nodes", "engine"]
    fit: ShardedFit | None = attempt(kind, lambda: model.fit(engine), words).value
    return fit


@share(0.02)
@given(
    st.one_of(templates, formulas.nearly_valid(), formulas.hostile()),
    any_rows,
    st.one_of(st.sampled_from(["g", "g", "g", *ROLES]), st.sampled_from([SCRIPT, CODE, "", None, 3])),
    st.one_of(st.integers(1, 5), st.just(1000), strange),
)
def test_any_table_in_shards(template: Any, rows: Rows, group: Any, count: Any) -> None:
    with divided("shards", rows, rows.name(group) if group in ROLES else group, count) as shards:
        if shards is not None:
            check_shown(shards)
            assert sum(shard.clusters > 0 for shard in shards.manifest.shards) == len(shards)
        model = model_of("shards", shards, formulas.written(template, rows), rows)
        if model is not None:
            check_shown(model)


@share(0.02)
@given(st.data(), templates, sound_rows, engines, st.integers(1, 4))
def test_fits_of_shards_and_what_is_computed_of_them(
    data: st.DataObject, template: str, rows: Rows, engine: Any, count: int
) -> None:
    keys = st.sampled_from(keys_of({role: rows.name(role) for role in ROLES}))
    chosen = data.draw(st.dictionaries(keys, priors(st.floats(0.1, 5)), max_size=1), label="priors")
    made = {}
    for key, (family, arguments) in chosen.items():
        made[key] = attempt("sharded", lambda of=family, given=arguments: getattr(hl.priors, of)(*given)).value
    assume(None not in made.values())
    with divided("sharded", rows, rows.name("g"), count) as shards:
        model = model_of("sharded", shards, formulas.written(template, rows), rows, priors=made or None)
        fit = fit_of("sharded", model, engine)
        if fit is None:
            return
        attempt("sharded", lambda: check_shown(fit))
        check_table(attempt("sharded", fit.summary).value, explained=bool(findings_of(fit)))
        check_calls(data, fit, rows)


def check_calls(data: st.DataObject, fit: ShardedFit, rows: Rows) -> None:
    """What must hold of robust standard errors and of the files that a fit writes."""
    found, folder = bool(findings_of(fit)), Path(fit.model.folder).parent
    group = st.one_of(st.none(), st.sampled_from([*fit.estimate.effects, *map(rows.name, ROLES), SCRIPT, 3]))
    cluster = data.draw(group, label="cluster")
    words = ["cluster", "standard error", "maximum", *OF_SHARDS, *words_of(rows)]
    robust = attempt("sharded: robust", lambda: fit.robust(cluster), words)
    if robust.value is not None:
        np.testing.assert_array_equal(robust.value.estimate.beta, fit.estimate.beta)
        check_table(robust.value.summary(), explained=bool(robust.warned or found))
    factor = data.draw(group, label="group")
    effects = attempt("sharded: ranef", lambda: fit.ranef(folder / "effects", factor), ["group"]).value
    if effects is not None:
        check_table(pd.read_parquet(effects), explained=found)
    clusters = data.draw(st.sampled_from(["observed", "typical", "average", "new", None, CODE]), label="clusters")
    predicted = attempt(
        "sharded: predictions", lambda: fit.predictions(folder / "predicted", clusters), ["clusters", "estimate"]
    ).value
    if predicted is not None:
        written = pd.read_parquet(predicted)
        assert len(written) == fit.model.manifest.rows
        assert written["estimate"].notna().sum() == fit.model.rows or found
        check_probabilities(written.dropna(subset="estimate"))


@share(0.02)
@given(templates, sound_rows, engines, st.integers(1, 4))
def test_fits_of_shards_are_those_of_all_rows(template: str, rows: Rows, engine: Any, count: int) -> None:
    text = formulas.written(template, rows)
    with divided("same fit", rows, rows.name("g"), count) as shards:
        fit = fit_of("same fit", model_of("same fit", shards, text, rows), engine)
    if fit is None:
        return
    model = attempt("same fit", lambda: Model(text, rows.table)).value
    whole = None if model is None else attempt("same fit", lambda: model.fit(engine)).value
    assert whole is not None, "shards are fitted, and the whole table is not"
    assert fit.estimate.fixed_effects == whole.model.design.fixed_effects
    if findings_of(fit) or findings_of(whole):
        return
    assert fit.estimate.log_likelihood == pytest.approx(whole.estimate.log_likelihood, rel=1e-6, abs=1e-6)
    np.testing.assert_allclose(fit.estimate.beta, whole.estimate.beta, rtol=1e-3, atol=1e-3)


@pytest.mark.slow  # of `make fuzz` alone
@share(0.002)
@given(templates, sound_rows, engines, st.integers(1, 3))
def test_profiles_of_shards(template: str, rows: Rows, engine: Any, count: int) -> None:
    with divided("sharded: profile", rows, rows.name("g"), count) as shards:
        model = model_of("sharded: profile", shards, formulas.written(template, rows), rows)
        fit = fit_of("sharded: profile", model, engine)
        if fit is None:
            return
        words = ["interval", "profile", "maximum"]
        table = attempt("sharded: profile", lambda: fit.summary(interval="profile", ci_prob=0.5), words)
        if table.value is not None:
            check_table(table.value, explained=bool(table.warned or findings_of(fit)))


#: What happens to a file of a folder of shards, at a place that a number chooses.
DAMAGE: Mapping[str, Callable[[Path, int], object]] = {
    "removed": lambda file, _: file.unlink(),
    "a folder": lambda file, _: (file.unlink(), file.mkdir()),
    "empty": lambda file, _: file.write_bytes(b""),
    "cut off": lambda file, place: file.write_bytes(file.read_bytes()[: place % file.stat().st_size]),
    "longer": lambda file, _: file.write_bytes(file.read_bytes() + b"\n"),
    "another byte": lambda file, place: file.write_bytes(_with_byte(file.read_bytes(), place)),
    "another shard": lambda file, _: (
        shutil.copy(sorted(file.parent.iterdir())[0], file.with_name("copy")) and file.with_name("copy").replace(file)
    ),
}


def _with_byte(content: bytes, place: int) -> bytes:
    place %= len(content)
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


@share(0.02)
@given(
    st.sampled_from(["{y} ~ {x} + {t} + (1 | {g})", "{y} ~ {z} + (1 | {g}/{k})", "{y} ~ {x} + (1 | {g}) + (1 | {h})"]),
    sound_rows,
    st.sampled_from(list(DAMAGE)),
    st.integers(0, 9),
    st.integers(0, 10**6),
    st.sampled_from(["before", "after the model", "after the fit"]),
)
def test_damaged_shards(template: str, rows: Rows, damage: str, which: int, place: int, when: str) -> None:
    text = formulas.written(template, rows)
    with divided("damaged shards", rows, rows.name("g"), 3) as shards:
        if shards is None:
            return
        model = model_of("damaged shards", shards, text, rows) if when != "before" else None
        fit = fit_of("damaged shards", model, "laplace") if when == "after the fit" else None
        files = sorted(shards.folder.iterdir())
        DAMAGE[damage](files[which % len(files)], place)
        if fit is not None:
            words = [str(shards.folder), "read", "altered"]
            attempt("damaged shards", lambda: fit.predictions(shards.folder.parent / "predicted"), words)
        elif model is not None:
            fit_of("damaged shards", model, "laplace")
        else:
            again = attempt("damaged shards", lambda: hl.Shards(shards.folder), ["shards"]).value
            fit_of("damaged shards", model_of("damaged shards", again, text, rows), "laplace")
