"""How the package is installed, built and released: the files that say so agree with each other and with the code."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from zipfile import ZipFile

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, sys_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

import hierlogit as hl

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
METADATA = PROJECT["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

#: Names in conda-forge of what PyPI calls otherwise.
CONDA_NAMES = {
    "matplotlib": "matplotlib-base",
    "graphviz": "python-graphviz",
    "build": "python-build",
    "duckdb": "python-duckdb",
}
#: Packages parts of which are used that are not public.
INTERNALS_USED = ("numba", "llvmlite", "nutpie")


def requirements(*extras: str) -> dict[str, Requirement]:
    """Dependencies in pyproject.toml with those of extras, by normalised name."""
    listed = [*METADATA["dependencies"]]
    for extra in extras:
        listed += METADATA["optional-dependencies"][extra]
    return {canonicalize_name(one.name): one for one in map(Requirement, listed)}


def pins() -> dict[str, Version]:
    """Versions in constraints.txt, by normalised name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def conda_packages() -> dict[str, SpecifierSet]:
    """Packages in environment.yml, by their names in conda-forge."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    lines = [line for line in environment["dependencies"] if isinstance(line, str)]
    return {name: SpecifierSet(bounds) for name, _, bounds in (line.partition(" ") for line in lines)}


class TestVersionsAgree:
    def test_conda_and_pyproject_name_the_same_packages_with_the_same_bounds(self) -> None:
        conda = conda_packages()
        wanted = {CONDA_NAMES.get(name, name): one.specifier for name, one in requirements("dev").items()}
        build = [Requirement(line) for line in PROJECT["build-system"]["requires"]]
        wanted |= {one.name: one.specifier for one in build}
        assert {name: bounds for name, bounds in conda.items() if name not in ("python", "pip")} == wanted

    def test_every_tried_version_is_within_the_bounds(self) -> None:
        tried = pins()
        for name, requirement in requirements("dev", "docs", "polars", "dask", "widgets").items():
            assert name in tried, f"constraints.txt does not pin {name}"
            assert tried[name] in requirement.specifier, f"{name} {tried[name]} is not {requirement.specifier}"

    @pytest.mark.parametrize("name", INTERNALS_USED)
    def test_internals_are_used_of_no_release_after_the_tried_one(self, name: str) -> None:
        tried, bounds = pins()[name], requirements()[name].specifier
        assert tried in bounds
        assert Version(f"{tried.major}.{tried.minor + 1}") not in bounds
        assert Version(f"{tried.major + 1}.0") not in bounds

    def test_the_interface_of_nutpie_is_known_for_every_release_allowed(self) -> None:
        from hierlogit.engines.nuts.nutpie_model import KNOWN_INTERFACES

        bounds = requirements()["nutpie"].specifier
        assert f"{pins()['nutpie']}".startswith(KNOWN_INTERFACES)
        (lowest,) = (one.version for one in bounds if one.operator == ">=")
        assert lowest.startswith(KNOWN_INTERFACES)

    def test_extras_that_repeat_a_dependency_have_its_bounds(self) -> None:
        dev = requirements("dev")
        for extra in ("docs", "polars", "dask", "widgets"):
            for requirement in map(Requirement, METADATA["optional-dependencies"][extra]):
                known = dev.get(canonicalize_name(requirement.name), requirement)
                assert known.specifier == requirement.specifier, requirement.name

    def test_lowest_bounds_are_written_as_constraints(self) -> None:
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools" / "lowest_bounds.py")], capture_output=True, text=True, check=True
        )
        lowest = {canonicalize_name(one.name): one.specifier for one in map(Requirement, done.stdout.split())}
        assert lowest.keys() == requirements("dev").keys()
        for name, requirement in requirements("dev").items():
            (bound,) = (one.version for one in requirement.specifier if one.operator == ">=")
            assert lowest[name] == SpecifierSet(f"=={bound}")


class TestDependencies:
    """Every dependency is used, and docs/install.md says for what."""

    #: Modules of packages that are called otherwise.
    MODULES: ClassVar = {"pillow": "PIL"}
    #: Those that other libraries call for this package: pandas for its tables, xarray for files and PyMC for graphs.
    CALLED_BY_OTHERS: ClassVar = {
        "jinja2": "pd.DataFrame(self).to_latex(",
        "tabulate": ".to_markdown(",
        "h5netcdf": 'engine="h5netcdf"',
        "h5py": 'engine="h5netcdf"',
        "graphviz": "model_to_graphviz",
    }

    def test_the_page_names_each_with_its_use(self) -> None:
        page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8").partition("## Dependencies")[2]
        named = [
            name for row in re.findall(r"^\| ([a-z][a-z0-9, -]*) \| \S", page, re.MULTILINE) for name in row.split(", ")
        ]
        assert named[0] == "package"
        assert sorted(named[1:]) == sorted(requirements())

    @pytest.mark.parametrize("name", sorted(requirements()))
    def test_none_is_unused(self, name: str) -> None:
        module = self.MODULES.get(name, name.replace("-", "_"))
        sign = self.CALLED_BY_OTHERS.get(name)
        used = re.compile(rf"\b(?:import|from) {module}\b" if sign is None else re.escape(sign))
        assert any(used.search(path.read_text(encoding="utf-8")) for path in (ROOT / "hierlogit").rglob("*.py"))


class TestPython:
    def test_one_range_of_versions_is_named_everywhere(self) -> None:
        found = [line.removeprefix("Programming Language :: Python :: 3.") for line in METADATA["classifiers"]]
        minors = sorted(int(text) for text in found if text.isdigit())
        first, last = minors[0], minors[-1]
        assert minors == list(range(first, last + 1))
        assert METADATA["requires-python"] == f">=3.{first}"
        assert conda_packages()["python"] == SpecifierSet(f">=3.{first},<3.{last + 1}")
        for name in ("Makefile", "tools/find-python.sh"):
            assert f"(3, {first}) <= sys.version_info[:2] <= (3, {last})" in (ROOT / name).read_text(encoding="utf-8")
        job = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]["test"]
        assert job["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in minors]

    @pytest.mark.skipif(sys.platform == "win32", reason="needs sh")
    def test_find_python_takes_the_version_asked_for(self) -> None:
        here = "{}.{}".format(*sys.version_info)
        script = ["sh", str(ROOT / "tools" / "find-python.sh"), here]
        done = subprocess.run(
            script, capture_output=True, text=True, check=True, env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"}
        )
        command = [done.stdout.strip(), "-c", "import sys; print('{}.{}'.format(*sys.version_info))"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == here


class TestRelease:
    def test_one_version(self) -> None:
        citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
        assert citation["version"] == METADATA["version"] == hl.__version__
        assert citation["license"] == METADATA["license"]
        assert citation["repository-code"] == METADATA["urls"]["Repository"]

    def test_one_address_of_the_repository(self) -> None:
        files = [*(ROOT / ".github").rglob("*.yml"), *ROOT.glob("*.md"), ROOT / "CITATION.cff", ROOT / "pyproject.toml"]
        text = "\n".join(path.read_text(encoding="utf-8") for path in files)
        found = set(re.findall(r"https://github\.com/([\w-]+/hierlogit)", text))
        assert found == {METADATA["urls"]["Repository"].removeprefix("https://github.com/")}

    @pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
    def test_workflows_run_targets_of_the_makefile(self, path: Path) -> None:
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"run: make (\S+)", text):
            named = yaml.safe_load(text)["jobs"]["nightly"]["strategy"]["matrix"]["target"] if "$" in name else [name]
            assert set(named) <= targets

    def test_ci_runs_what_the_workflow_runs(self) -> None:
        script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
        jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
        run = {step["run"].split()[1] for job in jobs.values() for step in job["steps"] if "run" in step}
        assert set(re.findall(r"^make (\S+)", script, re.MULTILINE)) <= run


class TestPlatformWheel:
    """tools/platform_wheel.py: the wheel with compiled functions."""

    TAGS: ClassVar = [("cp313", "cp313", "manylinux_2_27_x86_64"), ("cp313", "cp313", "manylinux_2_28_x86_64")]

    @pytest.fixture
    def made(self, load_tool: Callable[[str], ModuleType], tmp_path: Path) -> ZipFile:
        given = {
            "hierlogit/__init__.py": "",
            "hierlogit-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "hierlogit-1.0.dist-info/RECORD": "",
        }
        with ZipFile(tmp_path / "given.whl", "w") as file:
            for name, text in given.items():
                file.writestr(name, text)
        script = load_tool("platform_wheel")
        files = {"hierlogit/code.zip": b"code", "hierlogit/more.zip": b"more"}
        name = script.with_files(tmp_path / "given.whl", files, self.TAGS, tmp_path)
        return ZipFile(tmp_path / name)

    def test_its_tags_say_what_it_is_for(self, made: ZipFile) -> None:
        name, version, _, tags = parse_wheel_filename(Path(str(made.filename)).name)
        assert (name, version) == ("hierlogit", Version("1.0"))
        assert tags == {Tag(*one) for one in self.TAGS}
        lines = made.read("hierlogit-1.0.dist-info/WHEEL").decode().splitlines()
        assert [line for line in lines if line.startswith("Tag")] == [f"Tag: {'-'.join(one)}" for one in self.TAGS]
        assert "Root-Is-Purelib: false" in lines

    def test_it_has_the_files_and_lists_all(self, made: ZipFile) -> None:
        assert made.read("hierlogit/code.zip") == b"code"
        assert made.read("hierlogit/more.zip") == b"more"
        listed = [line.split(",") for line in made.read("hierlogit-1.0.dist-info/RECORD").decode().splitlines()]
        assert {name for name, *_ in listed} == set(made.namelist())
        for name, digest, size in listed:
            content = made.read(name)
            if not name.endswith("RECORD"):
                assert int(size) == len(content)
                kind, _, expected = digest.partition("=")
                found = urlsafe_b64encode(hashlib.new(kind, content).digest()).rstrip(b"=").decode()
                assert found == expected

    def test_the_platform_is_that_of_the_installed_numba(self, load_tool: Callable[[str], ModuleType]) -> None:
        tags = {Tag(*one) for one in load_tool("platform_wheel").platform_tags()}
        assert tags
        assert tags <= set(sys_tags())


class TestTargets:
    """Help, `make clean`, `.gitignore` and CONTRIBUTING.md know every target and what it leaves behind."""

    MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

    def test_every_target_is_explained(self) -> None:
        (phony,) = re.findall(r"^\.PHONY: (.*)$", self.MAKEFILE, re.MULTILINE)
        targets = set(phony.split()) - {"help", "FORCE"}
        assert set(re.findall(r"^#   make (\S+)", self.MAKEFILE, re.MULTILINE)) == targets
        contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
        assert set(re.findall(r"^\| `make (\S+)`", contributing, re.MULTILINE)) == targets

    def test_every_environment_is_ignored_and_removed(self) -> None:
        environments = set(re.findall(r"(\.venv(?:-\w+)?)/", self.MAKEFILE))
        ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
        assert {f"{name}/" for name in environments} <= set(ignored)
        (removed,) = re.findall(r"^\trm -rf (\.venv .*)$", self.MAKEFILE, re.MULTILINE)
        assert environments <= set(removed.split())
