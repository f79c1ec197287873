# Begin with `make demo` and `make test`. Each target creates what it needs, once.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PATRONI := .venv-patroni
READY := $(VENV)/.ready

# make imports the environment. Demo and tests must never reach the cluster of an exported KUBECONFIG.
unexport KUBECONFIG
given = $(filter command,$(firstword $(origin $(1))))

.DEFAULT_GOAL := help
.PHONY: help demo test test-older soak mutate system chaos figures bench image packages kind-up kind-down e2e lint fmt docs lock clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The virtual environment is created again when the lock file changes. The package is installed in it in editable form,
# and installed again when its metadata changes.
$(VENV)/.locked: hack/requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=python3.x" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python has no venv module: install it (Debian: python3-venv)" >&2; exit 1; }
	@echo "Creating the virtual environment (under a minute) ..."
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r hack/requirements/dev.txt
	@touch $@

$(READY): $(VENV)/.locked pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) $(if $(filter postgres,$(DEMO)),$(PATRONI)/.locked) ## Run a federation of two clusters here, until Ctrl-C (CLUSTER=kubeconfig, PORT=9081, DEMO=script|auth|postgres)
	@$(BIN)/python hack/demo $(if $(call given,CLUSTER),--cluster "$(CLUSTER)") \
	  $(if $(call given,PORT),--port "$(PORT)") $(addprefix --,$(filter script auth postgres,$(DEMO)))

test: lint ## Run the linters and every test (ARGS="..." goes to pytest)
	@$(BIN)/python hack/controlplane build > /dev/null
	@$(BIN)/python hack/controlplane helm > /dev/null
	@$(BIN)/python hack/controlplane etcdutl > /dev/null
	@$(BIN)/pytest $(ARGS)

# hack/gotools/controlplane-1.36 says which release that is.
test-older: export TCF_KUBERNETES := 1.36
test-older: $(READY) ## Run the tests of CRD, Leases, HTTP and policies against an older Kubernetes, 1.36 (ARGS="..." goes to pytest)
	@$(BIN)/python hack/controlplane build > /dev/null
	@$(BIN)/python hack/controlplane helm > /dev/null
	@$(BIN)/pytest $(addprefix tests/integration/test_,crd.py lease_pins.py http_contract.py admission_policies.py) $(ARGS)

# The program that builds images: docker if its engine runs, otherwise podman or buildah, which need no engine.
BUILDER ?= $(shell docker info > /dev/null 2>&1 && echo docker || command -v podman || command -v buildah)
IMAGE ?= tcf-operator:dev
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

image: ## Build the image of operator and worker (IMAGE=name, BASE=a Debian image, BUILDER=docker|podman|buildah)
	@test -n "$(BUILDER)" || { echo "docker, podman or buildah is needed to build an image" >&2; exit 1; }
	@$(BUILDER) build $(IMAGE_ARGS) $(if $(BASE),--build-arg BASE=$(BASE)) --build-arg VERSION=$(VERSION) \
	  --build-arg REVISION="$$(git rev-parse HEAD 2> /dev/null || echo unknown)" --tag $(IMAGE) .

packages: $(READY) ## Build what a release consists of, without the image: wheel, sdist and chart, in dist/
	@rm -rf dist
	@$(BIN)/python -m hatchling build
	@$$($(BIN)/python hack/controlplane helm) package charts/tcf-operator --destination dist

# The cluster of `make kind-up`, unless you name another one.
KIND_KUBECONFIG := .kind/kubeconfig
CLUSTER_E2E := $(or $(CLUSTER),$(KIND_KUBECONFIG))
IMAGE_LOAD ?= kind load docker-image --name tcf

kind-up: ## Start a Kubernetes cluster with kind and docker, for make e2e
	@command -v kind > /dev/null || { echo "kind is needed; or use any cluster: make e2e CLUSTER=kubeconfig IMAGE_LOAD=command" >&2; exit 1; }
	@mkdir -p $(dir $(KIND_KUBECONFIG))
	@kind get clusters 2> /dev/null | grep -qx tcf || kind create cluster --config hack/kind.yaml --kubeconfig $(KIND_KUBECONFIG)

kind-down: ## Remove it again
	@kind delete cluster --name tcf
	@rm -rf $(dir $(KIND_KUBECONFIG))

e2e: $(READY) image ## Test everything on a real cluster (kind's, or CLUSTER=kubeconfig IMAGE_LOAD="command that takes the image's name")
	@test -f $(CLUSTER_E2E) || { echo "there is no kubeconfig $(CLUSTER_E2E): make kind-up, or name one with CLUSTER=" >&2; exit 1; }
	@$(BIN)/python hack/controlplane build > /dev/null
	@$(BIN)/python hack/controlplane helm > /dev/null
	@$(IMAGE_LOAD) $(IMAGE)
	@TCF_E2E_KUBECONFIG=$(abspath $(CLUSTER_E2E)) TCF_E2E_IMAGE=$(IMAGE) $(BIN)/pytest tests/e2e -n 0 --timeout=1800 $(ARGS)

system: $(READY) $(PATRONI)/.locked $(VENV)/.browser ## Switch real databases between two sites, and use the console in a browser (needs PostgreSQL, Tarantool, HAProxy, NGINX, Prometheus and Chromium; ARGS="..." goes to pytest)
	@$(BIN)/python hack/controlplane build > /dev/null
	@$(BIN)/pytest tests/system -n 0 --timeout=1800 $(ARGS)

