"""The options of the command line for tables in text files."""

import re

import pandas as pd
import pytest

from hierlogit.cli.output import CommandError
from hierlogit.cli.rows import read_rows
from hierlogit.cli.wording import on_command_line
from hierlogit.errors import DesignError


@pytest.mark.parametrize(("sep", "written"), [("tab", "\t"), ("\\t", "\t"), (";", ";")])
def test_separators_have_names(sep, written, tmp_path, clustered_rows):
    rows, path = clustered_rows(2, 3), tmp_path / "rows.csv"
    rows.to_csv(path, index=False, sep=written, decimal=",")
    pd.testing.assert_frame_equal(read_rows(path, sep=sep, decimal=","), rows, check_dtype=False)


def test_files_of_parquet_are_left_to_the_model(tmp_path, clustered_rows):
    path = tmp_path / "rows.parquet"
    clustered_rows(2, 3).to_parquet(path)
    assert read_rows(path) == path
    with pytest.raises(CommandError, match=r"are for text files; a \.parquet file needs none"):
        read_rows(path, sep=";")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("y;x\n1;1,5\n", "with commas. Pass --sep ';' --decimal ','."),
        ("y\tx\n1\t1.5\n", "tabs. Pass --sep tab."),
        ("y|x\n1|1.5\n", "vertical bars. Pass --sep '|'."),
        ("y,schüler\n1,Jürgen\n", "Pass --encoding latin-1."),
    ],
)
def test_advice_is_in_the_words_of_the_command_line(text, advice, tmp_path):
    path = tmp_path / "rows (1).csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DesignError) as caught:
        read_rows(path)
    assert on_command_line(str(caught.value)).endswith(advice)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sep": ";;"}, "--sep must be one character"),
        ({"decimal": ""}, "--decimal must be one character"),
        ({"decimal": ","}, "--decimal and --sep are both ','"),
        ({"encoding": "klingon"}, "no encoding 'klingon'"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("y\n1\n", encoding="utf-8")
    with pytest.raises(CommandError, match=re.escape(message)):
        read_rows(path, **options)
