"""Estimates with more quadrature nodes: one step towards them against a search with them."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hierlogit as hl
from hierlogit.diagnostics.fit.integration import integration_check
from hierlogit.engines.maximum.refitted import ReferenceFit
from hierlogit.errors import ConvergenceWarning
from hierlogit.fits.fit import Fit


def quietly(formula: str, name: str, engine: Any) -> Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return hl.Model(formula, hl.datasets.load(name)).fit(engine)


def moved(one: Fit, other: Fit) -> float:
    assert one.estimate is not None
    assert other.estimate is not None
    return float(np.max(np.abs(one.estimate.beta - other.estimate.beta) / one.estimate.standard_errors))


def test_the_step_is_about_as_long_as_the_way_to_the_other_maximum() -> None:
    formula = "p(successes, size) ~ period + (1 | herd)"
    laplace, finer = (quietly(formula, "cbpp", engine) for engine in (hl.Laplace(seed=1), hl.AGQ(nodes=11, seed=1)))
    found = integration_check(ReferenceFit.of(laplace))
    assert found.value == pytest.approx(moved(laplace, finer), abs=0.03)
    assert not found.beyond
    assert integration_check(ReferenceFit.of(finer)).value < 1e-3


def test_laplace_on_sparse_clusters_is_found_and_more_nodes_mend_it() -> None:
    formula = "outcome ~ treatment * time + (1 | patientID)"
    for engine, beyond in (
        (hl.Laplace(seed=1), True),
        (hl.AGQ(nodes=3, seed=1), True),
        (hl.AGQ(nodes=25, seed=1), False),
    ):
        found = integration_check(ReferenceFit.of(quietly(formula, "toenail", engine)))
        assert found.beyond == beyond
        assert found.severity == "warning"
        assert "Use hl.AGQ(nodes=" in found.remedy
    penalised = integration_check(ReferenceFit.of(quietly(formula, "toenail", hl.MAP(seed=1))))
    assert "Use hl.MAP(nodes=25) or NUTS; hl.check_quadrature(fit)" in penalised.remedy


def test_the_table_of_clusters_has_a_verdict() -> None:
    formula = "outcome ~ treatment * time + (1 | patientID)"
    for engine, verdict in ((hl.Laplace(seed=1), "not accurate"), (hl.AGQ(nodes=25, seed=1), ": accurate")):
        fit = quietly(formula, "toenail", engine)
        table = hl.check_quadrature(fit)
        assert verdict in table.quantity
        assert table.attrs["largest_move"] == pytest.approx(integration_check(ReferenceFit.of(fit)).value)
        assert f"{table.attrs['largest_move']:.2g} standard errors" in table.quantity


def test_what_cannot_be_checked_says_why() -> None:
    crossed = quietly("use ~ age + (1 | district) + (1 | livch)", "contraception", hl.Laplace(seed=1))
    assert "quadrature cannot do" in integration_check(ReferenceFit.of(crossed)).evidence
    plain = quietly("use ~ age", "contraception", hl.Laplace(seed=1))
    assert "no random effects" in integration_check(ReferenceFit.of(plain)).evidence
    most = quietly("p(successes, size) ~ period + (1 | herd)", "cbpp", hl.AGQ(nodes=100, seed=1))
    assert "would take too long" in integration_check(ReferenceFit.of(most)).evidence
    lost = ReferenceFit(plain.model, SimpleNamespace(model_covariance=np.full((2, 2), np.nan)))  # type: ignore[arg-type]
    assert "did not end at a maximum" in integration_check(ReferenceFit(crossed.model, lost.estimate)).evidence
