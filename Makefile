# Everything runs in .venv with the versions of constraints.txt. `make` alone lists the targets.

PYTHON ?= python3
# Two processes share the tests; 0 runs them in one, which a debugger needs.
WORKERS ?= 3
ARGS ?=
# How many times longer than in `make test` the races and crashes of `make chaos` go on.
ROUNDS ?= 10
# Histories of `make simulate`.
SEEDS ?= 10000

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
NODE_TESTS := tests/sdk/node
SMPP_TESTS := tests/carriers/smpp/node
GRAPHILE := bench/graphile
# Without npm there is nothing to install, and the tests say what they miss.
NODE_STAMP := $(if $(and $(shell command -v npm),$(wildcard $(NODE_TESTS)/package.json)),$(NODE_TESTS)/node_modules/.package-lock.json)
SMPP_STAMP := $(if $(and $(shell command -v npm),$(wildcard $(SMPP_TESTS)/package.json)),$(SMPP_TESTS)/node_modules/.package-lock.json)
GRAPHILE_STAMP := $(if $(and $(shell command -v npm),$(wildcard $(GRAPHILE)/package.json)),$(GRAPHILE)/node_modules/.package-lock.json)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help chaos simulate setup demo test lint types format docs coverage bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.setup $(NODE_STAMP) $(SMPP_STAMP) ## Install everything that tests, checks and benchmarks need

demo: $(VENV)/.runtime ## Run the sandbox on this machine; ARGS="..." are passed on
	$(BIN)/heliograph demo $(ARGS)

test: lint types ## Check and test everything, as CI does; ARGS="..." are passed to pytest
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadgroup $(ARGS)

lint: setup ## Check style, format and the directions of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo

types: setup ## Check types
	$(BIN)/mypy

format: setup ## Write the format and the fixes that are safe
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: setup ## Write what the documentation takes from the code
	$(BIN)/python -m tests.docs.generate

chaos: setup ## Races and crashes in their long form; ARGS="..." are passed to pytest
	HELIOGRAPH_TEST_CHAOS=$(ROUNDS) $(BIN)/pytest --numprocesses $(WORKERS) --dist loadgroup -rP --timeout 1800 tests/chaos tests/availability $(ARGS)

simulate: setup ## Play the whole service by SEEDS seeds, each one a history of crashes and lost answers
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --processes $(WORKERS) $(ARGS)

coverage: setup ## Show which lines and branches no test reaches
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadgroup --cov=heliograph $(ARGS)

bench: setup $(GRAPHILE_STAMP) ## Measure; ARGS="..." are passed on
	$(BIN)/python -m bench $(ARGS)

clean: ## Remove what the other targets made
	rm -rf $(VENV) $(NODE_TESTS)/node_modules $(SMPP_TESTS)/node_modules $(GRAPHILE)/node_modules build dist .coverage* .hypothesis
	rm -rf .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Heliograph needs Python 3.11 or newer: install it, or name it: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'This Python cannot make environments: on Debian and Ubuntu, apt-get install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# What running it needs, and no more: a newcomer waits for this only.
$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.setup: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[test,lint,bench]'
	@touch $@ $(VENV)/.runtime

$(NODE_TESTS)/node_modules/.package-lock.json: $(wildcard $(NODE_TESTS)/package*.json)
	npm ci --prefix $(NODE_TESTS) --no-audit --no-fund
	@touch $@

$(SMPP_TESTS)/node_modules/.package-lock.json: $(wildcard $(SMPP_TESTS)/package*.json)
	npm ci --prefix $(SMPP_TESTS) --no-audit --no-fund
	@touch $@

$(GRAPHILE)/node_modules/.package-lock.json: $(wildcard $(GRAPHILE)/package*.json)
	npm ci --prefix $(GRAPHILE) --no-audit --no-fund
	@touch $@
