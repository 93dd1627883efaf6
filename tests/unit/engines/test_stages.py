"""Stages of a fit: their times add up, and compiling is apart from the stage in which it happens."""

from __future__ import annotations

import time
from typing import Any

import pytest
from numba import njit

import hierlogit as hl
from hierlogit.engines import stages as stages_module
from hierlogit.engines.stages import Stages


def test_compiling_is_not_part_of_the_stage_in_which_it_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages_module, "LEAST_COMPILING", 0.0)

    @njit
    def inner(x: float) -> float:
        return x + 1.0

    @njit
    def outer(x: float) -> float:
        total: float = inner(x) * 2.0
        return total

    started = time.perf_counter()
    stages = Stages("search")
    assert outer(1.0) == 4.0
    stages.begin("sample")
    time.sleep(0.02)
    stages.begin("search")
    seconds = stages.end()
    whole = time.perf_counter() - started
    assert list(seconds) == ["compile", "search", "sample"]
    assert seconds["compile"] > seconds["search"]
    assert seconds["sample"] >= 0.02
    assert sum(seconds.values()) == pytest.approx(whole, abs=0.01)


def test_fits_name_their_stages(clustered_rows: Any) -> None:
    fit = hl.Model("healed ~ dose + (1 | clinic)", clustered_rows(8, 10)).fit("laplace")
    assert set(fit.diagnostics.seconds) - {"compile"} == {"arrange", "search"}
    assert all(value >= 0 for value in fit.diagnostics.seconds.values())
