# Sets up a virtual environment by itself; VENV and PYTHON may be given: make test PYTHON=python3.13 VENV=.venv-3.13
VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := $(VENV)/bin
# Processes that share the test suite.
JOBS ?= auto

.PHONY: help demo test test-long test-thorough test-dask test-ray lint format scenario docs quality quality-short bench bench-page bench-peers bench-scale bench-short soak crash clean

help: ## show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(BIN)/.ready: pyproject.toml
	@test -n "$(PYTHON)" || { echo "routilux needs Python 3.11 or later; none was found (try PYTHON=...)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make a virtual environment; on Debian: apt install python3-venv"; exit 1; }
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(BIN)/.ready ## run the demo on real threads and in the simulator
	@$(BIN)/python examples/concurrent_flow_demo.py

test: $(BIN)/.ready ## run the test suite
	@$(BIN)/python -m pytest -n $(JOBS) -m "not long and not thorough and not dask and not ray" $(ARGS)

test-long: $(BIN)/.ready ## the tests that take minutes: the settled semantics, crashes, bugs that must be found
	@$(BIN)/python -m pytest -n $(JOBS) -m "long and not thorough and not dask and not ray" $(ARGS)

test-thorough: $(BIN)/.ready ## the longest explorations: thousands of generated programs against brute force
	@$(BIN)/python -m pytest -n $(JOBS) -m thorough $(ARGS)

$(BIN)/.dask: $(BIN)/.ready
	@echo "installing Dask into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dask]'
	@touch $@

test-dask: $(BIN)/.dask ## flows and explorations on a Dask cluster of this machine
	@$(BIN)/python -m pytest -m dask $(ARGS)

$(BIN)/.ray: $(BIN)/.ready
	@echo "installing Ray into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[ray]'
	@touch $@

test-ray: $(BIN)/.ray ## flows and explorations on a Ray cluster of this machine
	@$(BIN)/python -m pytest -m ray $(ARGS)

lint: $(BIN)/.ready ## ruff, and mypy in its strict mode on both packages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(BIN)/.ready ## let ruff format and mend what it can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

scenario: $(BIN)/.ready ## run every scenario that ships
	@$(BIN)/routilux-sim run scenarios

$(BIN)/.docs: pyproject.toml $(BIN)/.ready
	@echo "installing what builds the documentation into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

docs: $(BIN)/.docs ## build the documentation into build/site, and fail on any warning
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict $(ARGS)

quality: $(BIN)/.ready ## how soon each strategy finds each bug of the library, as a table for the docs
	@$(BIN)/python -m tests.quality $(ARGS)

quality-short: $(BIN)/.ready ## the same for a few of them, failing if the portfolio misses one
	@$(BIN)/python -m tests.quality --short

bench: $(BIN)/.ready ## all benchmarks, with ratios
	@$(BIN)/python -m benchmarks.engine $(ARGS)
	@$(BIN)/python -m benchmarks.simulator $(ARGS)

bench-page: bench bench-scale ## the same and the next, and the documentation's page of figures from it
	@$(BIN)/python -m benchmarks.page

$(BIN)/.peers: $(BIN)/.ready
	@echo "installing the benchmark's peers into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

bench-peers: $(BIN)/.peers ## install the peers and matplotlib, run the benchmarks beside them, and plot them
	@$(BIN)/python -m benchmarks.engine $(ARGS)
	@$(BIN)/python -m benchmarks.simulator $(ARGS)

# A shared machine may well be three times as slow for a while, hence the tolerance; what has become quadratic is worse.
bench-short: $(BIN)/.dask ## the same, once over lightly, failing if the simulator is three times off, and a short soak
	@$(BIN)/python -m benchmarks.engine --short
	@$(BIN)/python -m benchmarks.simulator --short --no-peers --check --tolerance 2
	@$(BIN)/python -m benchmarks.scale --short --check --tolerance 2
	@$(BIN)/python -m benchmarks.soak --short

bench-scale: $(BIN)/.dask ## beyond one process: what it costs, what it brings, and what more than this machine would
	@$(BIN)/python -m benchmarks.scale $(ARGS)

soak: $(BIN)/.ready ## a million activations under every error strategy: none stuck, memory flat
	@$(BIN)/python -m benchmarks.soak $(ARGS)

crash: $(BIN)/.ready ## kill processes that run a job with a store, 500 times, and see what becomes of the job
	@$(BIN)/python -m tests.store.crashing 500 $(ARGS)

clean: ## remove what the other targets made
	@rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis .routilux_sim build dist
