"""Speed of the sampler compared with Bambi, PyMC and rstanarm.

Run it in an environment with the package, from any folder::

    python benchmarks/nuts.py
    python benchmarks/nuts.py --models toenail --engines hierlogit pymc --draws 200

Each fit runs in a process of its own, in which a fit with few draws comes first. Then the whole fit is timed, from
formula and data frame to draws and convergence diagnostics; `samplers.INCLUDED` and the JSON file list the details.
Engines take turns. rstanarm is measured if ``Rscript`` finds it. Engines that are not installed are left out, and their
names are printed.

All engines have the same priors, with two exceptions: Bambi has no correlated effects, and rstanarm has another prior
for the sds of correlated effects. In these cases hierlogit also samples the variant that the other engine has, and
ratios and agreement refer to that fit.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine import ONE_THREAD_A_CHAIN, description, is_installed, python_versions

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from posterior_cases import PosteriorCase
    from samplers import Request

OURS = "hierlogit"
ENGINES = (
    *("hierlogit", "hierlogit_sampled", "hierlogit_integrated", "hierlogit_importance", "hierlogit_nutpie"),
    *("pymc", "pymc_own", "bambi_nutpie", "bambi", "rstanarm"),
)
#: Default number of adaptation steps of rstanarm, half of 2,000 iterations.
RSTANARM_TUNE = 1000
#: Above this R-hat the chains disagree, and effective sample sizes mean little.
NOT_CONVERGED = 1.1

_HERE = Path(__file__).resolve().parent
_RSTANARM = _HERE / "rstanarm_fit.R"


def main() -> None:
    """Measure, write the JSON file and print the table."""
    asked = _arguments()
    os.environ.update(ONE_THREAD_A_CHAIN)  # must be set before NumPy is imported by the other modules
    out = asked.out or Path("build") / "nuts.json"
    out.parent.mkdir(parents=True, exist_ok=True)

    def write(found: dict[str, Any]) -> None:
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    print(table_of_models(measure_models(asked, write)))  # noqa: T201


def measure_models(asked: argparse.Namespace, write: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Sample every model by every installed engine; `write` receives the results so far after each fit."""
    from posterior_cases import POSTERIOR_CASES
    from samplers import INCLUDED

    wanted = _known(asked.engines, list(ENGINES), "engine")
    in_r = _r_versions() if "rstanarm" in wanted else {}
    missing = [name for name in wanted if not (in_r if name == "rstanarm" else is_installed(name))]
    engines = [name for name in wanted if name not in missing]
    found: dict[str, Any] = {
        "machine": description() | {"threads": asked.cores},
        "versions": python_versions() | in_r,
        "options": {name: getattr(asked, name) for name in ("draws", "tune", "chains", "cores", "seed", "timeout")},
        "included": {engine: INCLUDED[engine] for engine in engines},
        "missing": missing,
        "models": {},
    }
    for name in _known(asked.models, list(POSTERIOR_CASES), "model"):
        case = POSTERIOR_CASES[name]
        told = found["models"][name] = {"formula": case.formula, "rows": len(case.frame()), "engines": {}}
        rows = {_row_name(engine, variant): Runs(engine, variant, case) for engine, variant in _rows(engines, case)}
        for repeat in range(asked.repeats):
            for runs in rows.values():
                if runs.failure is None and (not repeat or runs.spent < asked.patience):
                    runs.run(asked, repeat)
                    told["engines"] = _with_comparisons(rows)
                    write(found)
    return found


def _rows(engines: list[str], case: PosteriorCase) -> list[tuple[str, str]]:
    """Engines with the variant of the model that each samples; hierlogit samples all of these variants."""
    from posterior_cases import DECOV, PLAIN, UNCORRELATED

    own = {"bambi": UNCORRELATED, "bambi_nutpie": UNCORRELATED, "rstanarm": DECOV} if case.correlated else {}
    rows = [(engine, own.get(engine, PLAIN)) for engine in engines]
    needed = {variant for _, variant in rows} - {PLAIN} if OURS in engines else set()
    return [*[(OURS, variant) for variant in sorted(needed)], *rows]