soak: $(READY) ## Play simulated schedules (ARGS="--schedules 20000", ARGS=--mutants, ARGS="--seed 7", ARGS=--help)
	@PYTHONPATH=tests $(BIN)/python -m simulation $(ARGS)

chaos: $(READY) ## Play random faults against real processes (ARGS="--schedules 200 --lanes 2", ARGS=--help)
	@$(BIN)/python hack/controlplane build > /dev/null
	@$(BIN)/python hack/controlplane etcdutl > /dev/null
	@PYTHONPATH=tests:hack $(BIN)/python -m chaos $(ARGS)

mutate: $(READY) ## Break the code in many small ways: does a test notice? (hours; ARGS=--unit, ARGS=core/fencing.py)
	@$(BIN)/python hack/controlplane build > /dev/null
	@$(BIN)/python hack/controlplane etcdutl > /dev/null
	@PYTHONPATH=tests:hack $(BIN)/python -m mutation $(ARGS)

figures: $(READY) ## Measure failovers, outages and a slow hub (ARGS=failover for one part)
	@$(BIN)/python hack/controlplane build > /dev/null
	@PYTHONPATH=hack $(BIN)/python -m bench.measure_failover $(ARGS)

bench: ## Measure how fast it is, 35 minutes (one part: bench-probe, -probe-close, -probe-tls, -silent, -streams, -switch, -failover, -policies, -worker, -scale, -load, -flood, -site, -hub-costs)
BENCHES := $(addprefix bench-,probe probe-close probe-tls silent streams switch failover policies worker scale load flood site hub-costs)
.PHONY: $(BENCHES)
bench $(BENCHES): $(READY)
	@$(BIN)/python hack/controlplane build > /dev/null
	@PYTHONPATH=hack $(BIN)/python -m bench $(patsubst bench-%,%,$(filter bench-%,$@))

# The chart has copies, because tools that fetch charts from Git drop links.
COPIES := crds/clusterfederations.tcf.dev.yaml:charts/tcf-operator/crd.yaml \
  policies/admission-policies.yaml:charts/tcf-operator/files/admission-policies.yaml \
  examples/shop.yaml:charts/tcf-operator/files/shop.yaml

lint: $(READY) ## Check format, style, types, layers, the version, the chart's copies and the docs
	@$(foreach copy,$(COPIES),cmp --quiet $(subst :, ,$(copy)) || { echo "$(lastword $(subst :, ,$(copy))) is outdated: run 'make fmt'" >&2; exit 1; };)
	@$(BIN)/python hack/version.py check
	@$(BIN)/ruff format --check --quiet . || { echo "run 'make fmt'" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@PYTHONPATH=.:hack:tests $(BIN)/lint-imports --no-cache > $(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }
	@PYTHONPATH=hack $(BIN)/python -m docs check

fmt: $(READY) ## Format the code, correct what ruff can correct, and update the chart's copies and docs/reference
	@$(foreach copy,$(COPIES),cp $(subst :, ,$(copy));)
	@PYTHONPATH=hack $(BIN)/python -m docs write
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

# mkdocs has an environment of its own: nothing else needs it.
DOCS := .venv-docs
$(DOCS)/.locked: hack/requirements/docs.txt $(VENV)/.locked
	@rm -rf $(DOCS) && $(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r hack/requirements/docs.txt
	@touch $@

# So has Patroni: the system tests and a demo start it as a program.
$(PATRONI)/.locked: hack/requirements/patroni.txt $(VENV)/.locked
	@rm -rf $(PATRONI) && $(PYTHON) -m venv $(PATRONI)
	@$(PATRONI)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r hack/requirements/patroni.txt
	@touch $@

# What drives a browser. Only the system tests need it.
$(VENV)/.browser: hack/requirements/browser.txt $(VENV)/.locked
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r hack/requirements/browser.txt
	@touch $@

docs: $(READY) $(DOCS)/.locked ## Build the docs as a site in ./site
	@PYTHONPATH=hack $(BIN)/python -m docs stage $(DOCS)/pages
	@TCF_DOCS_PAGES=$(abspath $(DOCS)/pages) NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict
	@echo "The docs are in site/index.html"

lock: $(READY) ## Resolve the dependencies again and write the lock files
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --upgrade --output-file hack/requirements/run.txt pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --upgrade --constraints hack/requirements/run.txt --extra dev --output-file hack/requirements/dev.txt pyproject.toml
	@echo hatchling | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --no-header --constraints hack/requirements/dev.txt --output-file hack/requirements/build.txt -
	@printf '%s\n' axe-playwright-python playwright | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --constraints hack/requirements/dev.txt --upgrade \
	  --output-file hack/requirements/browser.txt -
	@echo mkdocs-material | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --no-header --upgrade --output-file hack/requirements/docs.txt -
	@printf '%s\n' 'patroni[etcd3]' psycopg2-binary | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --upgrade --output-file hack/requirements/patroni.txt -

clean: ## Remove everything that make has created in this folder (the control plane stays in its cache)
	@rm -rf $(VENV) $(DOCS) $(PATRONI) site build dist .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
