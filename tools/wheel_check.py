"""Fit models from an installed wheel; run by the Python of an environment that contains nothing else.

Fails if the package is imported from outside of that environment, if a file is missing from the wheel, or if the fit
or the command does not work. If the wheel holds compiled functions, first fits must compile nothing and have the same
results, to the last bit, as fits of functions that have just been compiled.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

#: First fits: how many steps of compilation they take, and the results as digits that tell all bits.
FITS = """
import json, sys
from numba.core import event
from hierlogit.numba_support import shipped_code
shipped_code.ARCHIVE = shipped_code.ARCHIVE.with_name(sys.argv[1])
import hierlogit as hl
with event.install_recorder("numba:run_pass") as compiled:
    model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
    likelihood = model.fit("laplace")
    posterior = model.fit(hl.NUTS(draws=20, tune=50, chains=1, seed=1, progress=False))
results = [*likelihood.estimate.beta, *posterior.data.posterior["beta"].values.ravel()]
print(json.dumps([len(compiled.buffer), [float(one).hex() for one in results]]))
"""


def first_fits(archive: str) -> Any:
    """How many steps of compilation first fits take, and the results, with compiled functions from an archive."""
    with TemporaryDirectory() as empty:
        command = [sys.executable, "-W", "ignore", "-c", FITS, archive]
        done = subprocess.run(
            command, env=os.environ | {"NUMBA_CACHE_DIR": empty}, stdout=subprocess.PIPE, text=True, check=True
        )
    return json.loads(done.stdout)


def check_compiled_functions(archive: Path) -> None:
    """Compare fits of the functions in the wheel with fits of functions that are compiled here."""
    (shipped, results), (compiled, expected) = first_fits(archive.name), first_fits("none")
    if shipped > 0:
        raise SystemExit(f"The first fits compile, although the wheel holds {archive.name}.")
    if results != expected or compiled == 0:
        raise SystemExit("The functions in the wheel have other results than those compiled here.")
    print(f"First fits from {archive.name} compile nothing, and have the bits of those that compile.")


def main() -> None:
    """Fit a model by Laplace's method, ask the command for its help, and compare compiled functions."""
    import hierlogit as hl

    package = Path(hl.__file__).parent
    if not package.is_relative_to(sys.prefix):
        raise SystemExit(f"hierlogit was imported from {package}, not from the environment {sys.prefix}.")
    missing = [name for name in ("py.typed", "__init__.pyi", "plots/__init__.pyi") if not (package / name).exists()]
    if missing:
        raise SystemExit(f"The wheel lacks {', '.join(missing)}.")
    fit = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria")).fit("laplace")
    print(fit)
    if fit.diagnostics.status != "converged":
        raise SystemExit(f"The fit ended with the status {fit.diagnostics.status!r}.")
    command = Path(sys.executable).with_name("hierlogit")
    subprocess.run([command, "--help"], check=True, stdout=subprocess.DEVNULL)
    for archive in package.rglob("machine_code.zip"):
        check_compiled_functions(archive)
    print(f"hierlogit {version('hierlogit')} works as installed from its wheel.")


if __name__ == "__main__":
    main()
