"""Write a saved fit of each kind, and numbers that every later version has to read from them.

``python tools/make_saved_fits.py`` makes ``tests/data/saved_fits/VERSION/``, which a release adds and nothing changes
afterwards; ``tests/unit/storage/test_saved_fits.py`` reads the folders of all versions.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hierlogit as hl

FOLDER = Path(__file__).parents[1] / "tests" / "data" / "saved_fits"


def numbers(fit: Any) -> dict[str, Any]:
    """What is compared: the model, how the fit came about, every variable and what is computed from it."""
    found: dict[str, Any] = {
        "formula": fit.model.formula.text,
        "priors": _priors(fit.model.priors),
        "rows": fit.model.design.n_rows,
        "engine": fit.diagnostics.engine,
        "status": fit.diagnostics.status,
        "findings": [finding.code for finding in fit.diagnostics.findings],
        "measures": dict(fit.diagnostics.measures),
        "sizes": dict(fit.posterior.sizes),
        "means": {str(name): values.mean().item() for name, values in fit.posterior.data_vars.items()},
        "last": {str(name): values.values.ravel()[-1].item() for name, values in fit.posterior.data_vars.items()},
        "log_likelihood": fit.data["log_likelihood"].to_dataset().sum().to_array().item(),
        "summary": hl.summary(fit).select_dtypes("number").iloc[:, 0].to_dict(),
        "predictions": hl.predictions(fit)["mean"].to_list()[:5],
    }
    if fit.estimate is not None:
        found["estimate"] = {
            "log_likelihood": fit.estimate.log_likelihood,
            "beta": fit.estimate.beta.tolist(),
            "standard_errors": fit.estimate.standard_errors.tolist(),
            "modes": {name: modes.ravel().tolist() for name, modes in fit.estimate.modes.items()},
        }
    return found


def _priors(priors: Any) -> dict[str, Any]:
    """Families and arguments of the priors, by parameter or grouping factor."""
    listed = {
        **priors.fixed,
        **{f"sd_{name}[{k}]": prior for name, of_factor in priors.sd.items() for k, prior in enumerate(of_factor)},
        **{f"cor_{name}": prior for name, prior in priors.cor.items()},
    }
    return {name: {type(prior).__name__: prior.arguments()} for name, prior in listed.items()}


def main() -> None:
    """Fit, save and write the numbers beside the files."""
    folder = FOLDER / hl.__version__
    folder.mkdir(parents=True, exist_ok=True)
    herds = hl.Model("prop(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp"))
    children = hl.Model("y ~ week + (1 + week | ID)", hl.datasets.load("bacteria"))
    fits = {
        "laplace": herds.fit(hl.Laplace(draws=100, seed=1)),
        "nuts": children.fit(hl.NUTS(chains=2, draws=30, tune=200, seed=1, progress=False)),
    }
    for name, fit in fits.items():
        path = fit.save(folder / f"{name}.nc")
        written = json.dumps(numbers(hl.load(path)), indent=1, ensure_ascii=False)
        path.with_suffix(".json").write_text(f"{written}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
