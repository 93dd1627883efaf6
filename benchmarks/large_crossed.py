"""Time and memory of Laplace's method with three large crossed factors, and log-likelihoods beside those of lme4.

Every case is fitted in a process of its own, which runs this file with the case's name::

    python benchmarks/large_crossed.py                       # all cases, into the documentation
    python benchmarks/large_crossed.py --json OUT            # and into a file
    python benchmarks/large_crossed.py --lme4 nested_middle  # one case, also by glmer, if R has lme4
    python benchmarks/large_crossed.py random_large

In nested cases each level of a factor belongs to a few neighbouring levels of the next one, with one row in a hundred
anywhere; in random cases, levels meet at random, which fills every factorisation.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine import description, peak_memory, python_versions
from study_pages import markdown_table, write_between

if TYPE_CHECKING:
    import pandas as pd

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
FORMULA = "y ~ x + (1 | a) + (1 | b) + (1 | c)"
#: Rows, and levels of the three factors.
MIDDLE, LARGE = (100_000, (5_000, 2_000, 1_500)), (1_000_000, (50_000, 20_000, 15_000))
CASES = {"nested_middle": MIDDLE, "random_middle": MIDDLE, "nested_large": LARGE, "random_large": LARGE}
GLMER = """
suppressMessages(library(lme4))
data <- read.csv(commandArgs(TRUE)[1])
seconds <- system.time(
  fit <- glmer(y ~ x + (1 | a) + (1 | b) + (1 | c), data, binomial, control = glmerControl(calc.derivs = FALSE))
)[["elapsed"]]
cat(sprintf("%.3f %.6f\\n", seconds, logLik(fit)))
"""


def simulate(case: str) -> pd.DataFrame:
    """Rows of a case."""
    import numpy as np
    import pandas as pd

    rows, levels = CASES[case]
    random = np.random.default_rng(1)
    a = random.integers(0, levels[0], rows)
    b, c = (random.integers(0, count, rows) for count in levels[1:])
    if case.startswith("nested"):
        anywhere = random.random((2, rows)) < 0.01
        b = np.where(anywhere[0], b, a * levels[1] // levels[0])
        c = np.where(anywhere[1], c, b * levels[2] // levels[1])
    x = random.normal(size=rows)
    effects = [sd * random.normal(size=count) for sd, count in zip((1.0, 0.7, 0.5), levels, strict=True)]
    linear = -0.5 + 0.3 * x + effects[0][a] + effects[1][b] + effects[2][c]
    outcome = (random.random(rows) < 1 / (1 + np.exp(-linear))).astype(int)
    return pd.DataFrame({"y": outcome, "x": x, "a": a, "b": b, "c": c})


def measured(case: str) -> dict[str, Any]:
    """Fit a case, with the time of a first fit of this process, compiled functions being on disk."""
    import hierlogit as hl

    frame = simulate(case)
    start = time.perf_counter()
    model = hl.Model(FORMULA, frame)
    _ = model.arrangement
    built = time.perf_counter()
    fit = model.fit(hl.Laplace())
    finished = time.perf_counter()
    estimate = fit.estimate
    assert estimate is not None
    return {
        "case": case,
        "model_seconds": built - start,
        "fit_seconds": finished - built,
        "memory_mib": peak_memory(),
        "log_likelihood": estimate.log_likelihood,
        "sds": [float(estimate.cholesky[name][0, 0]) for name in "abc"],
        "evaluations": fit.diagnostics.measures["evaluations"],
        "findings": [str(finding) for finding in fit.diagnostics.findings],
    }


def by_lme4(case: str) -> dict[str, float] | None:
    """Seconds and log-likelihood of glmer; None without R or lme4."""
    if shutil.which("Rscript") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        table, script = Path(folder) / "table.csv", Path(folder) / "glmer.R"
        simulate(case).to_csv(table, index=False)
        script.write_text(GLMER, encoding="utf-8")
        done = subprocess.run(["Rscript", str(script), str(table)], capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    seconds, log_likelihood = done.stdout.split()[-2:]
    return {"seconds": float(seconds), "log_likelihood": float(log_likelihood)}


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Times and memory of the cases, as a table in Markdown."""
    heads = ("rows", "levels", "levels meet", "model, s", "fit, s", "evaluations", "MiB", "lme4, s")
    rows = []
    for one in results:
        size, levels = CASES[one["case"]]
        by_lme4 = one.get("lme4")
        rows.append(
            (
                f"{size:,}",
                " x ".join(f"{count:,}" for count in levels),
                "nearly nested" if one["case"].startswith("nested") else "at random",
                f"{one['model_seconds']:.3g}",
                f"{one['fit_seconds']:.3g}",
                f"{one['evaluations']:.0f}",
                f"{one['memory_mib']:,.0f}",
                f"{by_lme4['seconds']:.3g}" if by_lme4 else "–",
            )
        )
    return markdown_table(heads, rows)


def main() -> None:
    """Measure one case in this process, or all cases in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="?", choices=CASES)
    parser.add_argument("--lme4", action="store_true", help="fit by glmer too; hours for large cases")
    parser.add_argument("--json", type=Path, help="file for the results of all cases")
    options = parser.parse_args()
    if options.case:
        result = measured(options.case)
        if options.lme4:
            result["lme4"] = by_lme4(options.case)
        print(json.dumps(result))  # noqa: T201
        return
    results = []
    for case in CASES:
        command = [sys.executable, __file__, case] + (["--lme4"] if options.lme4 and case.endswith("middle") else [])
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        results.append(json.loads(done.stdout.splitlines()[-1]))
        print(json.dumps(results[-1], indent=2), flush=True)  # noqa: T201
    write_between(PAGE, "<!-- large crossed -->", "<!-- end of large crossed -->", table(results))
    if options.json:
        found = {"machine": description(), "versions": python_versions(), "cases": results}
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
