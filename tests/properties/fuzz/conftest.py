"""An empty folder for the fuzz tests, and their tally: it is added to the file that TALLY names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="module")
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder, in which a file would betray that text was evaluated."""
    # The first import of these changes filters of warnings, or the limit of recursion.
    import arviz  # noqa: F401
    import formulae  # noqa: F401
    import pymc  # noqa: F401

    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("fuzz")
        patch.chdir(folder)
        yield folder


def pytest_sessionfinish() -> None:
    from .outcomes import tally

    if path := os.environ.get("TALLY"):
        Path(path).write_text(json.dumps([[*key, count] for key, count in tally.items()]), encoding="utf-8")
