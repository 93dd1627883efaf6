"""What programs share that fill tables and pages of the documentation."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd


def options_of(description: str | None, studies: int) -> argparse.Namespace:
    """The command line: ``--studies``, by default so many, ``--seed`` and ``--only-page``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--studies", type=int, default=studies)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only-page", action="store_true")
    return parser.parse_args()


def table_so_far(path: Path) -> pd.DataFrame:
    """The table that earlier runs have written, or an empty one."""
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


def is_simulated(table: pd.DataFrame, kind: Mapping[str, object]) -> bool:
    """Whether the table has studies of this kind."""
    return bool(len(table) and (table[list(kind)] == pd.Series(kind)).all(axis=1).any())


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, aligned to the right."""
    lines = [heads, ["---:"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_between(page: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two comments of a page."""
    before, rest = page.read_text(encoding="utf-8").split(begin)
    after = rest.split(end)[1]
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
