# Tocsin: everything starts here. `make run` and `make test` bootstrap themselves in .venv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --no-input
CONFIG ?= config/tocsin.yaml
TESTS ?=
IS_ROOT := $(shell test "$$(id -u)" = 0 && echo yes)
# `make test` uses these real neighbours: command or file searched for, Debian package that has it.
PEERS := prometheus=prometheus prometheus-alertmanager=prometheus-alertmanager initdb=postgresql \
         systemd-analyze=systemd /usr/lib/*/faketime/libfaketimeMT.so.1=libfaketime

.PHONY: help run demo test test-full coverage oracle check bench wheel clean peers lock

help:
	@echo "make run      install into $(VENV) and serve $(CONFIG) in the foreground"
	@echo "make demo     the same with sample alerts: see pages, answer them"
	@echo "make test     every test (installs the real neighbours when root)"
	@echo "make test-full  what \`make test\` takes a sample of, whole: an hour and a half"
	@echo "make coverage the tests once more, and which share of each room they ran"
	@echo "make oracle   who is on call, compared with another algorithm a million times (COUNT=, SEED=)"
	@echo "make check    lint, layout, types, import arrows"
	@echo "make bench    the benchmarks, as a table and as JSON"
	@echo "make wheel    wheel and source archive, in dist/"
	@echo "make clean    remove what was built; your .tocsin/ state stays"

run: $(VENV)/.installed
	@exec $(BIN)/tocsin serve -c $(CONFIG)

demo: $(VENV)/.installed
	@exec $(BIN)/tocsin demo

# Kills and standstills are timed: they run alone.
test: $(VENV)/.installed-dev peers
	$(BIN)/python -m pytest -n 2 --dist loadfile $(or $(TESTS),--ignore=tests/crash)
	$(if $(TESTS),,$(BIN)/python -m pytest tests/crash)

# The whole of each suite of which `make test` takes a seeded sample: every test file that reads TOCSIN_FULL.
SAMPLED = $(sort $(shell grep -rl --include='test_*.py' TOCSIN_FULL tests | grep -v '^tests/test_'))
test-full: $(VENV)/.installed-dev peers
	TOCSIN_FULL=1 $(BIN)/python -m pytest -n 2 $(or $(TESTS),$(filter-out tests/crash/%,$(SAMPLED)))
	$(if $(TESTS),,TOCSIN_FULL=1 $(BIN)/python -m pytest $(filter tests/crash/%,$(SAMPLED)))

# Kills and standstills are left out: what they stop cannot say what it ran.
coverage: $(VENV)/.installed-dev peers
	@rm -rf .coverage; mkdir .coverage
	$(BIN)/coverage run -m pytest -n 2 --dist loadfile -q $(or $(TESTS),--ignore=tests/crash)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage json --quiet -o .coverage/report.json
	@$(BIN)/python .ci/coverage_by_room.py .coverage/report.json

check: $(VENV)/.installed-dev
	$(BIN)/ruff check daemon integrations tests benchmarks
	$(BIN)/ruff format --check --quiet daemon integrations tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

oracle: $(VENV)/.installed-dev
	$(BIN)/python -m tests.decide.oracle $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks

wheel: $(VENV)/.installed
	rm -rf dist
	$(BIN)/python -m hatchling build -d dist

clean:
	rm -rf $(VENV) dist build .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find daemon integrations tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------------------- the environment
# The stamps make a second run start at once; a changed lock or pyproject.toml installs again. Without --no-compile pip
# would compile thousands of modules that nobody imports: half of the time. What Tocsin imports is compiled once here, since
# with PYTHONDONTWRITEBYTECODE (as in many containers) each `tocsin oncall` would do it again, for a second.
COMPILED = tocsin.wiring, tocsin.cli.incidents, tocsin.cli.oncall, tocsin.cli.check, tocsin.cli.explain, tocsin.cli.send

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "tocsin: installing into $(VENV)"
	@$(PIP) install --no-compile --require-hashes -r requirements.lock
	@$(PIP) install --no-compile --no-deps --no-build-isolation --editable .
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c 'import $(COMPILED)'
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "tocsin: installing what the tests need into $(VENV)"
	@$(PIP) install --no-compile --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/bin/python:
	@command -v $(PYTHON) > /dev/null && $(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	  if [ "$(IS_ROOT)" = yes ] && command -v apt-get > /dev/null; then \
	    echo "tocsin: installing python3 and python3-venv"; \
	    apt-get update -qq; \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv > /dev/null; \
	  else \
	    echo "tocsin: $(PYTHON) with venv is missing; on Debian: apt-get install python3 python3-venv" >&2; exit 1; \
	  fi; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "tocsin: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1); try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# The real neighbours of the tests. Their Debian packages would start services: policy-rc.d says no meanwhile.
peers:
	@missing=""; \
	for peer in $(PEERS); do \
	  command -v "$${peer%%=*}" > /dev/null || ls $${peer%%=*} > /dev/null 2>&1 \
	    || ls /usr/lib/postgresql/*/bin/"$${peer%%=*}" > /dev/null 2>&1 \
	    || missing="$$missing $${peer##*=}"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$(IS_ROOT)" = yes ] && command -v apt-get > /dev/null; then \
	  echo "tocsin: installing for the tests:$$missing"; \
	  guard=/usr/sbin/policy-rc.d; \
	  if [ ! -e "$$guard" ]; then \
	    printf '#!/bin/sh\nexit 101\n' > "$$guard"; chmod 755 "$$guard"; trap 'rm -f /usr/sbin/policy-rc.d' EXIT; \
	  fi; \
	  apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing > /dev/null; \
	elif [ -n "$${TOCSIN_REQUIRE_ALL:-}" ]; then \
	  echo "tocsin: missing and required:$$missing (apt-get install$$missing)" >&2; exit 1; \
	else \
	  echo "tocsin: tests that need these are skipped; to run them: apt-get install$$missing" >&2; \
	fi

# Needs uv (https://docs.astral.sh/uv/); see CONTRIBUTING.md.
UV_LOCK = uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
          --no-header --no-annotate --no-emit-index-url
lock: $(VENV)/bin/python
	@git show HEAD:requirements-dev.lock > .requirements-before.lock 2> /dev/null || cp requirements-dev.lock .requirements-before.lock
	$(UV_LOCK) --group build -o requirements.lock
	$(UV_LOCK) --group build --group dev --all-extras -o requirements-dev.lock
	@$(BIN)/python .ci/lock_changes.py .requirements-before.lock requirements-dev.lock
	@rm -f .requirements-before.lock
