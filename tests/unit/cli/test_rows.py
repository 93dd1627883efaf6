"""Tables of rows read from files: their formats, separators, decimals and encodings."""

import re

import pandas as pd
import pytest

from hierlogit.cli.output import CommandError
from hierlogit.cli.rows import read_rows


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".tsv.xz", ".CSV", ".parquet"])
def test_tables_are_read_by_what_their_name_ends_in(suffix, tmp_path, clustered_rows):
    rows = clustered_rows(2, 3)
    path = tmp_path / f"v1.2 rows{suffix}"
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
        rows.to_parquet(path)
    else:
        rows.to_csv(path, index=False, sep="\t" if "tsv" in suffix else ",")
    pd.testing.assert_frame_equal(read_rows(path), rows, check_dtype=False)


@pytest.mark.parametrize(("sep", "decimal"), [(";", ","), ("tab", ","), ("|", "."), ("\\t", ".")])
def test_other_separators_and_decimals_are_read_when_they_are_named(sep, decimal, tmp_path, clustered_rows):
    rows, path = clustered_rows(2, 3), tmp_path / "rows.csv"
    rows.to_csv(path, index=False, sep={"tab": "\t", "\\t": "\t"}.get(sep, sep), decimal=decimal)
    pd.testing.assert_frame_equal(read_rows(path, sep=sep, decimal=decimal), rows, check_dtype=False)


@pytest.mark.parametrize(
    ("header", "row", "advice"),
    [
        ("y;x", "1;1,5", "semicolons: pass --sep ';' and, because numbers are written with commas, --decimal ','."),
        ("y;x", "1;1.5", "semicolons: pass --sep ';'."),
        ("y\tx", "1\t1.5", "tabs: pass --sep 'tab'."),
        ("y|x", "1|1.5", "vertical bars: pass --sep '|'."),
    ],
)
def test_separators_are_named_and_not_guessed(header, row, advice, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(f"{header}\n{row}\n", encoding="utf-8")
    with pytest.raises(CommandError, match=re.escape(advice)):
        read_rows(path)


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
    pd.testing.assert_frame_equal(read_rows(path), pd.DataFrame(columns), check_dtype=False)


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
    with pytest.raises(CommandError, match=re.escape(message)):
        read_rows(path)


def test_a_table_of_one_column_is_a_table(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("y\n1\n0\n", encoding="utf-8")
    assert list(read_rows(path)["y"]) == [1, 0]


def test_other_encodings_are_named_in_the_message_and_read_with_the_option(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes("y,schüler\n1,Jürgen\n".encode("latin-1"))
    with pytest.raises(CommandError, match=r"not text in utf-8: it has the byte 0xfc.*--encoding latin-1"):
        read_rows(path)
    assert list(read_rows(path, encoding="latin-1").columns) == ["y", "schüler"]
    with pytest.raises(CommandError, match="no encoding 'klingon'"):
        read_rows(path, encoding="klingon")
    path.write_text("y,schüler\n1,Jürgen\n", encoding="utf-16")
    with pytest.raises(CommandError, match="pass --encoding utf-16"):
        read_rows(path)
    assert list(read_rows(path, encoding="utf-16").columns) == ["y", "schüler"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sep": ";;"}, "--sep must be one character"),
        ({"decimal": ""}, "--decimal must be one character"),
        ({"decimal": ","}, "--decimal and --sep are both ','"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("y\n1\n", encoding="utf-8")
    with pytest.raises(CommandError, match=re.escape(message)):
        read_rows(path, **options)


def test_files_of_other_programs_say_what_to_do(tmp_path):
    for suffix, name in ((".xlsx", "a spreadsheet"), (".sav", "SPSS"), (".rds", "a file of R")):
        path = tmp_path / f"rows{suffix}"
        path.touch()
        with pytest.raises(CommandError, match=f"{name}.*export the table as CSV"):
            read_rows(path)
