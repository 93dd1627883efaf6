"""The meaning of coefficients: contrasts that hold for any coding, and the words for them."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierlogit.design.column_parts import ColumnPart
from hierlogit.design.design import Design, build_design
from hierlogit.formula.parser import parse
from hierlogit.translations.coefficients import contrasts, meanings

LEVELS = {"f": ["a", "b", "c"], "h": ["u", "v"], "k": [0, 2, 4, 11]}
OWN = np.array([[1.0, 2], [0, -1], [-1, 1]])
CODINGS = {
    "f": [
        *("f", "C(f)", "S(f)", "T(f, 'c')", "C(f, Sum)", "C(f, Sum('a'))", "C(f, Treatment('b'))", "C(f, Helmert)"),
        *("C(f, Poly)", "C(f, own)", "C(f, levels=['c', 'a', 'b'])", "C(f, [[1], [2], [4]])"),
    ],
    "h": ["h", "C(h, Sum)", "C(h, Helmert)", "C(h, [[-1/2], [1/2]])", "T(h, 'v')"],
    "k": ["C(k)", "C(k, Sum)", "C(k, Helmert)", "C(k, Diff)", "C(k, Poly)", "C(k, Poly([0, 2, 4, 11]))"],
}


def cells(**numbers: float) -> pd.DataFrame:
    """One row for each combination of levels, with these values of the numbers."""
    return pd.DataFrame(list(product(*LEVELS.values())), columns=list(LEVELS)).assign(**{"x": 0.0, "z": 0.0, **numbers})


def table() -> pd.DataFrame:
    """Four rows for each combination of levels."""
    rows = pd.concat([cells(), cells(), cells(), cells()], ignore_index=True)
    rng = np.random.default_rng(1)
    return rows.assign(
        x=rng.normal(size=len(rows)),
        z=rng.normal(size=len(rows)),
        w=rng.normal(size=len(rows)),
        y=np.arange(len(rows)) % 2,
    )


ROWS = table()


def designed(formula: str) -> Design:
    return build_design(parse(formula), ROWS, namespace={"own": OWN})


class CellMeans:
    """Linear predictors of all combinations of levels, with coefficients drawn at random."""

    def __init__(self, design: Design) -> None:
        self.beta = np.random.default_rng(len(design.fixed_effects)).normal(size=len(design.fixed_effects))
        corners = list(product([0.0, 1.0], repeat=2))
        grid = pd.concat([cells(x=x, z=z) for x, z in corners])
        self.at = dict(zip(corners, np.split(design.encode(grid).X @ self.beta, 4), strict=True))

    def coefficient_of(self, numbers: tuple[str, ...]) -> Any:
        """The coefficient of a product of numeric predictors, by differences."""
        total: Any = 0.0
        for ones in product([0.0, 1.0], repeat=len(numbers)):
            place = dict(zip(numbers, ones, strict=True))
            total += (-1) ** int(len(numbers) - sum(ones)) * self.at[place.get("x", 0.0), place.get("z", 0.0)]
        return total


def applied(contrast: Any, components: dict[str, ColumnPart], values: Any) -> float:
    """The contrast of values in all cells; predictors that it does not name are at their first level."""
    weights = [np.eye(len(levels))[0] for levels in LEVELS.values()]
    for place, (name, levels) in enumerate(LEVELS.items()):
        part = components.get(name)
        if part is not None and part.coding is not None and part.component in contrast.weights:
            found = dict(zip(part.coding.levels, contrast.weights[part.component], strict=True))
            weights[place] = np.array([found[str(level)] for level in levels])
    return float(np.einsum("ijk,i,j,k->", values.reshape([len(levels) for levels in LEVELS.values()]), *weights))


SHAPES = [
    "{f}",
    "0 + {f}",
    "{f} + {h}",
    "0 + {f} + {h} + x",
    "{f} * {h}",
    "{f} * {h} * {k}",
    "{f} * x",
    "{f}:x",
    "x + {f}:x",
    "0 + {f}:x",
    "{f} / x",
    "{f} / {h}",
    "{f}:{h}",
    "x * z * {f}",
    "{f} * {h} * x",
    "{k} + {f}:{h}:x",
    "({f} + {h} + x)**2",
    "{h} * x + {f} * z",
    "{f}:x + {f}:z",
]


@settings(max_examples=30)
@given(st.data())
def test_contrasts_give_the_coefficients_from_cell_means(data: st.DataObject) -> None:
    components = {name: data.draw(st.sampled_from(codings), name) for name, codings in CODINGS.items()}
    shape = data.draw(st.sampled_from(SHAPES))
    design = designed("y ~ " + shape.format(**components))
    written = {part.coding.name: part for parts in design.fixed_parts for part in parts if part.coding}
    means = CellMeans(design)
    for label, contrast, value in zip(design.fixed_effects, contrasts(design.fixed_parts), means.beta, strict=True):
        assert contrast is not None, label
        assert applied(contrast, written, means.coefficient_of(contrast.numbers)) == pytest.approx(value, abs=1e-9), (
            label
        )
    assert all("no simpler contrast" not in text for text in meanings(design))


def said(formula: str) -> dict[str, str]:
    design = designed(formula)
    return dict(zip(design.fixed_effects, meanings(design), strict=True))


@pytest.mark.parametrize(
    ("formula", "label", "text"),
    [
        (
            "y ~ C(f, Sum) * x",
            "x",
            "the change in the log-odds for one more unit of `x`, averaged over the levels of `f`",
        ),
        (
            "y ~ C(f, Sum) * x",
            "C(f, Sum)[a]",
            "how much higher the log-odds are where `f` is a than on average over the levels of `f`, where `x` is 0",
        ),
        (
            "y ~ C(f, Sum) * x",
            "C(f, Sum)[b]:x",
            "how much higher the coefficient of `x` is where `f` is b than on average over the levels of `f`",
        ),
        (
            "y ~ C(f, Sum) * C(h, Sum) * x",
            "x",
            "the change in the log-odds for one more unit of `x`, averaged over the levels of `f` and `h`",
        ),
        (
            "y ~ C(f, Treatment('b')) * h",
            "h[v]",
            "how much higher the log-odds are where `h` is v rather than u, where `f` is b",
        ),
        (
            "y ~ f * h",
            "f[b]:h[v]",
            "how much higher the difference in the log-odds between `f` b and a is where `h` is v rather than u",
        ),
        (
            "y ~ C(f, Sum) * h",
            "C(f, Sum)[a]:h[v]",
            "how much higher the deviation of the log-odds where `f` is a from the mean over the levels of `f` is "
            "where `h` is v rather than u",
        ),
        (
            "y ~ C(f, Helmert)",
            "C(f, Helmert)[c]",
            "1/3 of how much higher the log-odds are where `f` is c than on average where it is a or b",
        ),
        (
            "y ~ C(f, Helmert) * x",
            "C(f, Helmert)[b]:x",
            "1/2 of how much higher the coefficient of `x` is where `f` is b rather than a",
        ),
        ("y ~ C(f, Diff)", "C(f, Diff)[c]", "how much higher the log-odds are where `f` is c rather than b"),
        (
            "y ~ C(f, Poly)",
            "C(f, Poly)[linear]",
            "0.707 of how much higher the log-odds are where `f` is c rather than a",
        ),
        (
            "y ~ C(k, Sum) * f * h",
            "C(k, Sum)[0]:f[b]:h[v]",
            "how much higher the difference in (the deviation of the log-odds where `k` is 0 from the mean over the "
            "levels of `k`) between `f` b and a is where `h` is v rather than u",
        ),
        ("y ~ C(h, Sum)", "C(h, Sum)[u]", "where `h` is u than on average over the levels of `h`"),
        (
            "y ~ C(k, Poly)",
            "C(k, Poly)[linear]",
            "the sum of the log-odds over the levels of `k`, with the weights −0.671 for 0, −0.224 for 2, 0.224 for 4 "
            "and 0.671 for 11",
        ),
        (
            "y ~ C(f, [[1], [2], [4]]) * h",
            "C(f, [[1], [2], [4]])[1]",
            "the change in the log-odds for one more unit of the codes of `f` (1 for a, 2 for b and 4 for c), where "
            "`h` is u",
        ),
        ("y ~ 0 + C(f, Sum)", "C(f, Sum)[mean]", "the log-odds, averaged over the levels of `f`"),
        ("y ~ C(f, Sum) + x", "Intercept", "the log-odds where `x` is 0, averaged over the levels of `f`"),
        ("y ~ x * z + f", "x:z", "the change in the coefficient of `x` for one more unit of `z`"),
        ("y ~ C(k, levels=[4, 2, 0, 11])", "C(k, levels=[4, 2, 0, 11])[11]", "where `k` is 11 rather than 4"),
    ],
)
def test_words_for_contrasts(formula: str, label: str, text: str) -> None:
    assert text in said(formula)[label]


@pytest.mark.parametrize(
    ("formula", "label", "text"),
    [
        (
            "y ~ x + I(x**2) + z",
            "x",
            "the slope of the curve where `x` is 0: together with `I(x ** 2)` it makes up the curve of `x`; "
            "hl.plots.curves(fit, 'x') shows it",
        ),
        (
            "y ~ x + I(x**2) + z",
            "I(x ** 2)",
            "no meaning of its own: together with `x` it makes up the curve of `x`; hl.plots.curves(fit, 'x') shows it",
        ),
        (
            "y ~ poly(x, 2)",
            "poly(x, 2)[1]",
            "together with the other columns of this term it makes up the curve of `x`",
        ),
        ("y ~ bs(x, df=4) * h", "bs(x, df=4)[0]:h[v]", "the curve of `x` and how it depends on `h[v]`"),
        ("y ~ x + log(x + 9)", "x", "no meaning of its own: together with `log(x + 9)`"),
        ("y ~ x + z + I(x * z)", "z", "together with `x` and `I(x * z)` it makes up the joint effect of `x` and `z`"),
        ("y ~ (x + I(x**2)) * h", "x", "the slope of the curve where `x` is 0 and `h` is u: together"),
        ("y ~ x * h + I(x**2)", "x:h[v]", "how much higher the coefficient of `x` is where `h` is v rather than u"),
        ("y ~ x * z + I(x**2)", "x:z", "the change in the coefficient of `x` for one more unit of `z`"),
        ("y ~ h:x + I(x**2)", "h[u]:x", "no meaning of its own"),
        ("y ~ poly(x, 2) * h", "h[v]", "where the columns of `poly(x, 2)` are 0"),
    ],
)
def test_terms_that_share_a_variable_are_explained_together(formula: str, label: str, text: str) -> None:
    assert text in said(formula)[label]


def test_an_intercept_of_many_predictors_is_where_all_columns_are_zero() -> None:
    assert said("y ~ f + h + C(k) + x + z + w")["Intercept"] == "the log-odds where all columns below are 0"


@pytest.mark.parametrize(
    "formula", ["y ~ within(x, k) + between(x, k)", "y ~ x + z + f", "y ~ f + f:x", "y ~ log(x + 9)"]
)
def test_other_terms_have_meanings_of_their_own(formula: str) -> None:
    assert not any("makes up" in text for text in said(formula).values())
