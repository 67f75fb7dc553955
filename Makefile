# What each target does is written in Python; here is what runs after what.
.DEFAULT_GOAL := help
.PHONY: help demo test unit check render images cluster cluster-down prepare test-cluster conformance bench fuzz mutations chaos site soak release rehearsal venv venv-path lock

CACHE ?= $(or $(IMDS_EMULATOR_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/imds-emulator)
VENV := $(CACHE)/venv-$(shell cat requirements.lock tests/support/tools/venv.sh | sha256sum | cut -c1-12)
PY := $(VENV)/bin/python
READY := $(VENV)/.complete
MUTATIONS := $(CACHE)/mutations/packages
MODE ?= webhook
MINUTES ?= 125
# Tests that share nothing, so that they run side by side; the others share a cluster.
APART := tests/unit tests/process/kustomize
export PYTHONPATH := src:.

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: $(READY) ## The main job on a real cluster (MODE=webhook or policy)
	$(PY) -m tests.support.demo --mode $(MODE)

test: check prepare cluster ## Every test, on a real cluster
	$(PY) -m pytest $(APART) -q -n auto
	$(PY) -m pytest tests $(addprefix --ignore=,$(APART))

unit: $(READY) ## Tests of the pure parts, in seconds
	$(PY) -m pytest tests/unit -q -n auto

check: $(READY) ## Lint, types, direction of imports, generated files
	$(PY) -m tests.support.check

render: $(READY) ## Write chart and kustomize files from the templates
	$(PY) -m emulator.build.render

prepare: $(READY) ## Build what the tests start: programs and images
	$(PY) -m tests.support.prepare
	$(PY) -m tests.experiments.conformance --short --install

images: $(READY) ## Build the images of a cluster, with docker, podman or buildah (IMAGES=cli: another)
	$(PY) -m emulator.build.images build $(IMAGES)

cluster: $(READY) ## A real Kubernetes: kind, or its components on this machine
	$(PY) -m tests.support.clusters up

cluster-down: $(READY) ## End it, and leave nothing behind
	$(PY) -m tests.support.clusters down

test-cluster: images ## Tests on the cluster of KUBECONFIG
	$(PY) -m pytest tests/cluster/e2e --kubeconfig $(KUBECONFIG)

conformance: $(READY) ## Every AWS client in every IMDS mode
	$(PY) -m tests.experiments.conformance

bench: $(READY) ## Memory, start and requests against a floor and a peer; start of pods
	$(PY) -m tests.experiments.bench

fuzz: $(READY) ## A million inputs for whatever reads one, led by coverage
	$(PY) -m tests.experiments.fuzz

mutations: $(READY) $(MUTATIONS) ## Which changes of the code no test notices (ARGS="webhook --every 40 --minutes 10")
	PYTHONPATH=src:.:$(MUTATIONS) $(PY) -m tests.experiments.mutations $(ARGS)
$(MUTATIONS): tests/experiments/mutations/requirements.txt
	$(PY) -m pip install --quiet --require-hashes --no-deps --upgrade --target $@ -r $<
	@touch $@

chaos: $(READY) ## Load, faults, fuzzing, upgrades and the rehearsal at full size
	$(PY) -m tests.support.prepare chaos
	$(PY) -m tests.support.clusters up
	$(PY) -m pytest --full $(addprefix tests/experiments/,fuzz load faults scale) tests/cluster/operators
	$(PY) -m tests.support.reliability

site: $(READY) ## Each page of the documentation in a browser, narrow and wide
	$(PY) -m tests.experiments.site

soak: $(READY) ## Two hours of a cluster at accelerated time (MINUTES=125)
	$(PY) -m tests.support.prepare soak
	IMDS_EMULATOR_SOAK_MINUTES=$(MINUTES) $(PY) -m pytest --full --capture=no tests/experiments/soak
	$(PY) -m tests.support.reliability

release: $(READY) ## Build and publish (REGISTRY=host/path; PLAN=1: say what is left; KEY=file: not keyless)
	PATH="$$($(PY) -m tests.support.tools path crane cosign):$$PATH" \
	$(PY) -m emulator.build.release $(REGISTRY) $(if $(PLAN),--plan) $(if $(KEY),--key $(KEY)) $(if $(REHEARSAL),--rehearsal)

rehearsal: $(READY) ## The same to a registry on this machine; then install, verify and upgrade from it
	$(PY) -m pytest --full tests/cluster/operators/test_rehearsal.py

venv: $(READY) ## The development environment, in the cache
$(READY):
	@sh tests/support/tools/venv.sh $(VENV) requirements.lock

venv-path:
	@echo $(VENV)

lock: $(READY) ## Pin the development environment anew
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group dev -o requirements.lock
