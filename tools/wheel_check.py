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
from pathlib import Path
from numba.core import event
from hierlogit.numba_support import shipped_code
shipped_code.FOLDER = Path(sys.argv[1])
import hierlogit as hl
results = []
with event.install_recorder("numba:run_pass") as compiled:
    for effects in ("(1 | ID)", "(1 + week_gt2 | ID)", "(1 | ID) + (1 | trt)"):
        model = hl.Model(f"y ~ week_gt2 + {effects}", hl.datasets.load("bacteria"))
        results += [*model.fit("laplace").estimate.beta]
        posterior = model.fit(hl.NUTS(draws=20, tune=50, chains=1, seed=1, progress=False)).data.posterior
        results += [*posterior["beta"].values.ravel()]
print(json.dumps([len(compiled.buffer), [float(one).hex() for one in results]]))
"""


def first_fits(archives: Path, level: str) -> Any:
    """How many steps of compilation first fits take at a level of processors, and the results.

    Functions are those of the archives in a folder; without any there, they are compiled.
    """
    with TemporaryDirectory() as empty:
        command = [sys.executable, "-W", "ignore", "-c", FITS, str(archives)]
        own = {"NUMBA_CACHE_DIR": empty, "NUMBA_CPU_NAME": level}
        done = subprocess.run(command, env=os.environ | own, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def check_compiled_functions(archives: Path, levels: list[str]) -> None:
    """Compare fits of the functions in the wheel, for each level, with fits of functions that are compiled here."""
    compiled, expected = first_fits(archives / "none", levels[0])
    if compiled == 0:
        raise SystemExit("Functions that should have been compiled here came from the wheel.")
    for level in levels:
        shipped, results = first_fits(archives, level)
        if shipped > 0:
            raise SystemExit(f"The first fits compile, although the wheel holds functions for {level}.")
        if results != expected:
            raise SystemExit(f"The functions for {level} have other results than those compiled here.")
        print(f"First fits for {level} compile nothing, and have the bits of those that compile.")


def main() -> None:
    """Fit a model by Laplace's method, ask the command for its help, and compare compiled functions."""
    import hierlogit as hl
    from hierlogit.numba_support.shipped_code import FOLDER, archive_of
    from hierlogit.numba_support.target import TARGET

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
    levels = [level for level in TARGET.target_context.codegen().levels if archive_of(level).exists()]
    if levels:
        check_compiled_functions(FOLDER, levels)
    print(f"hierlogit {version('hierlogit')} works as installed from its wheel.")


if __name__ == "__main__":
    main()