def _row_name(engine: str, variant: str) -> str:
    return f"{engine}, {variant}" if variant else engine


def _known(asked: list[str] | None, known: list[str], what: str) -> list[str]:
    strange = sorted(set(asked or ()) - set(known))
    if strange:
        raise SystemExit(f"there is no {what} {', '.join(strange)}; there are: {', '.join(known)}.")
    return asked or known


class Runs:
    """Repeated fits of one model by one engine.

    Parameters
    ----------
    engine, variant : str
    case : PosteriorCase
    """

    def __init__(self, engine: str, variant: str, case: PosteriorCase) -> None:
        self.engine, self.variant, self.case = engine, variant, case
        self.records: list[dict[str, Any]] = []
        self.values: list[np.ndarray] = []
        self.labels: list[str] = []
        self.spent = 0.0
        self.failure: str | None = None

    def run(self, asked: argparse.Namespace, repeat: int) -> None:
        """Fit once more in a process of its own; the engine is not called again after a failure."""
        import numpy as np
        from samplers import Request

        with tempfile.TemporaryDirectory() as folder:
            request = Request(
                engine=self.engine,
                model=self.case.name,
                variant=self.variant,
                draws=asked.draws,
                tune=asked.tune,
                chains=asked.chains,
                cores=asked.cores,
                seed=asked.seed + repeat,
                draws_file=str(Path(folder) / "draws.npz"),
            )
            measure = _fit_in_r if self.engine == "rstanarm" else _fit_in_python
            self._say(f"{_row_name(self.engine, self.variant)}, {self.case.name}")
            record = measure(request, self.case, asked.timeout)
            self.spent += record.pop("process_seconds")
            self.failure = record.get("failure")
            if self.failure is None:
                with np.load(request.draws_file) as drawn:
                    values, labels = drawn["values"], [str(label) for label in drawn["labels"]]
                self.labels = self.labels or labels
                if labels != self.labels:
                    raise RuntimeError(f"{self.engine} labels its parameters differently from run to run")
                self.values.append(values)
                self.records.append(_with_efficiency(record, posterior_quality(values)))

    @staticmethod
    def _say(what: str) -> None:
        print(what, file=sys.stderr, flush=True)  # noqa: T201

    def as_record(self) -> dict[str, Any]:
        """Return the runs and their medians for the JSON file."""
        if not self.records:
            return {"failure": self.failure}
        names = [name for name, value in self.records[0].items() if isinstance(value, int | float | None)]
        medians: dict[str, Any] = {}
        for name in names:
            known = [record[name] for record in self.records if record[name] is not None]
            medians[name] = statistics.median(known) if known else None
        return {
            "variant": self.variant,
            **medians,
            "notes": list(dict.fromkeys(note for record in self.records for note in record["notes"])),
            "runs": self.records,
        }


def posterior_quality(values: np.ndarray) -> dict[str, Any]:
    """Return the worst effective sample sizes and R-hat over parameters, of draws (chain, draw, parameter).

    Independent draws are one chain, which has no R-hat.
    """
    import arviz_stats

    drawn = _dataset(values)
    bulk, tail = (arviz_stats.ess(drawn, method=method)["value"].to_numpy() for method in ("bulk", "tail"))
    return {
        "min_ess_bulk": float(bulk.min()),
        "min_ess_tail": float(tail.min()),
        "max_rhat": float(arviz_stats.rhat(drawn)["value"].to_numpy().max()) if len(values) > 1 else None,
    }


def _dataset(values: np.ndarray) -> xr.Dataset:
    import xarray as xr

    return xr.Dataset({"value": (("chain", "draw", "parameter"), values)})


