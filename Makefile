# Sets up a virtual environment by itself; VENV and PYTHON may be given: make test PYTHON=python3.13 VENV=.venv-3.13
VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := $(VENV)/bin

.PHONY: help demo test lint format scenario bench bench-short clean

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
	@$(BIN)/python -m pytest $(ARGS)

lint: $(BIN)/.ready ## ruff, and mypy in its strict mode on both packages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(BIN)/.ready ## let ruff format and mend what it can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

scenario: $(BIN)/.ready ## run the demo's scenario
	@$(BIN)/routilux-sim run scenarios/concurrent_flow_demo.toml

bench: $(BIN)/.ready ## all benchmarks, with ratios
	@$(BIN)/python benchmarks/engine.py
	@$(BIN)/python benchmarks/simulator.py

bench-short: $(BIN)/.ready ## the same, once over lightly
	@$(BIN)/python benchmarks/engine.py --short
	@$(BIN)/python benchmarks/simulator.py --short

clean: ## remove what the other targets made
	@rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis .routilux_sim build dist
