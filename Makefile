# Every target sets up what it needs and is quick when nothing has changed.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := setup.py pyproject.toml MANIFEST.in $(wildcard sigil_native/*.pyx sigil_native/*.pxd sigil_native/csrc/*)
JOBS := $(shell nproc 2>/dev/null || echo 1)
# Many tests wait for a process or a deadline: one more of them than there are processors.
TESTERS := $(shell expr $(JOBS) + 1)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# -- set-up -------------------------------------------------------------------

# Debian packages for what is missing, each named by a test that fails without it: TEST=PACKAGE.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
APT := $(SUDO) apt-get
define need
	@packages=; for pair in $(1); do \
	  command -v "$${pair%%=*}" >/dev/null || packages+=" $$(echo "$${pair#*=}" | tr + ' ')"; \
	done; \
	if [ -n "$$packages" ]; then \
	  $(APT) update -qq; \
	  DEBIAN_FRONTEND=noninteractive $(APT) install -qq -y --no-install-recommends $$packages >/dev/null; \
	fi
endef

# The same for a package of headers: FILE, PACKAGE.
define need_file
	@[ -e $(1) ] || { \
	  $(APT) update -qq; \
	  DEBIAN_FRONTEND=noninteractive $(APT) install -qq -y --no-install-recommends $(2) >/dev/null; \
	}
endef

# Debian keeps what a virtual environment and a compiled module need apart from Python itself.
PYTHON_PROBE := import ensurepip, os, sys, sysconfig; \
  sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))
define need_python
	@$(PYTHON) -c '$(PYTHON_PROBE)' 2>/dev/null || { \
	  $(APT) update -qq; \
	  DEBIAN_FRONTEND=noninteractive $(APT) install -qq -y --no-install-recommends \
	    $(notdir $(PYTHON))-venv $(notdir $(PYTHON))-dev >/dev/null; \
	}
endef

# Debian's PostgreSQL makes a cluster of its own on installation and starts it, unless it is told otherwise first.
CLUSTERS := /etc/postgresql-common/createcluster.conf
define need_postgresql
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || { \
	  $(APT) update -qq; \
	  DEBIAN_FRONTEND=noninteractive $(APT) install -qq -y --no-install-recommends postgresql-common >/dev/null; \
	  $(SUDO) sed -i.sigil 's/^#*create_main_cluster.*/create_main_cluster = false/' $(CLUSTERS); \
	  DEBIAN_FRONTEND=noninteractive $(APT) install -qq -y --no-install-recommends postgresql >/dev/null; \
	  $(SUDO) mv $(CLUSTERS).sigil $(CLUSTERS); \
	}
endef

# Debian starts its Prometheus on installation, and at every start of the machine, unless it is told otherwise.
POLICY := /usr/sbin/policy-rc.d
define need_prometheus
	@command -v prometheus >/dev/null && command -v promtool >/dev/null || { \
	  $(APT) update -qq; \
	  if [ ! -e $(POLICY) ]; then \
	    trap '$(SUDO) rm -f $(POLICY)' EXIT; \
	    printf '#!/bin/sh\nexit 101\n' | $(SUDO) install -m 755 /dev/stdin $(POLICY); \
	  fi; \
	  DEBIAN_FRONTEND=noninteractive $(APT) install -qq -y --no-install-recommends prometheus >/dev/null; \
	  if command -v systemctl >/dev/null; then $(SUDO) systemctl --quiet disable prometheus >/dev/null 2>&1 || true; fi; \
	}
endef

$(BIN)/python:
	$(need_python)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1'

# One stamp for each dependency group of pyproject.toml.
$(VENV)/.group-%: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --constraint constraints.txt --group build --group $*
	@touch $@

