"""The rules of the house: modules have their place, names do not clash, the import is light, set-up speaks clearly."""

import ast
import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "hierlogit"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
FIND_PYTHON = ROOT / "tools" / "find-python.sh"

HEAVY = (
    "arviz",
    "arviz_plots",
    "bambi",
    "formulae",
    "matplotlib",
    "numba",
    "nutpie",
    "pymc",
    "pytensor",
    "scipy.stats",
)


#: Longest function in lines, from `def` to its end, and the largest median length of a file.
LONGEST, MEDIAN_FILE = 100, 200
#: Compiled functions that are longer, and why.
LONG_KERNELS = {
    "density/marginal/nested_gauss_hermite.py:integrate": "its nested loops share twenty work arrays: a function for "
    "each stage would take them all as arguments, and would be optimised once more in every caller",
}


def public_names(package: Path) -> tuple[set[str], set[str]]:
    """Modules and other names that the package's `__init__.pyi` makes public."""
    modules: set[str] = set()
    others: set[str] = set()
    for node in ast.parse((package / "__init__.pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            (others if node.module else modules).update(alias.asname or alias.name for alias in node.names)
    return modules, others


def test_the_page_of_the_architecture_is_the_one_that_the_modules_make(load_tool: Callable[[str], ModuleType]) -> None:
    architecture = load_tool("architecture")
    text = architecture.PAGE.read_text(encoding="utf-8")
    assert architecture.page(text) == text, "run python tools/architecture.py"
    for module in MODULES:
        assert f"`{module}`" in text


def test_imports_have_no_circles(load_tool: Callable[[str], ModuleType]) -> None:
    found = load_tool("import_circles")
    graph = found.imports(PACKAGE)
    assert found.circles(graph) == []
    assert found.circles(found.between_rooms(graph)) == []


def test_circles_are_found(load_tool: Callable[[str], ModuleType]) -> None:
    found = load_tool("import_circles")
    assert found.circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]
    graph = {"p.a.x": {"p.b.y"}, "p.b.z": {"p.a.w"}, "p.a.w": set(), "p.b.y": set()}
    assert found.circles(graph) == []
    assert found.circles(found.between_rooms(graph, "p")) == [["p.a", "p.b"]]


def test_every_compiled_function_is_compiled_anew_when_its_sources_change() -> None:
    from hierlogit.numba_support.compile import source_files

    users = [path for path in PACKAGE.rglob("*.py") if "numba_support.compile import" in path.read_text("utf-8")]
    users += [path for path in PACKAGE.rglob("*.py") if "numba_support.struct_by_address" in path.read_text("utf-8")]
    assert len(users) > 10
    assert set(users) - set(source_files()) == set()


def lengths(module: Path, public: set[str]) -> dict[str, int]:
    """Lines of each function in a file; for public ones without the docstring, which describes every option."""
    found = {}
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1
            if node.name in public and ast.get_docstring(node) is not None:
                lines -= node.body[0].end_lineno - node.body[0].lineno + 1
            found[f"{module.relative_to(PACKAGE).as_posix()}:{node.name}"] = lines
    return found


def test_functions_and_files_are_short() -> None:
    public = set().union(*(public_names(package)[1] for package in (PACKAGE, PACKAGE / "plots")))
    long = {name for module in MODULES for name, lines in lengths(PACKAGE / module, public).items() if lines > LONGEST}
    assert long == set(LONG_KERNELS)
    assert median(len((PACKAGE / module).read_text("utf-8").splitlines()) for module in MODULES) < MEDIAN_FILE


@pytest.mark.parametrize("package", ["hierlogit", "hierlogit.plots"])
def test_no_module_has_the_name_of_a_public_function(package: str) -> None:
    # Importing such a module would put it where its package gave the function before.
    folder = ROOT.joinpath(*package.split("."))
    inside = {path.stem for path in folder.glob("*.py")} | {path.name for path in folder.iterdir() if path.is_dir()}
    modules, others = public_names(folder)
    assert modules | others == set(importlib.import_module(package).__all__)
    assert others & inside == set()


def test_import_is_light() -> None:
    code = f"import sys, hierlogit; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [], "import hierlogit loads these"


def test_loading_waits_with_the_search_for_garbage() -> None:
    code = (
        "import gc, hierlogit; seen = []; gc.callbacks.append(lambda phase, _: seen.append(phase)); hierlogit.Model; "
        "gc.callbacks.pop(); print(len(seen), gc.isenabled()); gc.disable(); hierlogit.summary; print(gc.isenabled())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True", "False"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs sh")
def test_find_python_names_a_python_that_runs() -> None:
    done = subprocess.run(["sh", str(FIND_PYTHON)], capture_output=True, text=True, check=True)
    version = "import sys; print(sys.version_info >= (3, 12))"
    told = subprocess.run([done.stdout.strip(), "-c", version], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "True"
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs sh")
def test_find_python_fails_with_one_sentence() -> None:
    script = FIND_PYTHON.read_text(encoding="utf-8")
    impossible = script.replace("(3, 12) <= sys.version_info", "(99, 0) <= sys.version_info")
    assert impossible != script
    done = subprocess.run(["sh", "-c", impossible], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("Python 3.12 or later")
    assert "PYTHON=" in done.stderr
    assert ". " not in done.stderr.strip()
    assert done.stderr.strip().endswith(".")


def test_files_whose_place_in_the_order_of_tests_is_stated_are_there() -> None:
    spec = importlib.util.spec_from_file_location("order_of_tests", ROOT / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    order = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(order)
    assert [file for file in (*order.COMPILING, *order.LONG) if not (ROOT / file).is_file()] == []
