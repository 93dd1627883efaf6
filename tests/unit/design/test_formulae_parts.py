"""Tests of `hierlogit.design.formulae_parts`, in new processes."""

from __future__ import annotations

import subprocess
import sys

TABLE = "pd.DataFrame({'x': np.linspace(0, 1, 12), 'g': list('abcd') * 3, 'y': [0, 1] * 6})"


def new_process(code: str) -> list[str]:
    """What a new process prints after it has imported the parts of formulae."""
    start = "import sys; import numpy as np, pandas as pd; import hierlogit.design.formulae_parts; "
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_splines_are_imported_when_a_formula_has_them_and_nothing_of_scipy_before() -> None:
    names = ("scipy.interpolate", "scipy.sparse", "scipy.special", "scipy.optimize")
    code = (
        f"print([name for name in {names!r} if name in sys.modules]); import formulae; "
        f"columns = formulae.design_matrices('y ~ 0 + bs(x, df=5, intercept=True)', {TABLE}).common.design_matrix; "
        "from scipy.interpolate import BSpline; knots = [0] * 4 + [0.5] + [1] * 4; "
        f"own = BSpline.design_matrix({TABLE}['x'], knots, 3).toarray(); print(np.abs(columns - own).max() < 1e-12)"
    )
    assert new_process(code) == ["[]", "True"]


def test_sparse_matrices_are_imported_when_formulae_makes_one() -> None:
    # As Bambi does, in a process that has imported this package first.
    code = (
        f"import formulae; print(*formulae.design_matrices('y ~ x + (1 | g)', {TABLE}).group.design_matrix.shape); "
        "import scipy.sparse; print(scipy.sparse.csr_array([[1]]).shape[0], scipy.sparse.__name__)"
    )
    assert new_process(code) == ["12", "4", "1", "scipy.sparse"]
