# The project's commands. Needs make (GNU, 3.81 or later) and Python 3.11 or later; nothing else.
# The rule here: each target does all of its own set-up, and does it once.

.DEFAULT_GOAL := help
.PHONY: help run test check bench soak lock clean

# Images of Python often set it. Without it every test process compiles all tests, and each command
# that a test runs compiles the gateway.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
RUN_STAMP := .venv/.installed-requirements
DEV_STAMP := .venv/.installed-requirements-test
COMMAND := $(BIN)/gateway

# Which interpreter makes .venv; empty: the first that is new enough.
PYTHON ?=
# More options for `gateway serve`, pytest and the benchmark.
ARGS ?=
# How long `make soak` takes.
SECONDS ?= 1800
# Test processes; 0 runs the suite in one.
TEST_WORKERS ?= 2
# Each process begins with half of the suite and, once it is through, takes over of the other's.
TEST_ORDER := worksteal
# `make lock UPGRADE=--upgrade` takes the newest versions that pyproject.toml allows.
UPGRADE ?=

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

run: $(RUN_STAMP) $(COMMAND) ## start the gateway on 127.0.0.1:8080 with ./providers.yaml (ARGS="--port 9000" for more)
	@exec $(BIN)/python -m gateway serve --providers providers.yaml $(ARGS) 2>&1 # people read both

test: $(DEV_STAMP) $(COMMAND) ## run the whole test suite (ARGS="tests/unit -x" for a part of it)
	@exec $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist $(TEST_ORDER) $(ARGS)

check: $(DEV_STAMP) ## linter, formatting, types, import contracts
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

bench: $(DEV_STAMP) ## this gateway, plain nginx and a plain aiohttp relay side by side
	@exec $(BIN)/python -m bench $(ARGS)

soak: $(DEV_STAMP) ## thirty minutes under load and faults: does anything grow, is anything lost? (SECONDS=600)
	@exec $(BIN)/python -m bench.soak --seconds $(SECONDS) $(ARGS)

lock: ## write the lock files anew from pyproject.toml (needs uv)
	@sh scripts/lock $(UPGRADE)

clean: ## remove .venv, caches and build results
	rm -rf .venv build dist tests/node/node_modules
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The interpreter is a prerequisite so that an upgrade which took it away is noticed.
$(RUN_STAMP): requirements.lock $(BIN)/python
	@sh scripts/install requirements.lock $@

$(DEV_STAMP): requirements-test.lock $(BIN)/python
	@sh scripts/install requirements-test.lock $@

$(COMMAND): scripts/make-command $(BIN)/python
	@sh scripts/make-command $@

$(BIN)/python:
	@PYTHON='$(PYTHON)' sh scripts/create-venv
