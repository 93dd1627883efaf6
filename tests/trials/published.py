"""The published models that R software has fitted as well, as trials of the default sampler."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import hierlogit as hl

from .simulated import Trial

_REFERENCE = Path(__file__).parents[1] / "reference" / "reference.json"

#: Every model of tests/reference/reference.json by its name.
PUBLISHED: Mapping[str, Trial] = {
    name: Trial(name, entry["python_formula"], partial(hl.datasets.load, entry["data"].removesuffix(".csv")))
    for name, entry in json.loads(_REFERENCE.read_text(encoding="utf-8"))["models"].items()
}
