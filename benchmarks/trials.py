"""How well default NUTS samples many models: effective draws per gradient, R-hat, divergences and findings of each.

Run it in an environment with the package, from any folder::

    python benchmarks/trials.py
    python benchmarks/trials.py --models survey three_large --limit 300 --out build/trials.csv
    python benchmarks/trials.py --compare before.csv after.csv

The models are those of the slow test ``tests/trials``: published ones, and simulated ones of many layouts. Effective
draws per gradient do not depend on the machine, or on what else it does; seconds do. A fit that takes longer than the
limit is interrupted, and its draws so far are judged.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from tests.trials.simulated import Trial

ROOT = Path(__file__).resolve().parents[1]
#: Levels of a factor whose effects are judged, spread evenly where there are more.
MOST_LEVELS = 500


def all_trials() -> dict[str, Trial]:
    """Published and simulated trials by name, and the two largest models of the other benchmarks."""
    sys.path.append(str(ROOT))
    from cases import CASES
    from posterior_cases import POSTERIOR_CASES

    from tests.trials.published import PUBLISHED
    from tests.trials.simulated import SIMULATED, Trial

    ratings, slopes = CASES["insteval_crossed"], POSTERIOR_CASES["simulated_slope"]
    largest = [Trial(one.name, one.formula, one.frame) for one in (slopes, ratings)]
    return {**PUBLISHED, **SIMULATED, **{trial.name: trial for trial in largest}}


def measure(trial: Trial, seed: int, limit: float) -> dict[str, Any]:
    """Fit a trial with nothing but a seed, and return what its draws are worth."""
    import _thread

    import hierlogit as hl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is in the findings
        model = hl.Model(trial.formula, trial.rows())
        timer = threading.Timer(limit, _thread.interrupt_main)
        timer.start()
        start = time.perf_counter()
        try:
            fit = model.fit(hl.NUTS(seed=seed, progress=False))
        except KeyboardInterrupt:
            return {
                "model": trial.name,
                "seed": seed,
                "rows": model.design.n_rows,
                "remark": f"no draws after {limit:g} s",
            }
        finally:
            timer.cancel()
    seconds = time.perf_counter() - start
    told = {"model": trial.name, "seed": seed, "rows": model.design.n_rows, "seconds": round(seconds, 2)}
    return told | draws_worth(fit) | {"findings": " ".join(sorted(one.code for one in fit.diagnostics.findings))}


def draws_worth(fit: Any) -> dict[str, Any]:
    """Effective sizes, R-hats and gradients of a fit."""
    import arviz_stats
    import numpy as np

    from hierlogit.fits.posterior import parameter_draws

    measures, stats = fit.diagnostics.measures, fit.data["sample_stats"]
    drawn = parameter_draws(fit.model, fit.posterior)
    labels, values = drawn["parameter"].to_numpy(), drawn.to_dataset(name="value")
    bulk, tail = (arviz_stats.ess(values, method=method)["value"].to_numpy() for method in ("bulk", "tail"))
    effects = _effects(fit)
    gradients = float(stats["n_steps"].sum())
    lowest = float(min(bulk.min(), tail.min()))
    return {
        "sampling_seconds": round(fit.diagnostics.seconds["sample"], 2),
        "draws": int(drawn.sizes["chain"] * drawn.sizes["draw"]),
        "gradients_per_draw": round(gradients / stats["n_steps"].size, 2),
        "min_ess_bulk": round(float(bulk.min())),
        "worst": str(labels[np.argmin(np.minimum(bulk, tail))]),
        "min_ess_tail": round(float(tail.min())),
        "min_ess_effects": round(min((_lowest(arviz_stats.ess(one)) for one in effects), default=np.nan)),
        "max_rhat": round(float(measures["max_rhat"]), 4),
        "max_rhat_effects": round(max((_highest(arviz_stats.rhat(one)) for one in effects), default=np.nan), 4),
        "divergences": int(measures["divergences"]),
        "ess_per_1000_gradients": round(1000 * lowest / gradients, 2),
        "ess_per_second": round(lowest / fit.diagnostics.seconds["sample"], 1),
    }


def _effects(fit: Any) -> list[xr.Dataset]:
    """Draws of the effects of each factor, for levels spread evenly."""
    import numpy as np

    found = []
    for group in fit.model.design.groups:
        drawn = fit.posterior[f"b_{group.result_name}"]
        dim = fit.model.dim(group)
        levels = np.unique(np.linspace(0, drawn.sizes[dim] - 1, MOST_LEVELS).astype(int))
        found.append(drawn.isel({dim: levels}).drop_vars([dim]).to_dataset(name="value"))
    return found


def _lowest(found: xr.Dataset) -> float:
    return float(found["value"].min())


def _highest(found: xr.Dataset) -> float:
    return float(found["value"].max())


def comparison(before: pd.DataFrame, after: pd.DataFrame) -> str:
    """Means over the seeds of both measurements, the largest loss of effective draws per gradient first."""
    import numpy as np

    both = _means(before).join(_means(after), lsuffix=" before", rsuffix=" after", how="inner")
    gain = both["ess_per_1000_gradients after"] / both["ess_per_1000_gradients before"]
    both = both.assign(gain=gain).sort_values("gain")
    same = both.index[both["gain"] == 1.0]
    lines = [
        f"{len(both)} models; effective draws per gradient, after / before: median {np.nanmedian(gain):.2f}",
        f"The same draws as before ({len(same)}): {', '.join(same)}",
        "",
        "| model | after / before | ESS/1000 grad. | gradients a draw | ESS bulk | ESS tail | ESS effects | R-hat "
        "| div. | sampling, s | worst after | findings after |",
        f"| --- |{' ---: |' * 9} --- | --- |",
    ]
    for name, row in both.drop(same).iterrows():
        cells = [_before_after(row, what) for what in _COLUMNS]
        lines.append(
            f"| {name} | {row['gain']:.2f} | {' | '.join(cells)} | {row['worst after']} | {row['findings after']} |"
        )
    return "\n".join(lines)


def _means(measured: pd.DataFrame) -> pd.DataFrame:
    """Means over the seeds of each model; of texts, every one that there is."""
    by_model = measured.fillna({"findings": "", "worst": ""}).groupby("model", sort=False)
    texts = by_model[["worst", "findings"]].agg(lambda one: "; ".join(dict.fromkeys(one)))
    return by_model[list(_COLUMNS)].mean().join(texts)


_COLUMNS = (
    *("ess_per_1000_gradients", "gradients_per_draw", "min_ess_bulk", "min_ess_tail", "min_ess_effects"),
    *("max_rhat", "divergences", "sampling_seconds"),
)


def _before_after(row: pd.Series[Any], what: str) -> str:
    return " → ".join(f"{row[f'{what} {when}']:.5g}" for when in ("before", "after"))


def main() -> None:
    """Measure the models one by one, or compare two earlier measurements."""
    asked = _arguments()
    import pandas as pd

    if asked.compare:
        print(comparison(*(pd.read_csv(path, keep_default_na=True) for path in asked.compare)))  # noqa: T201
        return
    trials = all_trials()
    strange = sorted(set(asked.models or ()) - set(trials))
    if strange:
        raise SystemExit(f"there is no model {', '.join(strange)}; there are: {', '.join(trials)}.")
    write_measurements([trials[name] for name in asked.models or trials], asked.seeds, asked.limit, asked.out)


def write_measurements(trials: Iterable[Trial], seeds: Iterable[int], limit: float, out: Path) -> None:
    """Measure trials with each seed and write the table after each."""
    import pandas as pd

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # shells do so for what runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    out.parent.mkdir(parents=True, exist_ok=True)
    found = []
    for trial, seed in product(trials, seeds):
        found.append(measure(trial, seed, limit))
        pd.DataFrame(found).to_csv(out, index=False)
        print(found[-1], flush=True)  # noqa: T201


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How well default NUTS samples many models.")
    parser.add_argument("--models", nargs="+", help="models to sample (default: all)")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[1], help="effective sizes differ by half from seed to seed"
    )
    parser.add_argument("--limit", type=float, default=90.0, help="seconds after which a fit is interrupted")
    parser.add_argument("--out", type=Path, default=Path("build") / "trials.csv", help="CSV file")
    parser.add_argument("--compare", nargs=2, type=Path, metavar="CSV", help="compare two earlier measurements")
    return parser.parse_args()


if __name__ == "__main__":
    main()
