"""Fit a model from an installed wheel; run by the Python of an environment that contains nothing else.

Fails if the package is imported from outside of that environment, if a file is missing from the wheel, or if the fit
or the command does not work.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path


def main() -> None:
    """Fit a model by Laplace's method and ask the command for its help."""
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
    print(f"hierlogit {version('hierlogit')} works as installed from its wheel.")


if __name__ == "__main__":
    main()
