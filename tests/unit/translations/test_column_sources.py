"""Columns of a design as expressions of the table's columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierlogit.translations.column_sources import plain_table, sources, split_product, written_call

TABLE = pd.DataFrame({"x": [1.0, 2.0, 4.0], "my col": [3, 1, 2], "f": ["a", "b", "b"], "week": [0, 2, 11]})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("log(x)", 'np.log(data["x"])'),
        ("np.log(x + 1) ** 2", 'np.log(data["x"] + 1) ** 2'),
        ("I((x + 1) * week)", '(data["x"] + 1) * data["week"]'),
        ("I(x > 2)", 'data["x"] > 2'),
        ("center(x)", '(data["x"] - data["x"].mean())'),
        ("own(x)", None),
        ("bs(x, df=4)", None),
        ("x.__class__", None),
        ("log(unknown)", None),
        ("I(lambda: x)", None),
    ],
)
def test_calls(text: str, code: str | None) -> None:
    assert written_call(text, TABLE) == code


def test_an_expression_counts_only_if_it_gives_the_column() -> None:
    right = np.array([[0.0, 1.0, 1.0]]).T
    (found,) = sources(["f[b]"], right, TABLE)
    assert found.code == 'data["f"] == "b"'
    (other,) = sources(["f[b]"], 1 - right, TABLE)
    assert other.code is None


def test_labels_of_numbers_used_as_levels() -> None:
    (found,) = sources(["C(week)[11]"], np.array([[0.0, 0.0, 1.0]]).T, TABLE)
    assert found.code == 'data["week"] == 11'
    assert (found.factors[0].column, found.factors[0].level) == ("week", "11")


def test_products_keep_their_factors() -> None:
    (found,) = sources(["my col:f[b]"], np.array([[0.0, 1.0, 2.0]]).T, TABLE)
    assert [factor.text for factor in found.factors] == ["my col", "f[b]"]
    assert found.code == 'data["my col"] * (data["f"] == "b")'


@given(st.lists(st.sampled_from(["x", "f[a:b]", "bs(x, df=4)[0]", "`a b`", "C(w)[1]"]), min_size=1, max_size=4))
def test_products_are_split_outside_of_brackets(parts: list[str]) -> None:
    assert split_product(":".join(parts)) == parts


def test_a_table_is_as_a_file_gives_it_back(tmp_path) -> None:
    frame = pd.DataFrame(
        {
            "text": pd.Categorical(["b", "a"]),
            "number": pd.Categorical([2, 1]),
            "cut": pd.cut(pd.Series([0.1, 0.9]), [0, 0.5, 1]),
            "flag": [True, False],
        }
    )
    plain = plain_table(frame)
    plain.to_csv(tmp_path / "rows.csv", index=False)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "rows.csv"), plain, check_dtype=False)
