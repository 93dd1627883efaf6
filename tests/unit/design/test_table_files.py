"""Tables in text files: separators, decimals and encodings, and what else is refused."""

import re

import pandas as pd
import pytest

from hierlogit.design.table_files import read_text_file
from hierlogit.design.table_sources import read_table
from hierlogit.errors import DesignError


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".tsv.xz", ".CSV"])
def test_tables_are_read_by_what_their_name_ends_in(suffix, tmp_path, clustered_rows):
    rows = clustered_rows(2, 3)
    path = tmp_path / f"v1.2 rows{suffix}"
    rows.to_csv(path, index=False, sep="\t" if "tsv" in suffix else ",")
    pd.testing.assert_frame_equal(read_table(path), rows, check_dtype=False)


@pytest.mark.parametrize(("sep", "decimal"), [(";", ","), ("\t", ","), ("|", ".")])
def test_other_separators_and_decimals_are_read_when_they_are_named(sep, decimal, tmp_path, clustered_rows):
    rows, path = clustered_rows(2, 3), tmp_path / "rows.csv"
    rows.to_csv(path, index=False, sep=sep, decimal=decimal)
    pd.testing.assert_frame_equal(read_text_file(path, sep=sep, decimal=decimal), rows, check_dtype=False)


@pytest.mark.parametrize(
    ("header", "row", "what", "options"),
    [
        ("y;x", "1;1,5", "by semicolons, and its numbers to be written with commas. ", "sep=';', decimal=','"),
        ("y;x", "1;1.5", "by semicolons. ", "sep=';'"),
        ("y\tx", "1\t1.5", "by tabs. ", "sep='\\t'"),
        ("y|x", "1|1.5", "by vertical bars. ", "sep='|'"),
    ],
)
def test_separators_are_named_and_not_guessed(header, row, what, options, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(f"{header}\n{row}\n", encoding="utf-8")
    with pytest.raises(
        DesignError,
        match=re.escape(f"{what}Read it with pandas.read_csv({str(path)!r}, {options}) and pass the table."),
    ):
        read_text_file(path)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("y,x,g\n1,2.5,a,\n0,3.5,b,\n", {"y": [1, 0], "x": [2.5, 3.5], "g": ["a", "b"]}),
        ("y,x,g\n0,2.5,a,\n1,3.5,b,\n", {"y": [0, 1], "x": [2.5, 3.5], "g": ["a", "b"]}),
        ("y,x,g\n1,1,2.5,a\n2,0,3.5,b\n", {"y": [1, 0], "x": [2.5, 3.5], "g": ["a", "b"]}),
        (",y,x\n1,1,2.5\n2,0,3.5\n", {"Unnamed: 0": [1, 2], "y": [1, 0], "x": [2.5, 3.5]}),
        ("y,x,g\nr1,1,2.5,a\nr2,0,3.5,b\n", {"y": [1, 0], "x": [2.5, 3.5], "g": ["a", "b"]}),
        ("y,x,g\n1,2.5\n0,3.5\n", {"y": [1, 0], "x": [2.5, 3.5], "g": [float("nan")] * 2}),
    ],
)
def test_fields_stay_under_their_names(text, columns, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(text, encoding="utf-8")
    pd.testing.assert_frame_equal(read_text_file(path), pd.DataFrame(columns), check_dtype=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A study of schools\n\ny,x,g\n1,2,a\n", "names 1 column, but there are rows with more fields"),
        ("y,x\n1,2,3,4\n1,2,3,5\n", "names 2 columns, but there are rows with more fields"),
        ("y,x,g\n1,1,2,a\n1,0,3,b\n", "names 3 columns, but there are rows with more fields"),
        ("y,x\n1,2\n0,3,4\n", "Expected 2 fields in line 3, saw 3"),
        ("", "is empty: there is not even a line"),
        ("y,x,g,x\n1,2,a,3\n", "more than one column called 'x': rename them"),
    ],
)
def test_first_lines_that_do_not_name_each_column_once_are_refused(text, message, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DesignError, match=re.escape(message)):
        read_text_file(path)


def test_a_table_of_one_column_is_a_table(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("y\n1\n0\n", encoding="utf-8")
    assert list(read_text_file(path)["y"]) == [1, 0]


def test_other_encodings_are_named_in_the_message_and_read_with_the_option(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes("y,schüler\n1,Jürgen\n".encode("latin-1"))
    with pytest.raises(
        DesignError, match=r"not text in utf-8: it has the byte 0xfc.*such as latin-1.*encoding='latin-1'"
    ):
        read_text_file(path)
    assert list(read_text_file(path, encoding="latin-1").columns) == ["y", "schüler"]
    path.write_text("y,schüler\n1,Jürgen\n", encoding="utf-16")
    with pytest.raises(DesignError, match="encoding='utf-16'"):
        read_text_file(path)
    assert list(read_text_file(path, encoding="utf-16").columns) == ["y", "schüler"]


def test_files_of_other_programs_say_what_to_do(tmp_path):
    for suffix, name in ((".xlsx", "a spreadsheet"), (".sav", "SPSS"), (".rds", "a file of R")):
        path = tmp_path / f"rows{suffix}"
        path.touch()
        with pytest.raises(DesignError, match=f"{name}.*export the table as CSV"):
            read_table(path)


def test_files_that_are_not_what_their_name_says(tmp_path):
    for suffix in (".parquet", ".feather", ".csv.gz"):
        path = tmp_path / f"rows{suffix}"
        path.write_text("y\n1\n", encoding="utf-8")
        with pytest.raises(DesignError, match=rf"cannot read .*rows{suffix} as "):
            read_table(path)


def test_a_folder_of_parquet_files_is_a_table(tmp_path):
    folder = tmp_path / "rows.parquet"
    for year in (1999, 2000):
        (folder / f"year={year}").mkdir(parents=True)
        pd.DataFrame({"y": [0, 1]}).to_parquet(folder / f"year={year}" / "part.parquet")
    read = read_table(folder)
    assert read["y"].tolist() == [0, 1, 0, 1]
    assert read["year"].tolist() == [1999, 1999, 2000, 2000]
