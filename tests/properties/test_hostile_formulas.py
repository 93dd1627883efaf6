"""A formula calls the functions that the documentation lists and nothing else, wherever the formula comes from."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

import hierlogit as hl
from hierlogit.cli.app import app
from hierlogit.errors import ConvergenceWarning, FormulaError, HierlogitError
from hierlogit.translations.column_sources import sources
from hierlogit.whole_files import seal

MakeFit = Callable[..., hl.results.Fit]

FORMULAS = [
    "y ~ week.__class__ + (1 | ID)",
    "y ~ week + (1 | ID.__class__)",
    "y ~ I(week.values.tofile('TRACE')) + (1 | ID)",
    "y ~ {week.tofile('TRACE')} + (1 | ID)",
    "y ~ np.save('TRACE', week) + (1 | ID)",
    "y ~ np.lib.npyio.save('TRACE', week) + (1 | ID)",
    "y ~ week + (np.savetxt('TRACE', week) | ID)",
    "y ~ np.load.__globals__(week) + (1 | ID)",
    "y ~ __import__('os').system('touch TRACE') + (1 | ID)",
    "y ~ os.system('touch TRACE') + (1 | ID)",
    "y ~ open('TRACE', 'w') + (1 | ID)",
    "y ~ eval('1') + (1 | ID)",
    "y ~ week + offset(open('TRACE', 'w')) + (1 | ID)",
    "y ~ C(week, Treatment(open('TRACE', 'w'))) + (1 | ID)",
    "y ~ bs.__class__(week) + (1 | ID)",
    "y ~ within.__init__.__globals__(week) + (1 | ID)",
    "p(y, open('TRACE')) ~ week + (1 | ID)",
    "open('TRACE', 'w') ~ week + (1 | ID)",
]
GOOD = "y ~ week + (1 | ID)"


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return hl.datasets.load("bacteria")


@pytest.fixture(scope="module")
def written(rows: pd.DataFrame, make_fit: MakeFit, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A saved fit, a folder of a run, and a table."""
    folder = tmp_path_factory.mktemp("written")
    paths = {"fit": folder / "fit.nc", "run": folder / "run", "table": folder / "rows.csv"}
    make_fit(GOOD, rows, draws=10).save(paths["fit"])
    rows.to_csv(paths["table"], index=False)
    with pytest.warns(ConvergenceWarning):
        hl.Model(GOOD, rows).fit(hl.NUTS(draws=4, tune=4, chains=1, seed=1, progress=False, store=paths["run"]))
    return paths


def rewritten(path: Path, attribute: str, formula: str, to: Path) -> Path:
    """A file with another formula in it, as somebody would send it who knows the format."""
    with xr.open_datatree(path, engine="h5netcdf") as opened:
        tree = opened.load()
    record = json.loads(tree.attrs[attribute])
    assert record["formula"] == GOOD
    tree.attrs[attribute] = json.dumps(record | {"formula": formula})
    tree.to_netcdf(to, engine="h5netcdf")
    seal(to)
    return to


#: Those of each kind, for the doors that take longer to try.
FEW = FORMULAS[::4]


@pytest.fixture(params=FORMULAS)
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    trace = tmp_path / "trace"
    yield request.param.replace("TRACE", str(trace))
    assert not list(tmp_path.glob("trace*"))


def test_from_python(hostile: str, rows: pd.DataFrame) -> None:
    with pytest.raises(FormulaError):
        hl.Model(hostile, rows)


def test_from_a_pickled_model(hostile: str, rows: pd.DataFrame) -> None:
    rebuild, (_, *parts) = hl.Model(GOOD, rows).__reduce__()
    with pytest.raises(FormulaError):
        rebuild(hostile, *parts)  # type: ignore[operator]


@pytest.mark.parametrize("hostile", FEW, indirect=True)
def test_from_a_saved_fit(hostile: str, written: dict[str, Path], tmp_path: Path) -> None:
    path = rewritten(written["fit"], "hierlogit", hostile, tmp_path / "fit.nc")
    with pytest.raises(FormulaError):
        hl.load(path)


@pytest.mark.parametrize("hostile", FEW, indirect=True)
def test_from_a_run_on_disk(hostile: str, written: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    rewritten(written["run"] / "model.nc", "hierlogit_run", hostile, tmp_path / "run" / "model.nc")
    with pytest.raises(FormulaError):
        hl.recover(tmp_path / "run")


@pytest.mark.parametrize("hostile", FEW, indirect=True)
def test_from_the_command_line(hostile: str, written: dict[str, Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["fit", str(written["table"]), hostile, "-o", str(tmp_path / "results")])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output


@pytest.mark.parametrize("hostile", FEW, indirect=True)
def test_from_a_planned_study(hostile: str, rows: pd.DataFrame) -> None:
    with pytest.raises(FormulaError):
        hl.simulate(hostile, rows, beta={"Intercept": 0}, sd={"ID": 1}, seed=1)


def test_functions_of_a_module_of_ones_own_are_its_public_ones(rows: pd.DataFrame) -> None:
    import types

    module = types.ModuleType("own")
    exec("from os import system\nclass Kind: pass\ndef double(x): return 2 * x\ndef _hidden(x): return x", vars(module))
    module.__all__ = ["double"]  # type: ignore[attr-defined]
    model = hl.Model("y ~ own.double(week) + (1 | ID)", rows, namespace={"own": module})
    assert model.design.X[:, 1].tolist() == (2 * rows["week"]).tolist()
    for function in ("system", "_hidden", "double.__call__", "__class__"):
        with pytest.raises(HierlogitError, match="unknown function"):
            hl.Model(f"y ~ own.{function}(week) + (1 | ID)", rows, namespace={"own": module})


def test_a_file_names_no_other_classes_than_priors(written: dict[str, Path], tmp_path: Path) -> None:
    with xr.open_datatree(written["fit"], engine="h5netcdf") as opened:
        tree = opened.load()
    record = json.loads(tree.attrs["hierlogit"])
    record["priors"]["fixed"]["week"] = {"family": "replace", "obj": 1}
    tree.attrs["hierlogit"] = json.dumps(record)
    tree.to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")
    seal(tmp_path / "fit.nc")
    with pytest.raises(HierlogitError, match=r"fit\.nc is not a fit saved by hierlogit"):
        hl.load(tmp_path / "fit.nc")


def test_files_contain_no_pickle(written: dict[str, Path]) -> None:
    files = [written["fit"], *(path for path in written["run"].rglob("*") if path.is_file())]
    for path in files:
        content = path.read_bytes()
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert not content.startswith(pickle.dumps(None, protocol)[:2])
        assert b"numpy._core.multiarray" not in content
        assert b"cloudpickle" not in content


@pytest.mark.parametrize("name", ["__written_1__", "written_1", "] or open('TRACE', 'w') or data[", 'a"b', "a'b\\"])
def test_names_of_columns_are_never_code(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({name: [1.0, 2.0, 4.0], "x": [3.0, 5.0, 1.0], "written_0": [1.0, 0.0, 2.0]})
    columns = frame[["x"]].to_numpy() * frame[["written_0"]].to_numpy()
    (source,) = sources(["I(x * written_0)"], columns, frame)
    assert source.code == 'data["x"] * data["written_0"]'
    (single,) = sources([name], frame[[name]].to_numpy(), frame)
    assert single.code == f"data[{json.dumps(name)}]"
    assert not list(tmp_path.iterdir())
