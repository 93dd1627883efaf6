"""Speed of the Laplace engine compared with other packages, on one thread.

Run it in an environment with the package, from any folder::

    python benchmarks/likelihood.py
    python benchmarks/likelihood.py --models verbagg_crossed --repeats 20
    python benchmarks/likelihood.py --growth

The other packages are glmm and GPBoost (``pip install glmm gpboost``), and lme4 and glmmTMB in R (``Rscript`` on the
path). Those that are not installed are left out, and their names are printed. The fits take turns after a first call of
each. A timed call includes the standard errors of the fixed effects; `peers.INCLUDED` and the JSON file list what else
it includes.

``--growth`` measures the growth of time and memory with the numbers of rows and clusters instead, fits of counted rows
and of shards by several processes (see `growth`). ``--max-counted 0`` leaves counted tables out, and
``--max-sharded 0`` shards. ``growth_page.py`` writes what was measured into the documentation.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from machine import ONE_THREAD, description, is_installed, python_versions

OURS = ("hierlogit", "hierlogit_model")


def main() -> None:
    """Measure, write the JSON file and print the table."""
    asked = _arguments()
    os.environ.update(ONE_THREAD)  # must be set before NumPy is imported by the other modules
    if asked.growth:
        from growth import ENGINES, measure_growth, table_of_growth

        engines = _known(asked.engines, list(ENGINES), "engine")
        found = measure_growth(engines, asked.max_rows, asked.max_counted, asked.max_sharded, asked.timeout)
        table = table_of_growth(found)
    else:
        found = measure_models(asked)
        table = table_of_models(found)
    out = asked.out or Path("build") / ("growth.json" if asked.growth else "likelihood.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table)  # noqa: T201


def measure_models(asked: argparse.Namespace) -> dict[str, Any]:
    """Fit every model with every engine that is installed."""
    from cases import CASES
    from measure import as_record, take_turns
    from peers import INCLUDED, PYTHON_ENGINES, UNCORRELATED, python_fit
    from r_peers import R_ENGINES, RProcess

    known = [*PYTHON_ENGINES, *R_ENGINES]
    wanted = _known(asked.engines, known, "engine")
    models = {}
    r = RProcess(asked.timeout)
    try:
        in_r = r.versions() if set(wanted) & set(R_ENGINES) else {}
        missing = [name for name in wanted if not (name in in_r if name in R_ENGINES else is_installed(name))]
        engines = [name for name in wanted if name not in missing]
        for name in _known(asked.models, list(CASES), "model"):
            case = CASES[name]
            frame = case.frame()
            if set(engines) & set(R_ENGINES):
                r.give(frame)
            fits = {
                engine: r.fit(engine, case) if engine in R_ENGINES else python_fit(engine, case, frame)
                for engine in engines
            }
            timings = take_turns(fits, asked.repeats, asked.patience)
            records = {
                engine: as_record(timing, case.maximum(correlated=engine not in UNCORRELATED))
                for engine, timing in timings.items()
            }
            for engine in set(UNCORRELATED) & set(records):
                records[engine]["uncorrelated"] = case.slope is not None
            models[name] = {"formula": case.formula, "rows": len(frame), "engines": _with_ratios(records)}
    finally:
        r.close()
    return {
        "machine": description(),
        "versions": python_versions() | in_r,
        "included": {engine: INCLUDED[engine] for engine in engines},
        "missing": missing,
        "models": models,
    }


def _known(asked: list[str] | None, known: list[str], what: str) -> list[str]:
    strange = sorted(set(asked or ()) - set(known))
    if strange:
        raise SystemExit(f"there is no {what} {', '.join(strange)}; there are: {', '.join(known)}.")
    return asked or known


def _with_ratios(records: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Add the ratio of each median time to that of hierlogit."""
    for ours in OURS:
        if "wall" in records.get(ours, {}):
            for record in records.values():
                if "wall" in record:
                    record[f"times_{ours}"] = record["wall"]["median"] / records[ours]["wall"]["median"]
    return records


def table_of_models(found: dict[str, Any]) -> str:
    """Return the measurements as text, with one line for each model and engine."""
    lines = [
        f"{'model':<24}{'engine':<17}{'median ms':>10}{'min':>9}{'max':>9}{'CPU ms':>9}{'calls':>6}"
        f"{'x ours':>8}{'x model':>8}{'log-lik.':>13}{'below max':>11}"
    ]
    for name, model in found["models"].items():
        for engine, record in model["engines"].items():
            if "wall" not in record:
                lines.append(f"{name:<24}{engine:<17}{record['failure']}")
                continue
            wall = {key: 1000 * value for key, value in record["wall"].items()}
            ratios = "".join(_ratio(record.get(f"times_{ours}")) for ours in OURS)
            lines.append(
                f"{name:<24}{engine:<17}{wall['median']:10.1f}{wall['min']:9.1f}{wall['max']:9.1f}"
                f"{1000 * record['cpu']['median']:9.1f}{record['calls']:6d}{ratios}"
                f"{record['log_likelihood']:13.4f}{record['below_maximum']:11.1e}{_remark(record)}"
            )
    if found["missing"]:
        lines.append(f"not installed: {', '.join(found['missing'])}")
    return "\n".join(lines)


def _ratio(times: float | None) -> str:
    return f"{'':>8}" if times is None else f"{times:8.2f}"


def _remark(record: dict[str, Any]) -> str:
    errors = record["standard_errors"]
    remarks = [] if errors and None not in errors else ["no standard errors"]
    remarks += ["no correlation"] if record.get("uncorrelated") else []
    remarks += ["see notes"] if record["notes"] else []
    return f"  {', '.join(remarks)}" if remarks else ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Speed of the Laplace engine compared with other packages.")
    parser.add_argument("--models", nargs="+", help="models to fit (default: all)")
    parser.add_argument("--engines", nargs="+", help="engines to measure (default: all that are installed)")
    parser.add_argument("--repeats", type=int, default=10, help="calls of each engine after its first one")
    parser.add_argument("--patience", type=float, default=30.0, help="seconds for all calls of one engine and model")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for one fit in another process")
    parser.add_argument("--growth", action="store_true", help="measure growth with rows and clusters instead")
    parser.add_argument("--max-rows", type=int, default=1_000_000, help="largest table of --growth in memory")
    parser.add_argument(
        "--max-counted",
        type=int,
        default=100_000_000,
        help="largest table of --growth in files",
    )
    parser.add_argument(
        "--max-sharded", type=int, default=2_000_000, help="rows of --growth that are divided into shards"
    )
    parser.add_argument("--out", type=Path, help="JSON file (default: build/likelihood.json or build/growth.json)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
