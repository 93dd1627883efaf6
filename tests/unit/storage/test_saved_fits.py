"""Fits that earlier versions saved, and this one, are read with the numbers they were saved with."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import hierlogit as hl

ROOT = Path(__file__).parents[3]


def script() -> ModuleType:
    """tools/make_saved_fits.py as a module."""
    spec = importlib.util.spec_from_file_location("make_saved_fits", ROOT / "tools" / "make_saved_fits.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = script()
FILES = sorted(SCRIPT.FOLDER.glob("*/*.nc"))


def close(found: Any, stored: Any) -> bool:
    """Whether texts and counts are the same and numbers agree to nine digits, at any depth."""
    if isinstance(stored, dict):
        return found.keys() == stored.keys() and all(close(found[key], stored[key]) for key in stored)
    if isinstance(stored, list):
        return len(found) == len(stored) and all(map(close, found, stored))
    if isinstance(stored, float):
        return bool(found == pytest.approx(stored, rel=1e-9, abs=1e-12))
    return bool(found == stored)


def test_this_version_has_a_fit_of_each_kind() -> None:
    assert {path.stem for path in FILES if path.parent.name == hl.__version__} == {"laplace", "nuts"}


# The saved draws are few, to keep the files small.
@pytest.mark.filterwarnings("ignore:The fit behind this result has findings:hierlogit.errors.ConvergenceWarning")
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_is_read_with_its_numbers(path: Path) -> None:
    stored = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    found = json.loads(json.dumps(SCRIPT.numbers(hl.load(path))))
    assert {key: found.get(key) for key in stored if not close(found.get(key), stored[key])} == {}