def _with_efficiency(record: dict[str, Any], quality: dict[str, Any]) -> dict[str, Any]:
    """Add effective sample sizes per second and per 1,000 gradients, and the time for 1,000 effective draws.

    For the latter, the sampling time is scaled; the time that does not grow with draws (model, compiling) counts once.
    Draws chosen by weights cannot be worth more than the weighted ones: their variances add up.
    """
    worst = min(quality["min_ess_bulk"], quality["min_ess_tail"])
    if "ess_weights" in record:
        worst = 1 / (1 / worst + 1 / record["ess_weights"])
    sampling, gradients = record["sampling_seconds"], record["evaluations_draws"]
    wanted = sampling * 1000 / worst
    return (
        record
        | quality
        | {
            "seconds_per_1000": record["seconds"] - sampling + wanted,
            "sampling_seconds_per_1000": wanted,
            "ess_per_second": worst / sampling,
            "ess_per_1000_gradients": 1000 * worst / gradients if gradients else None,
        }
    )


def _with_comparisons(rows: dict[str, Runs]) -> dict[str, Any]:
    """Add ratios to hierlogit and the largest differences from its posterior, for the same variant of the model."""
    records = {name: runs.as_record() for name, runs in rows.items() if runs.records or runs.failure}
    for name, runs in rows.items():
        ours_name = _row_name(OURS, runs.variant)
        if name == ours_name or ours_name not in rows or not (runs.records and rows[ours_name].records):
            continue
        record, ours = records[name], records[ours_name]
        for what in ("seconds", "seconds_per_1000", "sampling_seconds_per_1000"):
            record[f"times_ours_{what}"] = record[what] / ours[what]
        record["agreement"] = _agreement(rows[ours_name], runs)
    return records


def _agreement(ours: Runs, theirs: Runs) -> dict[str, Any]:
    """Largest differences of posterior means and sds over all runs, in Monte Carlo standard errors."""
    import arviz_stats
    import numpy as np

    if sorted(ours.labels) != sorted(theirs.labels):
        return {"failure": f"other parameters: {sorted(set(ours.labels) ^ set(theirs.labels))}"}
    order = [theirs.labels.index(label) for label in ours.labels]
    a, b = np.concatenate(ours.values), np.concatenate(theirs.values)[..., order]
    found: dict[str, Any] = {}
    for what, moment in (("mean", np.mean), ("sd", np.std)):
        errors = [arviz_stats.mcse(_dataset(one), method=what)["value"].to_numpy() for one in (a, b)]
        difference = moment(b, axis=(0, 1)) - moment(a, axis=(0, 1))
        z = difference / np.hypot(*errors)
        worst = int(np.argmax(np.abs(z)))
        found[f"z_{what}"] = float(z[worst])
        found[f"parameter_{what}"] = ours.labels[worst]
        found[f"difference_{what}"] = float(difference[worst])
    return found


def _fit_in_python(request: Request, _case: PosteriorCase, timeout: float) -> dict[str, Any]:
    from watched import run_watched

    command = [sys.executable, str(_HERE / "samplers.py"), json.dumps(asdict(request))]
    watched = run_watched(command, timeout, ONE_THREAD_A_CHAIN)
    if watched.failure:
        return {"failure": watched.failure, "process_seconds": watched.seconds}
    record = json.loads(watched.output.splitlines()[-1])
    return record | {"peak_mib": _largest(record["peak_mib"], watched.peak_mib), "process_seconds": watched.seconds}


