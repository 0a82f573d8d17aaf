# Every target makes what it needs first. `make` alone prints what there is.

.DEFAULT_GOAL := help
.PHONY: help up up-lite test lint format types check-types tests test-twin test-stories test-drills \
	test-console drill bench bench-large bench-journal bench-validation openapi synth assembly \
	lint-infra validation-asset locks runtime infra twin dev lint-tools console \
	clean-state clean

BIN := .venv/bin
# Tests share the machine with the database they test; two workers suit two cores.
WORKERS ?= 2
# What starts a whole twin: these run one after another, with nothing beside them.
TWIN_TESTS := tests/twin/test_twin.py tests/twin/test_supervision.py \
	tests/recovery/test_on_the_twin.py
# Longer ones that `make test` leaves out until they have passed often enough to be relied on.
TWIN_STORIES := tests/twin/test_story.py tests/recovery/test_return_on_the_twin.py
# Arguments for the program that a target runs: make up ARGS="--speed 10"
ARGS ?=
# The environment whose templates `make up` runs and `make synth` writes: dev or prod.
ENV ?= dev

# The validation function's code; with Amazon's authorities for RDS, where somebody has put them.
ASSET := build/validation/lambda.zip
AUTHORITIES := $(wildcard build/rds-ca.pem)
BUILD_ASSET = $(BIN)/python -m scripts.validation_asset $(AUTHORITIES:%=--authorities %)

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

up: twin ## Run two regions here, as the templates say; Ctrl-C stops, the data stays (ENV=prod: full size)
	@$(BIN)/python -m scripts.assembly $(ENV)
	@exec $(BIN)/evertill twin up build/assemblies/$(ENV) $(ARGS)

up-lite: runtime ## Run PostgreSQL and the payment service alone: one region, on any system
	@exec $(BIN)/evertill up $(ARGS)

test: lint types tests test-twin test-drills ## Run everything that CI runs: linters, types and all tests

lint: dev ## Check style and formatting
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

format: dev ## Repair formatting and what the linter can repair by itself
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

types: dev ## Check the types, strictly
	@$(BIN)/mypy

tests: dev ## Run the tests alone; some of them: make tests ARGS="tests/quickstart -k port"
	@$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

test-twin: dev ## Run whole twins, nothing beside them: payments, faults, recovery, every way to end
	@EVERTILL_TEST_TWIN=1 $(BIN)/python -m pytest $(TWIN_TESTS)

test-stories: dev ## Run the long stories of whole twins: zones, writers and regions lost under load
	@EVERTILL_TEST_TWIN=1 $(BIN)/python -m pytest $(TWIN_STORIES)

drill: twin ## Run every drill at speed 1, each on a twin of its own; or some: make drill ARGS="zone-lost"
	@[ -e cdk.out ] || $(MAKE) synth
	@failed=; for name in $(or $(ARGS),$(notdir $(basename $(wildcard drills/*.toml)))); do \
		$(BIN)/evertill drill run $$name --folder .evertill/drills/$$name \
			|| failed="$$failed $$name"; done; \
	$(BIN)/evertill drill table .evertill/drills; \
	if [ -n "$$failed" ]; then echo "Failed:$$failed"; exit 1; fi

test-drills: dev ## Run three drills fast: a task killed, the writer killed, a planned switchover
	@EVERTILL_TEST_DRILLS=1 $(BIN)/python -m pytest tests/drill/test_smoke.py

test-console: console ## Drive the console in headless Chromium; screenshots go to build/console
	@EVERTILL_TEST_CONSOLE=1 $(BIN)/python -m pytest tests/twin/console/test_browser.py

bench: runtime ## Measure the service beside pgbench on this machine and print the ratios
	@$(BIN)/python -m benchmarks $(ARGS)

bench-large: runtime ## Measure it again at 1 million and at 10 million existing payments
	@$(BIN)/python -m benchmarks --large $(ARGS)

bench-journal: dev ## Measure what the transaction log, webhooks and the function cost
	@$(BIN)/python -m benchmarks.journal $(ARGS)

openapi: runtime ## Write the OpenAPI document anew from the typed models
	@$(BIN)/evertill openapi --write

synth: infra $(ASSET) ## Write the CloudFormation templates to cdk.out; for production: make synth ENV=prod
	@$(BIN)/python -m evertill.infrastructure $(ENV) $(ARGS)

assembly: infra ## Write the templates that `make up` runs without the CDK (deploy/assemblies/dev) anew
	@$(BIN)/python -m scripts.assembly --renew

lint-infra: dev lint-tools $(ASSET) ## Run cfn-lint, cdk-nag, checkov and the IAM checks; print a table of counts
	@$(BIN)/python -m evertill.audit $(ARGS)

validation-asset: infra ## Build the validation function's asset for AWS Lambda (arm64) into build/
	@$(BUILD_ASSET) $(ARGS)

# Before `make synth`, which fetches nothing by itself, whenever what is in it has changed.
$(ASSET): requirements/validation.txt scripts/validation_asset.py $(AUTHORITIES) \
		$(wildcard src/evertill/validation/*.* src/evertill/domain/*.*) | infra
	@$(BUILD_ASSET)

bench-validation: dev ## Measure cold and warm starts of the validation function, and its size
	@$(BIN)/python -m benchmarks.validation $(ARGS)

locks: ## Resolve the requirements anew into the hashed locks (needs uv)
	@cd requirements && for name in runtime infra twin dev lint console; do \
		uv pip compile --quiet --universal --python-version 3.11 --upgrade \
			--generate-hashes --only-binary :all: --no-emit-index-url --no-emit-find-links \
			--no-header --no-annotate $$name.in -o $$name.txt || exit 1; \
		if [ $$name = runtime ]; then uv pip compile --quiet --upgrade \
			--python-platform aarch64-manylinux2014 --python-version 3.13 \
			--generate-hashes --only-binary :all: --no-emit-index-url --no-emit-find-links \
			--no-header --no-annotate validation.in -o validation.txt || exit 1; fi; done

clean-state: ## Delete the local database and everything else under .evertill (asks first)
	@if [ -n "$$(find .evertill -name postmaster.pid 2>/dev/null)" ]; then \
		echo 'Stop `make up` first; if it was killed, start it once more and stop it.'; \
		exit 1; fi
	@if [ "$(YES)" != 1 ]; then \
		printf 'This deletes every payment in .evertill. Type yes to go on: '; \
		read answer; [ "$$answer" = yes ] || { echo 'Nothing was deleted.'; exit 1; }; fi; \
		rm -rf .evertill

clean: ## Delete the environment and the caches; the payments stay
	@rm -rf .venv .venv-lint .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

runtime:
	@sh scripts/bootstrap runtime

infra:
	@sh scripts/bootstrap infra

twin:
	@sh scripts/bootstrap twin

dev:
	@sh scripts/bootstrap dev

console:
	@sh scripts/bootstrap console

lint-tools:
	@sh scripts/bootstrap lint
