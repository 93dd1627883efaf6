"""Names of columns of any kind: graphs, programs, words and results keep them apart from names of the package."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hierlogit as hl
from hierlogit.density.variables import model_variables
from hierlogit.errors import DesignError

N = 48
STRANGE = [
    *("beta", "sd_g", "b_g", "obs", "chain", "draw", "lp", "group", "self", "fit", "class", "mode", "fixed_effect"),
    *(
        "__written_1__",
        "g__",
        "g_0",
        "cor_g",
        "chol_cor_g_0",
        "g_effect_0",
        "a[b]",
        "a.b",
        "it's",
        'say "x"',
        "new\nline",
    ),
    *("a/b", "a|b", "a:b", "(1 | g)", "{x}", "$x$", "\\", "%s", "#", "naïve", "emoji 😀", "x" * 200),
]


def rows(names: list[str]) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    values = [rng.integers(0, 2, N), rng.normal(size=N), rng.normal(size=N), np.arange(N) % 6, np.arange(N) % 5]
    return pd.DataFrame(dict(zip(names, values, strict=True)))


@settings(max_examples=12)
@given(st.lists(st.sampled_from(STRANGE), min_size=5, max_size=5, unique=True))
def test_columns_may_have_any_name(names: list[str]) -> None:
    y, x, z, g, h = (f"`{name}`" for name in names)
    formula = f"{y} ~ {x} + (1 + {x} | {g}) + (0 + {z} | {g}) + (1 + {z} | {h})"
    if {"a/b", "a|b"} <= set(names[3:]):
        return  # refused, see below
    model = hl.Model(formula, rows(names))
    variables = [variable.name for variable in model_variables(model)]
    dims = set(model_variables(model).coords)
    assert len(set(variables)) == len(variables)
    assert not dims & set(variables)
    assert not any(name.endswith("__") for name in [*variables, *dims])
    explained = hl.explain(model)
    compile(explained.code, "program.py", "exec")
    assert explained._repr_html_()
    assert explained.words


def test_sets_of_one_factor_and_a_factor_with_their_name() -> None:
    frame = rows(["y", "x", "z", "g", "g_0"])
    model = hl.Model("y ~ x + (1 + x | g) + (0 + z | g) + (1 + z | g_0)", frame)
    names = {variable.name for variable in model.to_pymc().free_RVs}
    assert {"chol_cor_g__0", "chol_cor_g_0"} <= names


def test_names_that_end_with_two_underscores() -> None:
    frame = rows(["y__", "x", "z", "__written_1__", "h"])
    drawn = hl.prior_predictive(hl.Model("y__ ~ x + (1 | h:`__written_1__`)", frame), draws=3, seed=1)
    assert "sd_h:__written_1__level" in drawn["prior"]
    assert "outcome" in drawn["prior_predictive"]


@pytest.mark.parametrize(
    ("names", "terms"), [(["a/b", "a|b"], "(1 | `a/b`) + (1 | `a|b`)"), (["a:b", "b"], "(1 | `a:b`) + (1 | a:b)")]
)
def test_factors_with_one_name_in_results_are_refused(names: list[str], terms: str) -> None:
    frame = rows(["y", "x", "a", *names])
    with pytest.raises(DesignError, match=r"would both be called .* Rename a column"):
        hl.Model(f"y ~ x + {terms}", frame)


def test_a_factor_with_the_name_of_the_fixed_effects_is_refused() -> None:
    frame = rows(["y", "x", "z", "fixed", "h"])
    with pytest.raises(DesignError, match=r"'fixed' is the name of the fixed effects in results: rename"):
        hl.Model("y ~ x + (1 | fixed)", frame)
