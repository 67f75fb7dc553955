# Each target runs one command; the logic is in Python.
.DEFAULT_GOAL := help
.PHONY: help venv venv-path lock unit check

CACHE ?= $(or $(IMDS_EMULATOR_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/imds-emulator)
VENV := $(CACHE)/venv-$(shell cat requirements.lock tests/tools/venv.sh | sha256sum | cut -c1-12)
PY := $(VENV)/bin/python
READY := $(VENV)/.complete
export PYTHONPATH := src:.
export PATH := $(VENV)/bin:$(PATH)

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(READY):
	@sh tests/tools/venv.sh $(VENV) requirements.lock

venv: $(READY) ## The development environment, in the cache

venv-path:
	@echo $(VENV)

lock: $(READY) ## Pin the development environment anew
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group dev -o requirements.lock

unit: $(READY) ## Tests of the pure parts, in seconds
	$(PY) -m pytest tests/unit -q