$(VENV)/.native: $(SOURCES) $(VENV)/.group-build
	$(call need,g++=g++)
	$(BIN)/python setup.py --quiet build_ext --inplace --parallel $(JOBS)
	# The compiled modules are in place; this adds the command and the metadata.
	PYTHONWARNINGS=ignore SIGIL_BUILD_PURE=1 $(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

.PHONY: build
build: $(VENV)/.native ## Compile the native modules in place

# -- use ----------------------------------------------------------------------

.PHONY: serve
serve: $(VENV)/.native $(VENV)/.group-service ## Start the service on loopback, for development
	$(BIN)/python -m app serve --development

.PHONY: dnastore
dnastore: $(VENV)/.native $(VENV)/.group-service ## Start a DNAStore on loopback, with certificates made on the spot
	$(BIN)/python -m app dnastore --development

.PHONY: deploy-secrets
deploy-secrets: $(VENV)/.native $(VENV)/.group-service ## Make secrets for a first try of deploy/compose.yaml, and a token
	@$(BIN)/python -m deploy.first_try

.PHONY: bench
bench: $(VENV)/.native $(VENV)/.group-bench ## Time every row of the goals beside its peer (BENCH=--quick)
	$(call need,wrk=wrk taskset=util-linux redis-server=redis-server)
	$(BIN)/python -m benchmarks --json reports/bench.json $(BENCH)

.PHONY: bench-levels
bench-levels: $(VENV)/.native $(VENV)/.group-bench ## Time the library at every level that this machine can be forced to
	$(BIN)/python -m benchmarks.levels $(BENCH)

.PHONY: bench-page
bench-page: $(VENV)/.native $(VENV)/.group-bench ## Put the last make bench and make bench-levels into docs/benchmarks.md
	$(BIN)/python -m benchmarks.page reports/bench.json

.PHONY: bench-buckets
bench-buckets: $(VENV)/.native $(VENV)/.group-bench ## Draw what token buckets cost, from one key to ten million
	$(BIN)/python -m benchmarks.buckets $(BENCH)

.PHONY: bench-redis
bench-redis: $(VENV)/.native $(VENV)/.group-bench ## Time limits kept in Redis beside bare calls of the function
	$(call need,redis-server=redis-server)
	$(BIN)/python -m benchmarks.redis_limiter $(BENCH)

.PHONY: bench-history
bench-history: $(VENV)/.native $(VENV)/.group-bench ## Time encodes with and without histories, and their check
	$(BIN)/python -m benchmarks.history $(BENCH)

.PHONY: bench-dnastore
bench-dnastore: $(VENV)/.native $(VENV)/.group-bench ## Time records through a DNAStore beside the same store used directly
	$(BIN)/python -m benchmarks.dnastore $(BENCH)

.PHONY: bench-outage
bench-outage: $(VENV)/.native $(VENV)/.group-bench ## Draw what callers see while a DNAStore is frozen, gone and back
	$(BIN)/python -m benchmarks.outage $(BENCH)

.PHONY: bench-metrics
bench-metrics: $(VENV)/.native $(VENV)/.group-bench ## Time what counting costs a request
	$(BIN)/python -m benchmarks.metrics $(BENCH)

.PHONY: bench-stores
bench-stores: $(VENV)/.native $(VENV)/.group-bench ## Draw what the store costs, from ten thousand records to ten million
	$(BIN)/python -m benchmarks.stores $(BENCH)

.PHONY: bench-service
bench-service: $(VENV)/.native $(VENV)/.group-bench ## Load the service, and an empty Starlette beside it
	$(call need,wrk=wrk taskset=util-linux)
	$(BIN)/python -m benchmarks.service --json reports/bench-service.json $(BENCH)

.PHONY: profile
profile: $(VENV)/.native $(VENV)/.group-bench ## Count instructions of each operation, and compare with the baseline (PROFILE)
	$(call need,valgrind=valgrind g++=g++)
	$(BIN)/python -m benchmarks.profiling $(PROFILE)

.PHONY: profile-baseline
profile-baseline: $(VENV)/.native $(VENV)/.group-bench ## Count anew what make profile compares with, and show it in docs/benchmarks.md
	$(call need,valgrind=valgrind g++=g++)
	$(BIN)/python -m benchmarks.profiling --write-baseline
	$(BIN)/python -m benchmarks.profiling.page

# BASE=REVISION is what the working tree is compared with.
.PHONY: bench-compare
bench-compare: $(VENV)/.native $(VENV)/.group-bench ## Fail where the working tree is slower than BASE, beyond noise
	$(call need,wrk=wrk taskset=util-linux git=git)
	$(BIN)/python -m benchmarks.comparing "$${BASE:?say BASE=REVISION}" $(BENCH)


# Calls a second (RATE) come from all callers (USERS) together. The shell takes them from the environment, as they are.
soak: export DURATION ?= 4h
soak: export USERS ?= 50
soak: export RATE ?= 50
.PHONY: soak
soak: $(VENV)/.native $(VENV)/.group-soak ## Load everything for hours with faults on purpose, and judge (DURATION, USERS, RATE)
	$(call need,redis-server=redis-server)
	$(need_prometheus)
	$(BIN)/python -m soak run --duration "$$DURATION" --users "$$USERS" --rate "$$RATE" $(SOAK)

.PHONY: soak-quick
soak-quick: $(VENV)/.native $(VENV)/.group-soak ## The same in two minutes
	$(call need,redis-server=redis-server)
	$(need_prometheus)
	# More of what is called seldom than in a long run: every operation must be called often enough to be judged.
	$(BIN)/python -m soak run --duration 90s --users 40 --rate 60 \
		--scenarios encode=6,verify=5,mixed=17,batch=4,errors=6,greedy=2 $(SOAK)

.PHONY: docs
docs: $(VENV)/.group-docs ## Build the documentation into site/
	# The hooks describe the service; for that they need nothing compiled.
	SIGIL_NATIVE_PURE=1 NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# -- checks -------------------------------------------------------------------

.PHONY: test
test: $(VENV)/.native $(VENV)/.group-test ## Run the test suite (RUN_HEAVY_TESTS=1 for the heavy cases too)
	$(call need,node=nodejs curl=curl openssl=openssl chromium=chromium redis-server=redis-server valgrind=valgrind)
	$(need_postgresql)
	$(need_prometheus)
	# Bytecode is kept whatever the environment says: the tests start the service some hundred times.
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --processes $(TESTERS) $(PYTEST)

# The suite again, on modules built for tracing, in a copy of the tree. Fails under COVERAGE percent.
COVERAGE ?= 90
.PHONY: coverage
coverage: $(VENV)/.native $(VENV)/.group-test ## Run the test suite and fail where it reaches too little (COVERAGE percent)
	$(call need,node=nodejs curl=curl openssl=openssl chromium=chromium redis-server=redis-server)
	$(need_postgresql)
	tests/isolated/coverage.sh $(abspath $(BIN)/python) build/traced $(COVERAGE) $(TESTERS) $(PYTEST)

WORKFLOWS := .github/workflows

STUBBED := $(addprefix sigil_native.,$(basename $(notdir $(wildcard sigil_native/*.pyi))))

.PHONY: lint
lint: $(VENV)/.native $(VENV)/.group-lint lint-rules lint-deploy ## Style, types, stubs, C++ warnings, rules, deployment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH=$(abspath $(BIN)):$$PATH cython-lint --max-line-length 120 sigil_native
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --ignore-missing-stub --allowlist tests/typing/stubtest-allowlist.txt $(STUBBED)
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(wildcard $(WORKFLOWS)/*.yml)
	$(BIN)/zizmor --quiet --offline $(WORKFLOWS)
	for source in sigil_native/csrc/*.cpp; do \
	  g++ -std=c++17 -O1 -Wall -Wextra -Wconversion -Werror -fsyntax-only $$source; \
	done

.PHONY: lint-rules
lint-rules: ## Check Prometheus's rules, and run their tests
	$(need_prometheus)
	promtool check config monitoring/prometheus/prometheus.yml >/dev/null
	promtool test rules monitoring/prometheus/tests/*.yml >/dev/null

.PHONY: lint-deploy
lint-deploy: $(VENV)/.group-lint ## Check container, Compose and Kubernetes files
	$(need_prometheus)
	$(BIN)/hadolint deploy/Containerfile
	# The rules come beside it in the container; they have a check of their own.
	promtool check config --syntax-only deploy/prometheus/prometheus.yml >/dev/null
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	$(BIN)/kubernetes-validate --quiet --strict $(filter-out %/kustomization.yaml,$(wildcard deploy/kubernetes/*.yaml))

.PHONY: container-check
container-check: $(BIN)/python ## Build the container image without a registry, and use it (as root)
	$(call need,buildah=buildah debootstrap=debootstrap setpriv=util-linux)
	tests/isolated/container.sh $(abspath $(BIN)/python)

.PHONY: package
package: $(VENV)/.group-test ## Build the sdist, a wheel from it, and use the wheel elsewhere
	tests/isolated/package.sh $(abspath $(BIN)/python)

# The suite again, on modules built with AddressSanitizer and UBSan, in a copy of the tree.
SANITIZED := build/sanitized

.PHONY: sanitize
sanitize: $(VENV)/.native $(VENV)/.group-test ## Run the tests of native code under ASan and UBSan
	$(call need,node=nodejs curl=curl openssl=openssl)
	tests/isolated/sanitize.sh $(abspath $(BIN)/python) $(SANITIZED)

.PHONY: test-levels
test-levels: $(VENV)/.native $(VENV)/.group-test ## Run vectors and parity at every level that this machine can be forced to
	$(call need,node=nodejs)
	$(BIN)/python -m tests.isolated.levels --processes $(JOBS) $(PYTEST)

ROUNDS ?= 2
.PHONY: test-emulated
test-emulated: ## Run the AVX-512 and ARM kernels by emulation, beside the portable ones (ROUNDS)
	$(call need,g++=g++ qemu-aarch64=qemu-user aarch64-linux-gnu-g++=g++-aarch64-linux-gnu)
	$(call need_file,/usr/include/simde/x86/avx512.h,libsimde-dev)
	tests/isolated/emulated.sh build/emulated $(ROUNDS)

FUZZ_SECONDS ?= 600
.PHONY: fuzz
fuzz: ## Fuzz the transcoder and the parsers of sigils and audit lines (FUZZ_SECONDS each)
	$(call need,clang++=clang+libclang-rt-14-dev)
	fuzz/run.sh $(FUZZ_SECONDS)

.PHONY: clean
clean: ## Remove everything that the other targets made
	rm -rf $(VENV) build dist site reports *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find sigil_native -name '*.so' -delete
	rm -f sigil_native/*.cpp
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
