"""What tests, examples in docstrings and examples in documents share: the width of the screen, and their order."""

import gc
import os
from collections import Counter

import pytest

# Texts are as narrow as the terminal, so what examples show would depend on where they run: worker processes of pytest
# are told that a screen has 80 characters, by the readline library that the first process imports.
os.environ["COLUMNS"] = "100"
# PyTensor runs a C compiler for each operation of a graph, which takes longer than to evaluate these graphs in Python.
os.environ.setdefault("PYTENSOR_FLAGS", "cxx=")

#: Files that start first, each in a process of its own. Where nothing is compiled yet, one compiles the likelihoods and
#: the other the densities of NUTS, which nearly all others need, so that little is compiled twice.
COMPILING = ("tests/properties/test_marginal_properties.py", "tests/unit/numba_support/test_compile.py")
#: A page of the documents is a single test that takes as long as many others, and so do the few tests of these files,
#: which sample, simulate or start processes.
AS_MANY = 30
LONG = (
    "tests/agreement/test_influence_reference.py",
    "tests/agreement/test_rstanarm.py",
    "tests/unit/diagnostics/test_calibration.py",
    "tests/unit/diagnostics/test_overdispersion.py",
    "tests/unit/effects/test_given_outcomes.py",
    "tests/unit/engines/test_integrated_effects.py",
    "tests/unit/engines/test_nutpie_backend.py",
    "tests/unit/model_comparison/test_loo.py",
    "tests/unit/numba_support/test_machine_code.py",
    "tests/unit/storage/test_recover.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that compile come first, and files with few tests last, so that two processes end at about the same time.

    `--no-loadscope-reorder` keeps this order when tests are distributed by file.
    """
    file_of = {item: item.nodeid.partition("::")[0] for item in items}
    sizes = Counter(file_of.values())

    def place(item: pytest.Item) -> tuple[int, int]:
        file = file_of[item]
        if file in COMPILING:
            return 0, COMPILING.index(file)
        return 1, -AS_MANY if file.endswith(".md") or file in LONG else -sizes[file]

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Leave what is in memory by now, modules and tests, out of all searches for garbage."""
    gc.freeze()
