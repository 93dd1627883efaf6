"""Weights written on the command line, and fits with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import hierlogit as hl
from hierlogit.cli import output
from hierlogit.cli.app import app
from hierlogit.cli.output import CommandError
from hierlogit.cli.weight_options import read_weights
from hierlogit.cli.wording import on_command_line
from hierlogit.errors import DesignError

FORMULA = "healed ~ dose + (1 | clinic)"


def test_kinds_and_options() -> None:
    assert read_weights(None, None, [], None) is None
    assert read_weights("n", None, [], None) == hl.FrequencyWeights("n")
    assert read_weights(None, "w", [], "size") == hl.SamplingWeights("w")
    given = read_weights(None, None, ["school = w_school", "school:class=w_class"], "effective")
    columns = {"school": "w_school", "school:class": "w_class"}
    assert given == hl.SamplingWeights(clusters=columns, scaling="effective")


@pytest.mark.parametrize(
    ("frequency", "sampling", "clusters", "scaling", "message"),
    [
        ("n", "w", [], None, "--frequency-weights are numbers of identical rows.*one or the other"),
        ("n", None, ["school=w"], None, "--cluster-weights are inverse probabilities"),
        ("n", None, [], "size", "--scaling is for weights of a sample"),
        (None, None, [], "size", "--scaling is for weights of a sample"),
        (None, "w", [], "both", "--scaling 'both' is not allowed; choose one of 'size', 'effective'"),
        (None, "w", ["w_school"], None, "--cluster-weights needs a grouping factor and a column.*got 'w_school'"),
        (None, "w", ["=w_school"], None, "--cluster-weights needs"),
        (None, "w", ["school="], None, "--cluster-weights needs"),
        (None, "w", ["school=a", "school=b"], None, "two columns of weights are given for 'school'"),
    ],
)
def test_what_are_no_weights_is_refused(
    frequency: str | None, sampling: str | None, clusters: list[str], scaling: str | None, message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        read_weights(frequency, sampling, clusters, scaling)


@pytest.fixture
def rows(tmp_path: Path, clustered_rows: Any) -> Path:
    """Rows of a sample, with weights of rows and clinics and with counts."""
    frame = clustered_rows(12, 10)
    rng = np.random.default_rng(3)
    path = tmp_path / "rows.csv"
    of_clinics = dict(zip(frame["clinic"].unique(), rng.uniform(1, 9, 12).round(2), strict=True))
    frame["w"], frame["w_clinic"] = rng.uniform(1, 4, len(frame)).round(2), frame["clinic"].map(of_clinics)
    frame.assign(n=rng.integers(1, 4, len(frame))).to_csv(path, index=False)
    return path


def fitted(rows: Path, *options: str) -> tuple[Any, Any]:
    """The result of the command, and what it wrote to summary.csv."""
    out = rows.parent / "out"
    arguments = ["fit", str(rows), FORMULA, "-o", str(out), "--engine", "laplace", "--seed", "1", *options]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    return result, pd.read_csv(out / "summary.csv", index_col=0) if result.exit_code == 0 else None


def expected(rows: Path, weights: hl.FrequencyWeights | hl.SamplingWeights) -> pd.DataFrame:
    model = hl.Model(FORMULA, pd.read_csv(rows), weights=weights)
    return hl.summary(model.fit(hl.Laplace(seed=1)))


def test_a_fit_with_frequency_weights(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_pictures", lambda *_: {})
    result, summary = fitted(rows, "--frequency-weights", "n")
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(summary["se"], expected(rows, hl.FrequencyWeights("n"))["se"])


def test_a_fit_with_weights_of_rows_and_clusters(rows: Path) -> None:
    options = ["--sampling-weights", "w", "--cluster-weights", "clinic=w_clinic", "--scaling", "effective"]
    result, summary = fitted(rows, *options)
    assert result.exit_code == 0, result.output
    weights = hl.SamplingWeights("w", {"clinic": "w_clinic"}, "effective")
    np.testing.assert_allclose(summary["se"], expected(rows, weights)["se"])
    assert "cluster_check.png was not drawn: hl.plots.cluster_check takes no sampling weights" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--frequency-weights", "w"], "pass --sampling-weights w."),
        (["--sampling-weights", "weight"], "the table lacks the column 'weight'"),
        (["--cluster-weights", "clinc=w_clinic"], "--cluster-weights: there is no grouping factor 'clinc'"),
        (["--cluster-weights", "clinic=w"], "weights of rows are given as --sampling-weights."),
        (["--sampling-weights", "w", "--engine", "nuts"], "--engine nuts takes no sampling weights"),
        (["--sampling-weights", "w", "--engine", "map"], "Fit the model by --engine laplace or --engine agq."),
    ],
)
def test_refusals_name_flags(rows: Path, options: list[str], message: str) -> None:
    result, _ = fitted(rows, *options)
    assert result.exit_code == 2, result.output
    assert message in result.stderr


def test_advice_of_models_is_in_flags() -> None:
    with pytest.raises(DesignError) as caught:
        hl.Model("y ~ 1", {"y": [0, 1], "w": [0.5, 1.5]}, weights=hl.FrequencyWeights("w"))
    assert on_command_line(str(caught.value)).endswith("pass --sampling-weights w.")
