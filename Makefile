# Every target sets up what it needs and is quick when nothing has changed.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

NATIVE_SOURCES := setup.py pyproject.toml $(wildcard sigil_native/*.pyx sigil_native/*.pxd sigil_native/csrc/*)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1'

# One stamp for each dependency group of pyproject.toml.
$(VENV)/.group-%: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --constraint constraints.txt --group build --group $*
	@touch $@

$(VENV)/.native: $(NATIVE_SOURCES) $(VENV)/.group-build
	$(BIN)/python setup.py --quiet build_ext --inplace --parallel 2
	$(PIP) install --no-build-isolation --no-deps --editable . --config-settings editable_mode=compat
	@touch $@

.PHONY: build
build: $(VENV)/.native ## Compile the native modules in place
