"""Files: what is written comes back, and what cannot be read says why."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.errors import DataWarning, FitError

MakeFit = Callable[..., hl.results.Fit]


def _rows() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n = 80
    frame = pd.DataFrame(
        {
            "out come": rng.choice(["no", "yes"], n),
            "x/y": rng.normal(5, 2, n),
            "t": pd.Categorical(rng.choice(["low", "high"], n), categories=["low", "mid", "high"]),
            "flag": rng.choice([True, False], n),
            "größe": rng.integers(0, 9, n),
            "g": rng.choice(["ä", "b:1", "c"], n),
            "obs": rng.integers(100, 106, n),
        },
        index=[f"row {k}" for k in range(n)],
    )
    frame.loc["row 3", "x/y"] = np.nan
    return frame


FORMULA = (
    "`out come` ~ scale(`x/y`) + bs(größe, df=4) + t + flag + within(größe, g) + (1 + scale(`x/y`) | g) + (1 | obs) "
    "+ (0 + flag | g)"
)


def test_round_trip_of_everything(make_fit: MakeFit, tmp_path: Path) -> None:
    with pytest.warns(DataWarning, match="1 of 80 rows"):
        model = hl.Model(
            FORMULA, _rows(), priors={"sd": pr.Decov(2, 1, 0.5), "beta": pr.StudentT(4, 0, 2), "cor": pr.LKJ(5)}
        )
    fit = make_fit(model, None, draws=20)
    read = hl.load(fit.save(tmp_path / "a fit.nc"))
    assert read.model.formula == fit.model.formula
    assert read.model.priors == fit.model.priors
    assert repr(read.model) == repr(fit.model)
    assert "1 more dropped for missing values: x/y 1" in repr(read.model)
    np.testing.assert_array_equal(read.model.design.X, fit.model.design.X)
    assert read.model.design.table.rows.tolist() == fit.model.design.table.rows.tolist()
    assert read.diagnostics == fit.diagnostics
    for name in fit.data.children:
        xr.testing.assert_equal(read.data[name].to_dataset().load(), fit.data[name].to_dataset().load())
    new = _rows().iloc[10:13].drop(columns="out come")
    np.testing.assert_array_equal(hl.predictions(read, new).draws, hl.predictions(fit, new).draws)


def test_functions_of_ones_own_are_asked_for(make_fit: MakeFit, tmp_path: Path) -> None:
    def logistic_dose(x: pd.Series) -> pd.Series:
        return 1 / (1 + np.exp(-x))

    rows = hl.datasets.load("bacteria")
    model = hl.Model("y ~ logistic_dose(week) + (1 | ID)", rows, namespace={"logistic_dose": logistic_dose})
    path = make_fit(model, None, draws=10).save(tmp_path / "fit.nc")
    with pytest.raises(FitError, match=r"uses 'logistic_dose': pass namespace=\{'logistic_dose': ...\} with its value"):
        hl.load(path)
    assert hl.load(path, namespace={"logistic_dose": logistic_dose}).model.design.n_rows == 220
    with pytest.raises(FitError, match="another design"):
        hl.load(path, namespace={"logistic_dose": lambda x: 2 * logistic_dose(x)})


def test_saving_replaces_a_file_only_when_complete(
    make_fit: MakeFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = make_fit("y ~ week + (1 | ID)", hl.datasets.load("bacteria"), draws=10)
    path = fit.save(tmp_path / "fit.nc")
    before = path.read_bytes()

    def no_room(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(xr.DataTree, "to_netcdf", no_room)
    with pytest.raises(FitError, match="No space left"):
        fit.save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_files_that_are_no_fits(make_fit: MakeFit, tmp_path: Path) -> None:
    with pytest.raises(FitError, match="there is no file"):
        hl.load(tmp_path / "absent.nc")
    text = tmp_path / "text.nc"
    text.write_text("not a netCDF file")
    with pytest.raises(FitError, match="is not a fit saved by hierlogit"):
        hl.load(text)
    other = tmp_path / "other.nc"
    xr.Dataset({"a": ("x", [1, 2])}).to_netcdf(other, engine="h5netcdf")
    with pytest.raises(FitError, match="is not a fit saved by hierlogit"):
        hl.load(other)
    path = make_fit("y ~ week + (1 | ID)", hl.datasets.load("bacteria"), draws=10).save(tmp_path / "fit.nc")
    later = xr.open_datatree(path, engine="h5netcdf").load()
    later.attrs["hierlogit"] = json.dumps(json.loads(later.attrs["hierlogit"]) | {"layout": 99})
    later.to_netcdf(tmp_path / "later.nc", engine="h5netcdf")
    later.close()
    with pytest.raises(FitError, match="update hierlogit"):
        hl.load(tmp_path / "later.nc")


def test_log_likelihood_is_not_written(make_fit: MakeFit, tmp_path: Path) -> None:
    fit = make_fit("y ~ week + (1 | ID)", hl.datasets.load("bacteria"), draws=10)
    with xr.open_datatree(fit.save(tmp_path / "fit.nc"), engine="h5netcdf") as tree:
        assert "log_likelihood" not in tree.children


@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2024-01-01", periods=220, freq="h"),
        pd.date_range("2024-01-01", periods=220, freq="h", tz="Asia/Dhaka"),
        pd.period_range("2000-01", periods=220, freq="M"),
        pd.Index([1, "1", *range(2, 220)], dtype=object),
        pd.MultiIndex.from_product([range(22), range(10)]),
        pd.Index([0.5 + k for k in range(220)]),
    ],
    ids=["dates", "zoned dates", "months", "mixed", "two levels", "numbers"],
)
def test_labels_of_rows_come_back(make_fit: MakeFit, tmp_path: Path, index: pd.Index) -> None:
    fit = make_fit("y ~ week + (1 | ID)", hl.datasets.load("bacteria").set_axis(index), draws=5)
    read = hl.load(fit.save(tmp_path / "fit.nc"))
    labels = read.data["observed_data"]["obs"].to_index()
    assert labels.is_unique
    if isinstance(index, pd.DatetimeIndex) and index.tz is None:
        assert labels.equals(index)
    if index.dtype.kind == "f":
        assert labels.tolist() == index.tolist()
    np.testing.assert_array_equal(read.data["log_likelihood"]["y"].values, fit.data["log_likelihood"]["y"].values)


def test_intervals_and_dates_as_categories(make_fit: MakeFit, tmp_path: Path) -> None:
    rows = hl.datasets.load("bacteria")
    rows["span"] = pd.cut(rows["week"], [-1, 1, 5, 20])
    fit = make_fit("y ~ span + (1 | ID)", rows, draws=5)
    assert fit.model.design.fixed_effects == ("Intercept", "span[(1, 5]]", "span[(5, 20]]")
    read = hl.load(fit.save(tmp_path / "fit.nc"))
    np.testing.assert_array_equal(hl.predictions(read, rows.iloc[:9]).draws, hl.predictions(fit).draws[..., :9])


def test_an_offset_of_another_scale_is_noticed(make_fit: MakeFit, tmp_path: Path) -> None:
    rows = hl.datasets.load("bacteria")
    model = hl.Model("y ~ 1 + offset(shift(week)) + (1 | ID)", rows, namespace={"shift": lambda x: x / 10, "other": 1})
    path = make_fit(model, None, draws=5).save(tmp_path / "fit.nc")
    with pytest.raises(FitError, match="'offset'"):
        hl.load(path, namespace={"shift": lambda x: x})
    assert hl.load(path, namespace={"shift": lambda x: x / 10}).model.design.offset.max() == pytest.approx(1.1)


def test_groups_a_user_has_added_are_kept(make_fit: MakeFit, tmp_path: Path) -> None:
    fit = make_fit("y ~ week + (1 | ID)", hl.datasets.load("bacteria"), draws=5)
    fit.data["posterior_predictive"] = hl.posterior_predictive(fit, seed=1)["posterior_predictive"]
    read = hl.load(fit.save(tmp_path / "fit.nc"))
    assert read.data["posterior_predictive"]["y"].equals(fit.data["posterior_predictive"]["y"])


def test_what_a_file_cannot_hold_is_said(make_fit: MakeFit, tmp_path: Path) -> None:
    rows = hl.datasets.load("bacteria").replace({"ID": {"X01": "X\0"}})
    fit = make_fit("y ~ week + (1 | ID)", rows, draws=5)
    with pytest.raises(FitError, match="cannot write the fit"):
        fit.save(tmp_path / "fit.nc")
    assert not list(tmp_path.iterdir())


def test_files_in_folders_that_do_not_exist_are_refused_in_plain_words(make_fit: MakeFit, tmp_path: Path) -> None:
    fit, place = make_fit("flag ~ 1 + (1 | g)", _rows()), tmp_path / "missing" / "fit.nc"
    message = rf"there is no folder {re.escape(str(place.parent))}\. Make it, or name another file\.$"
    with pytest.raises(FitError, match=message):
        fit.save(place)
    with pytest.raises(FitError, match=message):
        hl.report(fit, place.with_suffix(".html"))
    with pytest.raises(FitError, match=rf"damaged: {os.strerror(errno.EISDIR)}\.$"):
        hl.load(tmp_path)
