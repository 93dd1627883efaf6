"""Damaged, changed and invented files: an error of this package, or the right numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import hierlogit as hl
from hierlogit.errors import ConvergenceWarning, FitError, HierlogitError, StudyError
from hierlogit.whole_files import seal

MakeFit = Callable[..., hl.results.Fit]
FORMULA = "cbind(successes, size - successes) ~ period + (1 | herd)"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fit = hl.Model(FORMULA, hl.datasets.load("cbpp")).fit(hl.Laplace(draws=100, seed=1))
    return fit.save(tmp_path_factory.mktemp("saved") / "fit.nc")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored") / "run"
    model = hl.Model(FORMULA, hl.datasets.load("cbpp"))
    with pytest.warns(ConvergenceWarning):
        model.fit(hl.NUTS(draws=40, tune=40, chains=2, seed=1, progress=False, store=folder))
    return folder


def damaged(whole: bytes, seed: int) -> bytes:
    """The content with 1 or 200 bytes changed, or cut off."""
    random = np.random.default_rng(seed)
    if seed % 3 == 2:
        return whole[: random.integers(len(whole))]
    content = bytearray(whole)
    for at in random.integers(0, len(whole), 1 if seed % 3 else 200):
        content[at] ^= int(random.integers(1, 256))
    return bytes(content)


def test_a_damaged_fit_is_refused(saved: Path, tmp_path: Path) -> None:
    whole, place = saved.read_bytes(), tmp_path / "fit.nc"
    for seed in range(200):
        place.write_bytes(damaged(whole, seed))
        with pytest.raises(FitError, match=r"fit\.nc is not a fit saved by hierlogit, or it is damaged"):
            hl.load(place)
    for content in (b"", bytes(len(whole)), whole[: len(whole) // 2] * 2):
        place.write_bytes(content)
        with pytest.raises(FitError, match="or it is damaged"):
            hl.load(place)


def changed(saved: Path, place: Path, change: Callable[[xr.DataTree], object]) -> Path:
    """The file as somebody writes it who knows the format."""
    with xr.open_datatree(saved, engine="h5netcdf") as opened:
        tree = opened.load()
    given = change(tree)
    (given if isinstance(given, xr.DataTree) else tree).to_netcdf(place, engine="h5netcdf")
    seal(place)
    return place


def with_record(**values: object) -> Callable[[xr.DataTree], object]:
    def change(tree: xr.DataTree) -> None:
        tree.attrs["hierlogit"] = json.dumps(json.loads(tree.attrs["hierlogit"]) | values)

    return change


def without(group: str) -> Callable[[xr.DataTree], object]:
    return lambda tree: tree.drop_nodes(group)


def with_posterior(change: Callable[[xr.Dataset], xr.Dataset]) -> Callable[[xr.DataTree], object]:
    def changing(tree: xr.DataTree) -> None:
        tree["posterior"] = xr.DataTree(change(tree["posterior"].to_dataset()))

    return changing


def without_record(tree: xr.DataTree) -> None:
    del tree.attrs["hierlogit"]


CHANGES: Mapping[str, Callable[[xr.DataTree], object]] = {
    "a later layout": with_record(layout=99),
    "no layout": with_record(layout=None),
    "another formula": with_record(formula="cbind(successes, size - successes) ~ 1 + (1 | herd)"),
    "a formula that is no text": with_record(formula=7),
    "no record": without_record,
    "no priors": with_record(priors={}),
    "a namespace": with_record(namespace=["os"]),
    "a fingerprint of another form": with_record(fingerprint=[1, 2]),
    "diagnostics of another form": with_record(diagnostics={"engine": "NUTS", "more": 1}),
    "no rows": without("training_rows"),
    "no posterior": without("posterior"),
    "fewer clusters": with_posterior(lambda posterior: posterior.isel(herd=slice(0, 3))),
    "no coefficients": with_posterior(lambda posterior: posterior.drop_vars("beta")),
    "no chains": with_posterior(lambda posterior: posterior.isel(chain=0, drop=True)),
    "text in place of numbers": with_posterior(lambda posterior: posterior.assign(beta=posterior["beta"].astype(str))),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_fit_is_refused(what: str, saved: Path, tmp_path: Path) -> None:
    with pytest.raises(HierlogitError, match=r"fit\.nc|a formula is text") as caught:
        hl.load(changed(saved, tmp_path / "fit.nc", CHANGES[what]))
    assert ("update hierlogit" in str(caught.value)) == (what == "a later layout")


def test_what_others_add_is_kept(saved: Path, tmp_path: Path) -> None:
    def add(tree: xr.DataTree) -> None:
        tree["mine"] = xr.DataTree(xr.Dataset({"a": ("k", [1.0, 2.0])}))

    path = changed(saved, tmp_path / "fit.nc", add)
    assert hl.load(path).data["mine"]["a"].values.tolist() == [1.0, 2.0]


def test_a_size_beyond_the_memory_is_refused_before_it_is_read(saved: Path, tmp_path: Path) -> None:
    import h5netcdf

    place = tmp_path / "fit.nc"
    place.write_bytes(saved.read_bytes()[:-83])
    with h5netcdf.File(place, "a") as file:
        group = file.create_group("more")
        group.dimensions = {"k": 2**45}
        group.create_variable("large", ("k",), "f8", chunks=(2**16,))
    seal(place)
    with pytest.raises(FitError, match="more than the memory of this machine"):
        hl.load(place)


def test_a_damaged_run_is_refused(run: Path) -> None:
    files = [path for part in ("posterior", "sample_stats") for path in (run / "draws" / part).rglob("*")]
    files = [path for path in files if path.is_file()]
    for seed in range(12):
        place = run / "model.nc" if seed % 4 == 0 else files[97 * seed % len(files)]
        whole = place.read_bytes()
        place.write_bytes(damaged(whole, seed))
        with pytest.raises(FitError, match=r"(model\.nc|draws) is not the (model|draws) of .* run.*damaged"):
            hl.recover(run)
        place.write_bytes(whole)
    with pytest.warns(ConvergenceWarning):
        assert hl.recover(run).posterior.sizes["draw"] == 40


@pytest.mark.parametrize(
    ("name", "value"), [("shape", [2, 10**13, 4]), ("chunk_grid", None), ("shape", [2, 40, 5]), ("node_type", "group")]
)
def test_sizes_in_a_killed_run_are_checked(name: str, value: Any, run: Path) -> None:
    # A run that was killed has no digest.
    digest, place = run / "draws.sha256", run / "draws" / "posterior" / "beta" / "zarr.json"
    kept, whole = digest.read_text(), place.read_text()
    digest.unlink()
    large = {"name": "regular", "configuration": {"chunk_shape": [1, 10**13, 4]}}
    place.write_text(json.dumps(json.loads(whole) | {name: large if name == "chunk_grid" else value}))
    with pytest.raises(FitError, match="draws is not the draws of this run, or it is damaged"):
        hl.recover(run)
    place.write_text(whole)
    digest.write_text(kept)


def test_a_damaged_study_is_refused(saved: Path, tmp_path: Path) -> None:
    fit, store = hl.load(saved), tmp_path / "bootstrap.json"
    first = hl.bootstrap(fit, replicates=3, seed=1, store=store)
    whole = store.read_bytes()
    for seed in range(60):
        store.write_bytes(damaged(whole, seed))
        with pytest.raises(StudyError, match="was not written by hierlogit|is damaged"):
            hl.bootstrap(fit, replicates=3, seed=1, store=store)
    store.write_bytes(whole)
    assert hl.bootstrap(fit, replicates=3, seed=1, store=store).values.equals(first.values)
