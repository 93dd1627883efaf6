"""Compilation of all functions ahead of the first fit, by small fits of every kind whose results are not kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import HierlogitWarning, unsaid
from .numba_support.code_files import CodeFiles, code_files
from .progress import progress

if TYPE_CHECKING:
    from .model import Model

#: Rows of the table that most models are fitted to.
ROWS = 120
#: Levels of a factor for which the columns of the other factors are a large matrix, which is dense.
LARGE = 100
#: Levels of two factors along a chain, for which it is a sparse one.
CHAIN = 2150


def compile_ahead() -> CodeFiles:
    """Compile what fits of all usual kinds and their results need, and keep it on disk.

    What is on disk already is not compiled again.

    Returns
    -------
    CodeFiles
        What is on disk then.

    Raises
    ------
    EngineError
        If nothing can be kept on disk.
    KeyboardInterrupt
        What was compiled until then is kept.
    """
    code_files()  # refused at once where nothing can be kept
    with unsaid(HierlogitWarning):
        for _ in progress(_fits(), "Compiling"):
            pass
    return code_files()


def _fits() -> Iterator[object]:
    """Fits of every kind, and the results that are computed by compiled functions, one after the other."""
    import hierlogit as hl

    from .density.outcome_likelihood import total_log_likelihood
    from .effects.numerics.given_outcomes import Problem

    table = _table()
    random_terms = "(1 | a)", "(1 + x | a)", "(1 | a/inner)"
    single, slopes, nested = (hl.Model(f"y ~ x + {term}", table) for term in random_terms)
    counts, nested_counts = (
        hl.Model(f"p(k, n) ~ x + {term}", table, family="betabinomial") for term in (random_terms[0], random_terms[2])
    )
    large, sparse = _with_many_levels()
    yield (fitted := single.fit("laplace"))
    yield fitted.diagnostics.measures["pareto_k"]
    yield hl.vpc(fitted)
    yield hl.slopes(fitted, "x", clusters="average")
    yield nested.fit("agq")
    for model in (single, nested, counts, nested_counts):
        for effects in ("sampled", "integrated")[: 1 if model.overdispersed else 2]:
            yield (sampled := model.fit(hl.NUTS(draws=20, tune=50, chains=1, seed=1, effects=effects, progress=False)))
        yield hl.loo(sampled, group="a")
    yield hl.residuals(counts.fit("laplace"), seed=1)
    yield total_log_likelihood(np.zeros(1), np.ones(1), np.zeros((1, 1)), None)  # of `hl.check`
    given_outcomes = Problem(np.zeros((1, 1)), np.zeros((1, 1, 1)), np.zeros(1), np.ones(1), None)
    yield given_outcomes.log_density(np.zeros((1, 1)))  # of draws of the effects
    yield from (model.fit(hl.ImportanceSampling(draws=100, seed=1)) for model in (single, slopes, nested))
    for model in (large, sparse):
        yield hl.league_table(model.fit("laplace"))


def _table() -> dict[str, Any]:
    """Rows at random, with clusters in clusters and counts."""
    random = np.random.default_rng(1)
    a = random.integers(0, 6, ROWS)
    x = random.standard_normal(ROWS)
    return {
        "y": (random.uniform(size=ROWS) < 1 / (1 + np.exp(0.5 - x))).astype(int),
        "x": x,
        "a": a,
        "inner": a * 4 + random.integers(0, 4, ROWS),
        "k": random.integers(0, 9, ROWS),
        "n": np.full(ROWS, 8),
    }


def _with_many_levels() -> tuple[Model, Model]:
    """Models of crossed factors whose matrices are large: a dense one, and a sparse one."""
    from .model import Model

    random = np.random.default_rng(1)
    crossed = {
        "y": random.integers(0, 2, 4 * LARGE),
        "a": random.integers(0, LARGE, 4 * LARGE),
        "b": np.arange(4 * LARGE) % LARGE,
    }
    places = np.arange(2 * CHAIN)
    chain = {"y": random.integers(0, 2, 2 * CHAIN), "a": places // 2, "b": (places + 1) // 2}
    dense, sparse = (Model("y ~ 1 + (1 | a) + (1 | b)", table) for table in (crossed, chain))
    return dense, sparse
