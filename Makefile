# Two commands on a fresh machine with Python 3.11, make and a C compiler:
#   make demo    simulate a cohort, walk the whole path, write reports/demo/index.html
#   make test    lint, import contract, every test
# Each sets up .venv by itself.

# pyradiomics, the engine of this version, builds up to Python 3.11 only
PYTHON ?= $(shell for p in python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)
JOBS ?= 2
BIN := .venv/bin
# an editable install of a flat layout warns at length
PIP := PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint format clean

demo: .venv/.ready
	$(BIN)/radlatent simulate build/simulated
	$(BIN)/radlatent run analyses/simulated_response/study.yml \
		--root build/simulated --out reports/demo --jobs $(JOBS)

test: .venv/.ready lint
	$(BIN)/pytest -q -n $(JOBS) --dist worksteal -m "not gpu"

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build reports/demo *.egg-info

.venv/.ready: pyproject.toml constraints.txt Makefile
	@test -n "$(PYTHON)" || { echo "No Python 3.11 found: install it, or give one as \
	'make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)'." >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(PIP) pip setuptools wheel numpy
	$(PIP) --no-build-isolation pyradiomics
	$(PIP) --no-build-isolation --editable ".[dask,dev]"
	@touch $@