def _fit_in_r(request: Request, case: PosteriorCase, timeout: float) -> dict[str, Any]:
    """Fit with rstanarm; the draws are saved under hierlogit's parameter names."""
    import numpy as np
    import pandas as pd
    from watched import run_watched

    folder = Path(request.draws_file).parent
    frame = case.frame()
    model = case.model(frame, request.variant)
    frame.to_csv(folder / "table.csv", index=False)
    scales = {_name_in_r(label): prior.arguments()["sigma"] for label, prior in model.priors.fixed.items()}
    pd.DataFrame({"name": list(scales), "scale": list(scales.values())}).to_csv(folder / "priors.csv", index=False)
    tune = RSTANARM_TUNE if request.tune is None else request.tune
    pd.DataFrame([asdict(request) | {"formula": case.r_formula, "tune": tune}]).to_csv(
        folder / "request.csv", index=False
    )
    watched = run_watched(["Rscript", "--vanilla", str(_RSTANARM), str(folder)], timeout, ONE_THREAD_A_CHAIN)
    if watched.failure:
        return {"failure": watched.failure, "process_seconds": watched.seconds}
    flat = pd.read_csv(folder / "draws.csv")
    drawn = _drawn_in_r(model, flat)
    values = np.stack([column.reshape(request.chains, -1) for column in drawn.values()], axis=-1)
    np.savez(request.draws_file, values=values, labels=np.array(list(drawn)))
    told = pd.read_csv(folder / "told.csv").set_index("name")["value"].to_dict()
    return {
        "sampling_seconds": told["chain_seconds"] / min(request.cores, request.chains),
        "divergences": int(told["divergences"]),
        "first_seconds": told["first_seconds"],
        "seconds": told["seconds"],
        "cpu_seconds": told["cpu_seconds"] + watched.workers_cpu,
        "peak_mib": _largest(told["peak_mib"], watched.peak_mib),
        "evaluations_tuning": None,
        "evaluations_draws": int(told["evaluations_draws"]),
        "us_per_evaluation": 1e6 * told["chain_seconds_draws"] / told["evaluations_draws"],
        "us_direct": None,
        "notes": [note for note in (folder / "notes.txt").read_text(encoding="utf-8").splitlines() if note],
        "process_seconds": watched.seconds,
    }


def _name_in_r(label: str) -> str:
    """The R name of a coefficient: `I(age^2)` for `I(age ** 2)`, `livch1` for `livch[1]`."""
    if label == "Intercept":
        return "(Intercept)"
    return label.replace("[", "").replace("]", "").replace(" ** ", "^").replace("**", "^")


def _drawn_in_r(model: Any, flat: Any) -> dict[str, np.ndarray]:
    """Coefficients, sds and correlations by hierlogit's names, from rstanarm's coefficients and covariances."""
    import numpy as np

    drawn = {label: flat[_name_in_r(label)].to_numpy() for label in model.design.fixed_effects}
    for group in model.design.groups:
        names = [group.name, ":".join(reversed(group.name.split(":")))]  # R writes a / b as b:a and a

        def covariance(i: int, j: int, group: Any = group, names: list[str] = names) -> np.ndarray:
            effects = [_name_in_r(effect) for effect in group.effects]
            wanted = {f"Sigma[{name}:{effects[a]},{effects[b]}]" for name in names for a, b in ((i, j), (j, i))}
            return flat[next(column for column in flat if column in wanted)].to_numpy()

        for i, effect in enumerate(group.effects):
            drawn[f"sd_{group.result_name}[{effect}]"] = np.sqrt(covariance(i, i))
        for i, j in group.correlated_pairs:
            label = f"cor_{group.result_name}[{group.effects[i]}, {group.effects[j]}]"
            drawn[label] = covariance(i, j) / np.sqrt(covariance(i, i) * covariance(j, j))
    return drawn


