"""Runs on disk: the same draws as in memory, read back after the process has died, and clear errors."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import hierlogit as hl
from hierlogit.errors import ConvergenceWarning, EngineError, FitError

FORMULA = "cbind(successes, size - successes) ~ period + (1 | herd)"
LONG_RUN = f"""
import hierlogit as hl
model = hl.Model({FORMULA!r}, hl.datasets.load("cbpp"))
model.fit(hl.NUTS(draws=5_000_000, chains=2, cores=2, seed=1, progress=False, store=STORE))
"""


pytestmark = pytest.mark.filterwarnings("ignore::hierlogit.errors.ConvergenceWarning")


@pytest.fixture(scope="module")
def model() -> hl.Model:
    return hl.Model(FORMULA, hl.datasets.load("cbpp"))


def test_run_on_disk_has_the_draws_of_one_in_memory(model: hl.Model, tmp_path: Path) -> None:
    options = {"draws": 500, "chains": 2, "seed": 9, "progress": False, "store_u": True}
    memory = model.fit(hl.NUTS(**options))
    disk = model.fit(hl.NUTS(**options, store=tmp_path / "run"))
    read = hl.recover(tmp_path / "run")
    for found in (disk, read):
        xr.testing.assert_identical(found.posterior, memory.posterior)
        xr.testing.assert_identical(found.data["sample_stats"].to_dataset(), memory.data["sample_stats"].to_dataset())
    assert repr(read.model) == repr(model)
    assert read.diagnostics.measures == memory.diagnostics.measures
    assert read.diagnostics.seed == 9


def _killed(folder: Path, when: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", LONG_RUN.replace("STORE", repr(str(folder)))])
    try:
        for _ in range(1200):
            if any(folder.glob(when)) or process.poll() is not None:
                break
            time.sleep(0.05)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_killed_process_leaves_its_draws(model: hl.Model, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    # Once there is a second chunk of a chain, the first one of each variable is complete.
    _killed(folder, "draws/posterior/beta/c/1/1/*")
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        read = hl.recover(folder)
    assert read.diagnostics.status == "interrupted"
    assert read.posterior.sizes["draw"] >= 4
    assert all(np.isfinite(values).all() for values in read.posterior.data_vars.values())
    np.testing.assert_allclose(read.posterior["b_herd"].mean(), 0, atol=1)
    assert len(hl.ranef(read)) == 15


def test_run_without_draws_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    _killed(folder, "model.nc")
    with pytest.raises(FitError, match="run"):
        hl.recover(folder)


def test_folder_with_something_in_it_is_refused(model: hl.Model, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep me")
    with pytest.raises(EngineError, match="is not empty"):
        model.fit(hl.NUTS(store=tmp_path, progress=False))
    assert [item.name for item in tmp_path.iterdir()] == ["notes.txt"]


def test_other_folders_are_none_of_ours(tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"there is no model\.nc"):
        hl.recover(tmp_path)
    (tmp_path / "model.nc").write_text("no netCDF")
    with pytest.raises(FitError, match="is not the model of a run"):
        hl.recover(tmp_path)


@pytest.mark.usefixtures("interrupted_sampling")
def test_interrupt_of_a_run_on_disk_keeps_its_draws(tmp_path: Path) -> None:
    # So many rows that two seconds are enough for hundreds of draws, and not for a hundred thousand.
    random = np.random.default_rng(1)
    rows = {"y": random.integers(0, 2, 16000), "x": random.normal(size=16000), "herd": np.arange(16000) % 15}
    model = hl.Model("y ~ x + (1 | herd)", rows)
    found = model.fit(hl.NUTS(draws=10_000_000, chains=2, seed=1, progress=False, store=tmp_path / "run"))
    read = hl.recover(tmp_path / "run")
    assert found.diagnostics.status == read.diagnostics.status == "interrupted"
    assert found.posterior.sizes["draw"] == read.posterior.sizes["draw"] > 100
