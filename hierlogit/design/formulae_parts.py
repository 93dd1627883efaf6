"""The parts of formulae that evaluate formulas, imported without the parts of SciPy that few formulas need.

formulae imports SciPy's splines and sparse matrices, which takes longer than to load and to fit a model. They are
needed by ``bs()`` and by Bambi only, and are imported when they are first used.
"""

from __future__ import annotations

from ..late_imports import put_off

with put_off({"scipy.interpolate": ("splev",), "scipy.sparse": ()}):
    from formulae.categorical import CategoricalBox, ContrastMatrix, Encoding, Sum, Treatment
    from formulae.contrasts import pick_contrasts
    from formulae.environment import Environment
    from formulae.model_description import model_description
    from formulae.terms import call, variable
    from formulae.terms.call import Call
    from formulae.terms.call_resolver import LazyCall, LazyOperator, LazyValue, LazyVariable
    from formulae.terms.terms import Term
    from formulae.terms.variable import Variable
    from formulae.transforms import BSpline, Polynomial

__all__ = [
    "BSpline",
    "Call",
    "CategoricalBox",
    "ContrastMatrix",
    "Encoding",
    "Environment",
    "LazyCall",
    "LazyOperator",
    "LazyValue",
    "LazyVariable",
    "Polynomial",
    "Sum",
    "Term",
    "Treatment",
    "Variable",
    "call",
    "model_description",
    "pick_contrasts",
    "variable",
]