def _r_versions() -> dict[str, str]:
    if shutil.which("Rscript") is None:
        return {}
    done = subprocess.run(
        ["Rscript", "--vanilla", str(_RSTANARM), "versions"], capture_output=True, text=True, check=False
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def _largest(*values: float | None) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return max(known, default=None)


def table_of_models(found: dict[str, Any]) -> str:
    """Return the measurements as text, with one line for each model and engine."""
    heads = (
        *(("whole s", 9), ("sampl. s", 9), ("CPU s", 8), ("first s", 8), ("MiB", 7), ("evals", 9), ("us", 8)),
        *(
            ("us dir.", 8),
            ("bulk", 7),
            ("tail", 7),
            ("R-hat", 7),
            ("div.", 5),
            ("ESS/s", 8),
            ("ESS/g", 7),
            ("s/1000", 9),
        ),
        *(("x ours", 8), ("sampl.", 8), ("x ours", 8), ("z mean", 7), ("z sd", 6)),
    )
    lines = [f"{'model':<21}{'engine':<29}{''.join(f'{head:>{width}}' for head, width in heads)}"]
    for name, model in found["models"].items():
        for engine, record in model["engines"].items():
            start = f"{name:<21}{engine:<29}"
            if "seconds" not in record:
                lines.append(f"{start}{record['failure']}")
                continue
            evaluations = (record["evaluations_tuning"] or 0) + record["evaluations_draws"]
            agreement = record.get("agreement", {})
            cells = (
                *((record["seconds"], ".2f"), (record["sampling_seconds"], ".2f"), (record["cpu_seconds"], ".2f")),
                *((record["first_seconds"], ".2f"), (record["peak_mib"], ".0f"), (evaluations, ".0f")),
                *((record["us_per_evaluation"], ".1f"), (record["us_direct"], ".1f")),
                *((record["min_ess_bulk"], ".0f"), (record["min_ess_tail"], ".0f"), (record["max_rhat"], ".3f")),
                *((record["divergences"], ".0f"), (record["ess_per_second"], ".1f")),
                (record["ess_per_1000_gradients"], ".1f"),
                *((record["seconds_per_1000"], ".2f"), (record.get("times_ours_seconds_per_1000"), ".1f")),
                (record["sampling_seconds_per_1000"], ".2f"),
                (record.get("times_ours_sampling_seconds_per_1000"), ".1f"),
                *((agreement.get("z_mean"), ".1f"), (agreement.get("z_sd"), ".1f")),
            )
            text = "".join(_cell(value, form, width) for (value, form), (_, width) in zip(cells, heads, strict=True))
            lines.append(f"{start}{text}{_remark(record, agreement)}")
    lines += [
        "",
        "whole: formula and data to draws and convergence diagnostics; a short fit came first in the process (first)",
        "MiB: peak memory of all processes; evals: gradients, including adaptation if known (rstanarm: without)",
        "us: chain time of one evaluation while sampling; dir.: called alone; bulk, tail: worst over all parameters",
        "ESS/g: effective draws of the worst parameter for 1,000 gradients after adaptation, which no load changes",
        "s/1000: for 1,000 effective draws of the worst parameter, sampling scaled, the rest of the fit counted once",
        "x ours: ratio of s/1000 to that of hierlogit for the same variant of the model",
        "z: largest difference of a posterior mean or sd from hierlogit's, in standard errors; about 3 by chance",
    ]
    if found["missing"]:
        lines.append(f"not installed: {', '.join(found['missing'])}")
    return "\n".join(lines)


def _cell(value: float | None, form: str, width: int) -> str:
    return f"{'' if value is None else format(value, form):>{width}}"


def _remark(record: dict[str, Any], agreement: dict[str, Any]) -> str:
    remarks = [f"{len(record['runs'])} runs"] if len(record["runs"]) > 1 else []
    if (record["max_rhat"] or 1.0) > NOT_CONVERGED:
        remarks.append("not converged")
    if "failure" in agreement:
        remarks.append(agreement["failure"])
    for what in ("mean", "sd"):
        if abs(agreement.get(f"z_{what}", 0.0)) > 4:
            remarks.append(f"{what} of {agreement[f'parameter_{what}']} differs")
    return f"  {', '.join(remarks)}" if remarks else ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Speed of the sampler compared with other packages.")
    parser.add_argument("--models", nargs="+", help="models to sample (default: all)")
    parser.add_argument("--engines", nargs="+", help="engines to measure (default: all that are installed)")
    parser.add_argument("--draws", type=int, default=1000, help="draws of each chain")
    parser.add_argument("--tune", type=int, help="adaptation steps (default: that of each engine)")
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--cores", type=int, default=2, help="chains that run at the same time")
    parser.add_argument("--seed", type=int, default=20240501, help="seed of the first fit; each repeat adds 1")
    parser.add_argument("--repeats", type=int, default=1, help="fits of each engine; medians are reported")
    parser.add_argument(
        "--patience", type=float, default=600.0, help="an engine whose fits took this many seconds is not repeated"
    )
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for one process")
    parser.add_argument("--out", type=Path, help="JSON file (default: build/nuts.json)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
