"""A model written out as a program: the same graph, from the file alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pytensor.compile.mode import get_mode

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.translations.pymc_program import DATA_FILE, WIDTH, Program, pymc_program

# The rows have odd names and values, and too few clusters to estimate the models from.
pytestmark = pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 90
    return pd.DataFrame(
        {
            "y": rng.integers(0, 2, n),
            "hits": rng.integers(0, 4, n),
            "size": rng.integers(4, 9, n),
            "x": rng.normal(1990, 10, n),
            "w": rng.normal(size=n),
            "f": rng.choice(["a", "b", "c"], n),
            "g": rng.integers(1, 7, n),
            "h": rng.choice(list("pqrs"), n),
            "flag": rng.integers(0, 2, n).astype(bool),
            "week": rng.choice([0, 2, 4, 11], n),
            "my col": rng.normal(size=n),
            "answer": rng.choice(["yes", "no"], n),
            "code": rng.choice(["1", "02", "NA", ""], n),
            "cut": pd.cut(rng.normal(size=n), 4),
            "rank": pd.Categorical(rng.choice(["lo", "mid", "hi"], n), categories=["lo", "mid", "hi"]),
        }
    )


def run(program: Program, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The model that the program builds, started where its file lies."""
    program.data.to_csv(folder / DATA_FILE, index=False)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "program"}
    exec(compile(program.code, "program.py", "exec"), names)
    return names["model"]


MODELS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "no clusters": ("y ~ x + f", {}),
    "no fixed effects": ("y ~ 0 + (1 | g)", {"sd": pr.HalfCauchy(2)}),
    "no intercept": ("y ~ 0 + f + (1 | g)", {"beta": pr.StudentT(3, 0.5, 2)}),
    "correlated": ("y ~ x + offset(w) + (1 + w | g)", {"sd": pr.HalfNormal(2), "cor": pr.LKJ(3)}),
    "several sets and families": (
        "y ~ x + w + (1 + w | g) + (0 + f | g) + (1 | h)",
        {"x": pr.Laplace(0, 0.3), "Intercept": pr.Cauchy(0, 2), "sd_g[w]": pr.LogNormal(0, 1)},
    ),
    "joint scales": ("y ~ x + (1 + w + f | g) + (1 | h)", {"sd_g": pr.Decov(1.5, 2, 0.7), "sd_h": pr.Decov()}),
    "counts and functions": (
        "cbind(hits, size) ~ log(x) + I(w**2) + x:f + week + C(week):w + within(x, g) + between(w, g) "
        "+ offset(log(x)) + (1 + C(week) | h) + (1 | g/h)",
        {},
    ),
    "columns that are read": ("answer ~ bs(w, df=4) + poly(x, 2) + C(f, Sum) + (1 + poly(w, 2) | g)", {}),
    "odd names": (
        "answer['no'] ~ code + cut + flag + `my col` + np.exp(w / 3) + (1 | code) + (1 | rank) + (1 | rank:code)",
        {},
    ),
}


@pytest.mark.parametrize("case", MODELS)
def test_the_program_builds_the_same_graph(
    case: str, rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    formula, priors = MODELS[case]
    model = hl.Model(formula, rows, priors=priors)
    program = pymc_program(model)
    assert max(map(len, program.code.splitlines())) <= WIDTH + 15
    ours, written = model.to_pymc(), run(program, tmp_path, monkeypatch)
    point = ours.initial_point()
    assert set(point) == set(written.initial_point())
    assert {one.name for one in ours.deterministics} == {one.name for one in written.deterministics}
    kept = [name for name in ours.coords if name != "obs" and len(ours.coords[name])]
    assert {name: list(map(str, ours.coords[name])) for name in kept} == {
        name: list(map(str, written.coords[name])) for name in kept
    }
    # Compiled quickly, but with log(1 + exp(x)) as exact as it is in a fit.
    mode = get_mode("FAST_COMPILE").including("stabilize")
    densities = [one.compile_logp(mode=mode) for one in (ours, written)]
    rng = np.random.default_rng(1)
    points = [
        {name: value + rng.normal(scale=0.4, size=np.shape(value)) for name, value in point.items()} for _ in range(4)
    ]
    first, second = ([float(density(at)) for at in points] for density in densities)
    # PyTensor takes the logarithm of a number such as 2.5 in single precision, but not that of an array of them.
    np.testing.assert_allclose(second, first, atol=1e-6)
    np.testing.assert_allclose(np.diff(second), np.diff(first), rtol=1e-10)


def test_what_can_be_computed_is_not_read(rows: pd.DataFrame) -> None:
    program = pymc_program(hl.Model("y ~ log(x) * f + within(w, g) + (1 + C(week) | g:h)", rows))
    assert set(program.data.columns) <= set(rows.columns)
    assert '"log(x)": np.log(data["x"]),' in program.code
    assert "computed beforehand" not in program.code


def test_columns_that_are_read_are_named(rows: pd.DataFrame) -> None:
    program = pymc_program(hl.Model("y ~ bs(w, df=4) + (1 | g)", rows))
    assert [name for name in program.data if name not in rows] == [f"bs(w, df=4)[{k}]" for k in range(4)]
    assert "#     bs(w, df=4)[3]" in program.code


def test_no_word_of_this_package_is_needed(rows: pd.DataFrame) -> None:
    code = pymc_program(hl.Model("y ~ x + (1 + x | g)", rows)).code
    imported = [line for line in code.splitlines() if line.strip().startswith(("import", "from"))]
    assert {line.split()[1].split(".")[0] for line in imported} == {"numpy", "pandas", "pymc", "pytensor", "arviz"}


@pytest.mark.slow
def test_the_saved_program_runs_alone_and_finds_the_same_posterior(tmp_path: Path) -> None:
    model = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp"))
    program = hl.explain(model).save(tmp_path)
    code = program.read_text().replace("pm.sample(", "pm.sample(progressbar=False, ")
    program.write_text(code + '    posterior.to_netcdf("posterior.nc")\n')
    subprocess.run([sys.executable, program.name], cwd=tmp_path, check=True, capture_output=True)
    import xarray as xr

    with xr.open_datatree(tmp_path / "posterior.nc") as tree:
        theirs = tree["posterior"].to_dataset().load()
    ours = model.fit(hl.NUTS(seed=1, progress=False)).posterior
    for name in ("beta", "sd_herd"):
        first, second = ours[name], theirs[name]
        sd = first.std(("chain", "draw"))
        assert float((abs(first.mean(("chain", "draw")) - second.mean(("chain", "draw"))) / sd).max()) < 0.12
        assert float(abs(second.std(("chain", "draw")) / sd - 1).max()) < 0.12
