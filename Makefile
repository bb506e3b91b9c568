# One command each; everything lands in .venv, and nothing outside it is touched but caches.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
PLAN ?= scenarios/launch_day.yaml
ARGS ?=

STAMP := $(VENV)/.installed

.PHONY: help setup rehearse test test-all bench check lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with the locked dependencies and the real Toxiproxy

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "surgeproof needs Python 3.11 or newer, found: $$($(PYTHON) --version); try make PYTHON=python3.12" >&2; exit 6; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(STAMP): requirements.lock pyproject.toml packaging/toxiproxy/pyproject.toml packaging/toxiproxy/build_hook.py | $(BIN)/uv
	@echo "building toxiproxy-server (once), and installing the locked dependencies meanwhile"
	@rm -rf build/toxiproxy; \
	$(BIN)/uv build --quiet --wheel --out-dir build/toxiproxy packaging/toxiproxy & builder=$$!; \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock \
		|| { kill $$builder 2>/dev/null; exit 1; }; \
	wait $$builder
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps build/toxiproxy/*.whl
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $(STAMP)

rehearse: $(STAMP) ## set up, run scenarios/launch_day.yaml against the reference stack, say go or no-go
	@$(BIN)/surgeproof run $(PLAN) $(ARGS)

test: $(STAMP) ## the suite: unit, integration with real servers, one whole rehearsal, browser
	@$(BIN)/python -m pytest -m "not full" $(ARGS)

test-all: $(STAMP) ## static checks, every test (trouble in each phase, every exit code), benchmarks
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest $(ARGS)
	@$(MAKE) --no-print-directory bench

bench: $(STAMP) ## measure the generator against its peers in one run: rates, schedules, truth
	@$(BIN)/python -m benchmarks $(ARGS)

check: $(STAMP) ## format, lint, types, import layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lock: | $(BIN)/uv ## make requirements.lock anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
		--all-extras --group dev --python-version 3.11 pyproject.toml -o requirements.lock

clean: ## remove .venv, caches and run folders
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis reports/runs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
