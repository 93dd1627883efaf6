"""The tally of the fuzz tests, shown at the end of their run and added to the file that TALLY names."""

from __future__ import annotations

import json
import os
from pathlib import Path


def pytest_sessionfinish() -> None:
    from .outcomes import tally

    if path := os.environ.get("TALLY"):
        Path(path).write_text(json.dumps([[*key, count] for key, count in tally.items()]), encoding="utf-8")
