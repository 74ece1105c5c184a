# Everything that a person or CI runs. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Where cargo puts what it builds; the tests outside Rust are told the binary's path.
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
# One profile for unit tests and end-to-end tests, so that nothing is compiled twice.
BIN := $(TARGET)/debug/indelible
ARGS ?=
CARGO := cargo
NEXTEST_PROFILE := $(if $(CI),ci,default)

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: ## Build and start the server on 127.0.0.1:8700, data in ./data or $INDELIBLE_DATA_DIR (ARGS="--listen ..." is passed on)
	@exec $(CARGO) run --locked --release -p indelible -- serve $(ARGS)

.PHONY: demo
demo: ## As run, and fill an empty store with made-up events
	@exec $(CARGO) run --locked --release -p indelible -- serve --demo $(ARGS)

# PostgreSQL and S3 for the tests that want them; nested, the outer one's are used.
SERVERS := scripts/with-servers
# Rust tests of the whole workspace; $(1) narrows it down. One selection of packages for all runs, so that nothing is built twice.
rust_tests = if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --locked --workspace --profile $(NEXTEST_PROFILE) $(if $(1),-E '$(foreach p,$(1),package($(p)) +) none()'); \
	else \
		$(CARGO) test --locked $(if $(1),$(addprefix -p ,$(1)),--workspace) --lib --bins --tests; \
	fi

.PHONY: test
test: setup lint ## Install what the tests need, then lint and run all of them
	$(SERVERS) $(MAKE) unit e2e

.PHONY: setup
setup: ## Install the programs that the tests call, where they are missing
	@scripts/setup-test.sh

.PHONY: lint
lint: ## Formatting and clippy, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

.PHONY: unit
unit: ## Rust tests: units, conformance, architecture, compat scenarios, OpenAPI diff; what is above the stores on both
	@$(SERVERS) bash -c "$(call rust_tests,)"
	@INDELIBLE_TEST_STORE=cluster $(SERVERS) bash -c "$(call rust_tests,indelible-service indelible)"

.PHONY: e2e
e2e: ## End-to-end tests in Python against the real binary, on the embedded store and on a cluster
	$(CARGO) build --locked --workspace
	INDELIBLE_BIN="$(BIN)" $(SERVERS) python3 -m unittest discover -v -s tests/e2e -t tests/e2e
	INDELIBLE_BIN="$(BIN)" INDELIBLE_TEST_STORE=cluster $(SERVERS) python3 -m unittest discover -v -s tests/e2e -t tests/e2e

.PHONY: spark
spark: ## Count with PySpark in the archive and compare; installs 500 MB once, needs Java 17
	$(CARGO) build --locked --workspace
	INDELIBLE_BIN="$(BIN)" $(SERVERS) python3 -m unittest discover -v -s tests/spark -t tests/spark

.PHONY: openapi
openapi: ## Write docs/openapi.json anew from the server
	INDELIBLE_UPDATE=1 $(CARGO) test --locked -p indelible --test it openapi

.PHONY: bench
bench: ## Load and measure beside the floor and the peers; writes docs/benchmarks.md (ARGS="--events ...")
	$(CARGO) build --locked --release -p indelible
	INDELIBLE_BIN="$(TARGET)/release/indelible" python3 bench/run.py $(ARGS)
	INDELIBLE_BIN="$(TARGET)/release/indelible" python3 bench/api_log.py
	INDELIBLE_BIN="$(TARGET)/release/indelible" python3 bench/background.py

.PHONY: bench-cluster
bench-cluster: ## Measure 1, 2 and 3 nodes over PostgreSQL and S3; writes docs/operations/sizing.md (ARGS="--quick ...")
	$(CARGO) build --locked --release -p indelible
	INDELIBLE_BIN="$(TARGET)/release/indelible" python3 bench/cluster.py $(ARGS)
