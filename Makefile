# Two commands on a machine with make and Python 3.11, 3.12 or 3.13:
#   make demo    simulate a cohort, walk the whole path, write reports/demo/index.html
#   make test    lint, import contract, all tests but the long ones
# Each sets up .venv by itself. Another Python stands beside it:
#   make test PYTHON=python3.12 VENV=.venv-3.12
# Tests of statistics and trainings that take long, which CI runs too:
#   make test-slow
# What `pip install .` gives, tested apart from this folder (CI: on a newer Python):
#   make test-installed PYTHON=python3.12
#   make test-newer
# The wheel and the source that a registry would get, and whether it would take them:
#   make package

# Of some names the first that runs and is Python 3.(2) or later; a shim of pyenv may be
# there and not run, so pyenv's own versions are tried after each name.
versions = $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/$(1:python%=%).*/bin/$(1))
first = $(shell for p in $(foreach p,$(1),$(p) $(call versions,$(p))); do "$$p" -c \
	'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, $(2)))' \
	2>/dev/null && echo "$$p" && break; done)

# the reference builds on 3.11 only
PYTHON ?= python3.11 python3.13 python3.12 python3 python
NAMED := $(PYTHON)
override PYTHON := $(call first,$(NAMED),11)
NEWER = $(call first,python3.13 python3.12,12)
COMMA := ,
VERSION := $(if $(PYTHON),$(shell $(PYTHON) -c \
	'import sys; print("%d.%d" % sys.version_info[:2])'))
# torch of constraints.txt is at hand as a CPU build for 3.11; elsewhere pip would load
# gigabytes: `pip install -c constraints.txt "radlatent[deep]"` does so when asked
EXTRAS := $(if $(filter 3.11,$(VERSION)),deep$(COMMA))dask,dicom,dev
VENV ?= .venv
JOBS ?= 2
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(VERSION)
INSTALLED := .venv-installed
QUIET := --quiet --disable-pip-version-check --constraint constraints.txt
# an editable install of a flat layout warns at length
PIP := PYTHONWARNINGS=ignore $(BIN)/pip install $(QUIET)
PYTEST := pytest -q -n $(JOBS) --dist worksteal
SHORT := -m "not gpu and not long"
TELL = test ! -s $(VENV)/no-reference || \
	echo "Tests against pyradiomics are skipped: $$(cat $(VENV)/no-reference)."

.PHONY: demo test test-slow test-gpu test-installed test-newer package lint format clean \
	python

demo: $(READY)
	$(BIN)/radlatent simulate build/simulated
	$(BIN)/radlatent run analyses/simulated_response/study.yml \
		--root build/simulated --out reports/demo --jobs $(JOBS)

test: $(READY) lint
	@$(TELL)
	$(BIN)/$(PYTEST) $(SHORT)

test-slow: $(READY)
	$(BIN)/$(PYTEST) -m "long and not gpu"

# where there is a GPU; one process, which has it to itself
test-gpu: $(READY)
	$(BIN)/pytest -q -m gpu

# PYTHONSAFEPATH: what is imported is the installed copy, never this folder. Long tests
# prove statistics and trainings, which do not depend on the version of Python. Without
# the extras deep and dicom: the rest works where they are not
test-installed: python
	rm -rf build/lib build/bdist.*
	$(PYTHON) -m venv --clear $(INSTALLED)
	$(INSTALLED)/bin/pip install $(QUIET) .
	cd / && PYTHONSAFEPATH=1 $(CURDIR)/$(INSTALLED)/bin/radlatent doctor
	$(INSTALLED)/bin/pip install $(QUIET) ".[dask,dev]"
	PYTHONSAFEPATH=1 $(INSTALLED)/bin/python -c 'import sys, radlatent; \
		print("Python", sys.version.split()[0], "tests", radlatent.__file__)'
	PYTHONSAFEPATH=1 $(INSTALLED)/bin/$(PYTEST) $(SHORT) tests --pyargs radlatent

test-newer:
	@newer="$(NEWER)"; if test -n "$$newer"; \
	then $(MAKE) test-installed PYTHON="$$newer"; \
	else echo "NOT TESTED on Python 3.12 or 3.13: none runs on this machine." >&2; exit 1; fi

# all of a wheel is code and its small tables: a file of 100,000 bytes is something else
package: $(READY)
	$(PIP) build twine
	rm -rf dist build/lib build/bdist.*
	$(BIN)/python -m build --outdir dist . >/dev/null
	$(BIN)/twine check --strict dist/*
	$(BIN)/python -c 'import sys, zipfile; \
		found = zipfile.ZipFile(sys.argv[1]).infolist(); \
		large = [one.filename for one in found if one.file_size >= 100000]; \
		sys.exit(f"no code or small table: {large}" if large else 0)' dist/*.whl

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(INSTALLED) build dist reports/demo *.egg-info

python:
	@test -n "$(PYTHON)" || { echo "None of '$(NAMED)' runs and is Python 3.11 or later: \
	install one, or say 'make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)'." >&2; exit 1; }

$(READY): pyproject.toml constraints.txt Makefile | python
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) pip setuptools wheel numpy
	@why=""; if test "$(VERSION)" != 3.11; then why="it builds on Python 3.11 only"; \
	elif ! { command -v cc || command -v gcc; } >/dev/null; then why="no C compiler"; \
	elif ! $(PIP) --no-build-isolation pyradiomics >$(VENV)/reference.log 2>&1; \
	then why="its build failed, see $(VENV)/reference.log"; fi; \
	echo "$$why" | grep . >$(VENV)/no-reference || true
	$(PIP) --no-build-isolation --editable ".[$(EXTRAS)]"
	@$(TELL)
	@touch $@
