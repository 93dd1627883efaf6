# Every target sets up what it needs. This is done once, so that later runs start immediately.
#   make demo        a worked example in the terminal
#   make test        the tests, without the slow ones
#   make lint        style, types and the rules for imports between modules
#   make test-slow   only the slow tests
#   make fuzz        10,000 random cases for the public functions; CASES=2000 make fuzz for fewer
#   make calibration simulation-based calibration of NUTS: hundreds of fits
#   make docs        the documentation, in docs/_build/html
#   make case-studies  the notebooks of case_studies/, executed in place
#   make test-jax    the tests that need JAX, in an environment of their own
#   make test-lowest the tests with the lowest versions that pyproject.toml allows, in an environment of their own
#   make wheel       the wheel and the source archive, in dist/
#   make wheel-check the same, and fits in an empty environment from it and from a wheel with compiled functions
#   make clean       remove the environments and all caches
# tools/find-python.sh finds the Python to use. To use another one: `make test PYTHON=/path/to/python`.

SHELL := /bin/sh
# Distributed by file, so that tests that share a sampled fit run in the same process; conftest.py orders the files.
PYTEST := -m pytest -n 2 --dist loadfile --no-loadscope-reorder
# One process runs on each core: with more threads, they would only wait for each other. Byte code is kept for the other
# processes, those that tests start among them.
TESTS := test test-slow test-jax test-lowest calibration
$(TESTS): export OMP_NUM_THREADS = 1
$(TESTS): export OPENBLAS_NUM_THREADS = 1
$(TESTS): export PYTHONDONTWRITEBYTECODE =
USABLE := import sys, pip; sys.exit(not (3, 12) <= sys.version_info[:2] <= (3, 14))
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
PIP := $(PIP_INSTALL) -c constraints.txt

# "yes" if the environment $(1) was made for this folder and its Python still runs.
sound = $(shell [ "$$(cat $(1)/.created 2>/dev/null)" = "$$(pwd -P)" ] && \
	$(1)/bin/python -c '$(USABLE)' >/dev/null 2>&1 && echo yes)

# Make the environment $(1), unless a usable one is already there; $(2) lists the versions of Python to choose from.
define create
@if [ -e $(1)/.created ] || ! $(1)/bin/python -c '$(USABLE)' >/dev/null 2>&1; then \
	if [ -e $(1) ] && [ ! -e $(1)/.created ]; then \
		echo "$(1) was not made here and has no pip or no fitting Python: move it away, or remove it with 'make clean'." >&2; \
		exit 1; \
	fi; \
	python=$$(sh tools/find-python.sh $(2)) || exit 1; \
	echo "Making $(1) with $$python"; \
	rm -rf $(1) && "$$python" -m venv $(1) || exit 1; \
fi; rm -f $(1)/.installed $(1)/.installed-dev $(1)/.installed-docs; pwd -P > $(1)/.created
endef

.PHONY: help demo test test-slow fuzz calibration docs case-studies test-jax test-lowest lint wheel wheel-check clean FORCE

help:
	@sed -n 's/^#   //p' Makefile

demo: .venv/.installed
	@.venv/bin/hierlogit demo

test: .venv/.installed-dev
	.venv/bin/python $(PYTEST)

test-slow: .venv/.installed-dev
	.venv/bin/python $(PYTEST) -m slow

fuzz: .venv/.installed-dev
	.venv/bin/python tools/fuzz.py

calibration: .venv/.installed-dev
	.venv/bin/python -m pytest -n 2 -m calibration tests/calibration
	.venv/bin/python -m tests.calibration.report

docs: .venv/.installed-docs
	.venv/bin/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

# Avoids a warning of Jupyter about the paths of its configuration files.
case-studies: export JUPYTER_PLATFORM_DIRS = 1
case-studies: .venv/.installed-dev
	.venv/bin/python tools/case_studies.py

test-jax: .venv-jax/.installed-dev
	.venv-jax/bin/python $(PYTEST) -m jax

# Old releases call newer ones in ways that are deprecated by now, which is not a fault of this package.
test-lowest: .venv-lowest/.installed-dev
	.venv-lowest/bin/python $(PYTEST) -W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning

lint: .venv/.installed-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

# The wheel is built from the source archive, which tests that both are complete.
wheel: .venv/.installed-dev
	rm -rf dist
	.venv/bin/python -m build
	.venv/bin/python -m twine check --strict dist/*

# Run in a folder outside the checkout, where Python finds only what is installed. Then the same with the wheel for this
# platform, which holds compiled functions, in build/wheel; those for all platforms are made when a version is released.
wheel-check: wheel
	rm -rf .venv-wheel build/wheel
	.venv/bin/python -m venv .venv-wheel
	.venv-wheel/bin/python $(PIP) dist/*.whl
	cd "$$(mktemp -d)" && "$(CURDIR)/.venv-wheel/bin/python" "$(CURDIR)/tools/wheel_check.py"
	.venv-wheel/bin/python tools/platform_wheel.py dist/*.whl build/wheel
	.venv-wheel/bin/python $(PIP_INSTALL) --no-deps --force-reinstall build/wheel/*.whl
	cd "$$(mktemp -d)" && "$(CURDIR)/.venv-wheel/bin/python" "$(CURDIR)/tools/wheel_check.py"

clean:
	rm -rf .venv .venv-jax .venv-lowest .venv-wheel build dist docs/_build docs/reference/generated docs/case_studies/*.ipynb .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find hierlogit tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.created: $(if $(call sound,.venv),,FORCE)
	$(call create,.venv)

.venv-jax/.created: $(if $(call sound,.venv-jax),,FORCE)
	$(call create,.venv-jax)

# The lowest versions have no wheels for later Pythons.
.venv-lowest/.created: $(if $(call sound,.venv-lowest),,FORCE)
	$(call create,.venv-lowest,3.12)

.venv/.installed: .venv/.created pyproject.toml constraints.txt
	@echo "Installing hierlogit into .venv (a few minutes the first time)"
	@.venv/bin/python $(PIP) -e .
	@touch $@

.venv/.installed-dev: .venv/.created pyproject.toml constraints.txt
	@echo "Installing hierlogit and what its tests need into .venv (a few minutes the first time)"
	@.venv/bin/python $(PIP) -e '.[dev]'
	@touch .venv/.installed $@

.venv/.installed-docs: .venv/.created pyproject.toml constraints.txt
	@echo "Installing hierlogit and what its documentation needs into .venv (a few minutes the first time)"
	@.venv/bin/python $(PIP) -e '.[docs]'
	@touch .venv/.installed $@

.venv-jax/.installed-dev: .venv-jax/.created pyproject.toml constraints.txt
	@echo "Installing hierlogit, JAX and what the tests need into .venv-jax (a few minutes the first time)"
	@.venv-jax/bin/python $(PIP) -e '.[dev,jax]'
	@touch $@

.venv-lowest/.installed-dev: .venv-lowest/.created pyproject.toml tools/lowest_bounds.py
	@echo "Installing hierlogit and what its tests need, at their lowest versions, into .venv-lowest (a few minutes the first time)"
	@.venv-lowest/bin/python tools/lowest_bounds.py > .venv-lowest/lowest.txt
	@.venv-lowest/bin/python $(PIP_INSTALL) -c .venv-lowest/lowest.txt -e '.[dev]'
	@touch $@
