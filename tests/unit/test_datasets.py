"""The data sets: their sizes, types and words."""

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hierlogit import datasets
from hierlogit.design.table_sources import read_table
from hierlogit.errors import HierlogitError

# name -> rows, clusters by grouping column, outcome, sum of the outcome
FACTS = [
    ("bacteria", 220, {"ID": 50}, "y", 177),
    ("bdf", 2287, {"school": 131, "pupil": 2287}, "repeated", 299),
    ("cbpp", 56, {"herd": 15, "obs": 56}, "successes", 99),
    ("contraception", 1934, {"district": 60}, "use", 759),
    ("crossbill", 2355, {"site": 267, "year": 9}, "detections", 1362),
    ("guimmun", 2159, {"mom": 1595, "comm": 161}, "immun", 964),
    ("medpar", 1495, {"provnum": 54}, "died", 513),
    ("opinion", 2500, {"state": 48}, "support", 1323),
    ("opinion_cells", 1600, {"state": 50}, "supporters", 107_594_111),
    ("salamanders", 644, {"site": 23, "spp": 7}, "present", 257),
    ("toenail", 1908, {"patientID": 294}, "outcome", 408),
    ("verbagg", 7584, {"id": 316, "item": 24}, "r2", 3611),
]
NAMES = [fact[0] for fact in FACTS]


@pytest.mark.parametrize(("name", "rows", "clusters", "outcome", "total"), FACTS, ids=NAMES)
def test_sizes_and_sums(name: str, rows: int, clusters: dict[str, int], outcome: str, total: int) -> None:
    table = datasets.load(name)
    assert len(table) == rows == datasets.describe(name).rows
    assert {group: table[group].nunique() for group in clusters} == clusters
    assert table[outcome].sum() == total
    assert not table.isna().to_numpy().any()


@pytest.mark.parametrize("name", NAMES)
def test_the_words_cover_exactly_the_columns(name: str) -> None:
    about, table = datasets.describe(name), datasets.load(name)
    assert set(about.columns) == set(table.columns)
    assert all(about.columns.values())
    assert set(about.outcome.split(" of ")) <= set(table.columns)


@pytest.mark.parametrize("name", NAMES)
def test_text_stays_text_and_numbers_are_numbers(name: str) -> None:
    about, table = datasets.describe(name), datasets.load(name)
    for column in table:
        if column in about.levels:
            assert isinstance(table[column].dtype, pd.CategoricalDtype)
            assert tuple(table[column].cat.categories) == about.levels[column]
            assert table[column].cat.ordered
        elif column in about.text:
            assert all(type(value) is str for value in table[column])
        else:
            assert np.issubdtype(table[column].to_numpy().dtype, np.number)


def test_levels_that_look_like_numbers() -> None:
    assert sorted(datasets.load("contraception")["livch"].unique()) == ["0", "1", "2", "3+"]
    assert sorted(datasets.load("guimmun")["ord"].unique()) == ["01", "23", "46", "7p"]


def test_levels_and_tables_are_those_of_the_reference_fits(reference: dict[str, Any]) -> None:
    for name, expected in reference["datasets"].items():
        table = datasets.load(name)
        assert len(table) == expected["rows"]
        assert sorted(table.columns) == sorted(expected["columns"])
        for column, levels in expected["levels"].items():
            values = table[column]
            found = values.cat.categories if isinstance(values.dtype, pd.CategoricalDtype) else sorted(values.unique())
            assert [*found] == levels, (name, column)


def test_counts_are_at_most_their_size() -> None:
    herds = datasets.load("cbpp")
    assert (herds["successes"] <= herds["size"]).all()
    assert herds["size"].sum() == 842


def test_the_survey_is_of_the_population_in_the_cells() -> None:
    people, cells = datasets.load("opinion"), datasets.load("opinion_cells")
    kind = ["state", "region", "repvote", "sex", "age", "education"]
    assert not cells.duplicated(kind[:1] + kind[3:]).any()
    assert len(people.merge(cells, on=kind)) == len(people)
    assert set(cells["state"]) - set(people["state"]) == {"AK", "HI"}
    assert (cells["supporters"] <= cells["n"]).all()
    assert cells["n"].sum() == 228_443_347
    assert people["respondent"].is_unique


def test_salamanders_are_present_where_some_were_counted() -> None:
    visits = datasets.load("salamanders")
    assert ((visits["count"] > 0) == (visits["present"] == 1)).all()
    assert (visits.groupby(["site", "spp"]).size() == 4).all()
    assert ((visits["mined"] == "yes") == visits["site"].str.startswith("VF")).all()


def test_quadrats_are_visited_two_or_three_times_a_year() -> None:
    surveys = datasets.load("crossbill")
    assert not surveys.duplicated(["site", "year"]).any()
    assert set(surveys["visits"]) == {2, 3}
    assert (surveys["detections"] <= surveys["visits"]).all()
    assert (surveys.groupby("site")[["elevation", "forest"]].nunique() == 1).all(axis=None)


def test_no_two_communities_share_a_mother() -> None:
    children = datasets.load("guimmun")
    assert (children.groupby("mom")["comm"].nunique() == 1).all()


def test_each_load_is_a_table_of_its_own() -> None:
    first = datasets.load("cbpp")
    first["size"] = 0
    assert datasets.load("cbpp")["size"].sum() == 842


@pytest.mark.parametrize("name", ["bacteria", "cbpp", "opinion"])
def test_other_libraries_have_the_same_rows_and_levels(name: str) -> None:
    expected = datasets.load(name)
    for backend in datasets.BACKENDS:
        read = read_table(datasets.load(name, backend=backend))
        assert read.to_dict("list") == expected.to_dict("list")
        for column, levels in datasets.describe(name).levels.items():
            assert tuple(read[column].cat.categories) == levels
    with pytest.raises(datasets.DatasetError, match="backend='dask' is not allowed"):
        datasets.load(name, backend="dask")  # type: ignore[call-overload]


def test_polars_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(datasets.DatasetError, match="pip install polars"):
        datasets.load("cbpp", backend="polars")


def test_list_has_one_row_a_set() -> None:
    table = datasets.list()
    assert [*table.columns] == ["name", "rows", "clusters", "outcome", "title", "origin", "licence"]
    assert [*table["name"]] == NAMES
    assert not (table == "").to_numpy().any()


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("Contraception", "contraception"),
        ("contraceptoin", "contraception"),
        ("CBPP", "cbpp"),
        ("zzz", None),
        ("", None),
    ],
)
def test_unknown_name(name: str, suggested: str | None) -> None:
    with pytest.raises(datasets.DatasetError) as caught:
        datasets.load(name)
    message = str(caught.value)
    assert isinstance(caught.value, (HierlogitError, ValueError))
    assert repr(name) in message
    assert all(known in message for known in NAMES)
    assert message.endswith(f"Did you mean {suggested!r}?") is (suggested is not None)


@pytest.mark.parametrize("name", NAMES)
def test_description_shows_everything(name: str) -> None:
    about = datasets.describe(name)
    text, html = str(about), about._repr_html_()
    squeezed = " ".join(text.split())
    for words in [about.title, about.formula, about.origin, about.licence, *about.columns]:
        assert " ".join(words.split()) in squeezed
    assert all(len(line) <= 100 for line in text.splitlines())
    assert html.count("<tr>") == 5 + len(about.columns)
    assert "(>=" not in html


def test_import_is_light() -> None:
    heavy = "{'pymc', 'pytensor', 'arviz', 'bambi', 'matplotlib', 'numba', 'scipy', 'xarray', 'formulae'}"
    code = f"import sys, hierlogit.datasets; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
