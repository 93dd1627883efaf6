"""What holds for every formula: rows are encoded the same alone as among the rows of training."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from hierlogit.design.design import Design, build_design
from hierlogit.formula.parser import parse

N = 60
#: Formulas of each test; a profile with more examples tries more.
EXAMPLES = 30 if settings.default.max_examples <= 100 else 500

NUMBERS = ["x", "scale(x)", "center(z)", "I(x**2)", "log(n)", "b", "within(x, g)", "between(z, g)", "I(v >= 'mid')"]
FACTORS = ["t", "u", "C(k)", "S(t)", "T(u, 'hi')", "C(t, levels=order)"]
BASES = ["bs(z, df=4)", "poly(x, 2)", "poly(z, 3)"]
EFFECTS = ["1", "x", "0 + x", "1 + x + t", "0 + t", "1 + scale(z)", "C(k)", "1 + poly(x, 2)", "0 + b"]
GROUPS = ["g", "t", "g:t", "h", "h:u"]


def table(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": np.tile([0, 1], N // 2),
            "x": rng.normal(size=N),
            "z": rng.uniform(1, 5, size=N),
            "n": rng.integers(1, 30, N),
            "k": rng.permutation(np.arange(N) % 4),
            "b": rng.permutation(np.arange(N) % 3) == 0,
            "t": rng.permutation(np.tile(["a", "b", "c"], N // 3)),
            "u": pd.Categorical(rng.permutation(np.tile(["hi", "lo", "mid"], N // 3)), ["lo", "mid", "hi"]),
            "v": pd.Categorical(rng.permutation(np.tile(["hi", "lo", "mid"], N // 3)), ["lo", "mid", "hi"]),
            "g": rng.permutation(np.arange(N) % 9) * 10 - 30,
            "h": [f"h{i}" for i in rng.integers(0, 12, N)],
        },
        index=pd.Index(rng.permutation(N) + 1000),
    )


@st.composite
def formulas(draw: st.DrawFn) -> str:
    number, factor, basis = (draw(st.sampled_from(names)) for names in (NUMBERS, FACTORS, BASES))
    shape = draw(
        st.sampled_from(["{n} + {f}", "{n} * {f}", "{f} / {n}", "{n}:{f}", "{b} + {f}", "{b} * {f}", "0 + {f}"])
    )
    fixed = shape.format(n=number, f=factor, b=basis)
    offset = draw(st.sampled_from(["", " + offset(log(n))", " + offset(2)"]))
    groups = draw(st.lists(st.sampled_from(GROUPS), max_size=2, unique=True))
    bars = [f"({draw(st.sampled_from(EFFECTS))} {draw(st.sampled_from(['|', '||']))} {group})" for group in groups]
    return " + ".join([f"y ~ {fixed}{offset}", *bars])


def designed(formula: str, frame: Any) -> Design:
    return build_design(parse(formula), frame, namespace={"order": ["c", "a", "b"]})


@settings(max_examples=EXAMPLES)
@given(formula=formulas(), seed=st.integers(0, 50), data=st.data())
def test_training_rows_alone_get_their_columns(formula: str, seed: int, data: st.DataObject) -> None:
    frame = table(seed)
    design = designed(formula, frame)
    rows = data.draw(st.lists(st.integers(0, N - 1), min_size=1, max_size=N))
    kind = data.draw(st.sampled_from(["pandas", "text", "polars"]))
    part: Any = frame.iloc[rows].drop(columns="y")
    if kind == "text":
        part = part.assign(
            u=part["u"].astype(str), v=part["v"].astype(object), t=part["t"].astype("category"), surplus=None
        )
    elif kind == "polars":
        part = pl.DataFrame({name: part[name].tolist() for name in part})
    encoded = design.encode(part)
    np.testing.assert_allclose(encoded.X, design.X[rows], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(encoded.offset, design.offset[rows])
    for block in design.groups:
        found = encoded.groups[block.name]
        np.testing.assert_array_equal(found.index, block.index[rows])
        np.testing.assert_array_equal(found.labels, block.levels[block.index[rows]])
        np.testing.assert_allclose(found.Z, block.Z[rows], rtol=1e-12, atol=1e-12)


@settings(max_examples=EXAMPLES)
@given(formula=formulas(), seed=st.integers(0, 50))
def test_permuted_rows_permute_the_design(formula: str, seed: int) -> None:
    frame = table(seed)
    order = np.random.default_rng(seed + 1).permutation(N)
    one, other = designed(formula, frame), designed(formula, frame.iloc[order])
    assert one.fixed_effects == other.fixed_effects
    np.testing.assert_allclose(other.X, one.X[order], rtol=1e-8, atol=1e-8)
    np.testing.assert_array_equal(other.outcome.y, one.outcome.y[order])
    for left, right in zip(one.groups, other.groups, strict=True):
        assert left.levels.tolist() == right.levels.tolist()
        np.testing.assert_array_equal(right.index, left.index[order])
        np.testing.assert_allclose(right.Z, left.Z[order], rtol=1e-8, atol=1e-8)


@settings(max_examples=EXAMPLES)
@given(formula=formulas(), seed=st.integers(0, 50))
def test_designs_are_sound(formula: str, seed: int) -> None:
    design = designed(formula, table(seed))
    n, p = design.X.shape
    assert n == design.n_rows == len(design.offset) == N
    assert p == len(design.fixed_effects) == len(design.fixed_terms) == len(set(design.fixed_effects))
    assert np.linalg.matrix_rank(design.X / np.linalg.norm(design.X, axis=0)) == p
    for block in design.groups:
        assert block.Z.shape == (N, len(block.effects)) == (N, len(block.terms))
        assert [index for members in block.sets for index in members] == list(range(len(block.effects)))
        assert np.unique(block.index).tolist() == list(range(len(block.levels)))
        assert len(set(block.levels.tolist())) == len(block.levels)
