# Eddyline. `make help` explains every target.
.DEFAULT_GOAL := help
# Each target below is a command, no file.
.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*/\1/p' Makefile)

HOST ?= 127.0.0.1
PORT ?= 8000
SERVICE ?= events
WORKERS ?= 1
DATA ?= $(CURDIR)/.data

SERVICES := $(filter-out standalone,$(patsubst services/%/pyproject.toml,%,$(wildcard services/[a-z]*/pyproject.toml)))

# Each image is localhost/eddyline/NAME:TAG, a name that nobody can pull. Where the cluster's manifests
# take theirs from: k8s/components/images.
IMAGES := $(SERVICES) loadtests
TAG ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' shared/streaming/pyproject.toml)
BASE_IMAGE ?= python:3.13-slim
# The command that brings an archive of images to the cluster.
CLUSTER_LOAD ?= kind load image-archive

# uv: the one on the path, else one of our own in .tools/.
UV := $(or $(shell command -v uv 2>/dev/null),$(CURDIR)/.tools/bin/uv)
PYTHON := $(CURDIR)/.venv/bin/python
RUN := $(UV) run --no-sync

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.synced ## Install everything that the other targets need into .venv/ (uv itself included)

.venv/.synced: uv.lock pyproject.toml $(wildcard */*/pyproject.toml */pyproject.toml) | $(UV)
	@echo "eddyline: installing packages into .venv" >&2
	@$(UV) sync --quiet --locked --all-packages --inexact
	@touch $@

$(CURDIR)/.tools/bin/uv:
	@scripts/install-uv .tools

run: .venv/.synced ## Run all services on one port, with demo data: HOST=127.0.0.1 PORT=8000
	@DATA=$(DATA) HOST=$(HOST) PORT=$(PORT) exec $(PYTHON) -m eddyline_standalone

serve: .venv/.synced ## Run one service as in production: SERVICE=events PORT=8102 WORKERS=1
	@exec $(PYTHON) -m eddyline_standalone.serve $(SERVICE) --data $(DATA) --host $(HOST) --port $(PORT) --workers $(WORKERS)

up: ## Run the suite in containers, with keys of its own, and say how to use it (needs Docker alone)
	@scripts/up

down: ## Stop the containers; their volumes stay
	@docker compose --profile loadtest --profile tracing down

logs: ## Follow the logs of all containers
	@docker compose logs --follow --tail 100

test: .venv/.synced ## Run the tests that a change must pass: all but the slow ones
	@scripts/test

test-slow: .venv/.synced ## Run the tests that `make test` leaves out: faults for minutes, memory, load, new environments
	@scripts/test --slow

test-all: .venv/.synced ## Run every test, with branch coverage
	@scripts/test --all

test-redis: .venv/.synced ## Run the tests of the Redis journal on another server: REDIS_SERVER=/path/to/valkey-server
	@TEST_REDIS="$(REDIS_SERVER)" $(PYTHON) -m pytest -q -n 2 shared/streaming/tests/journal \
		shared/streaming/tests/redis

mutants: .venv/.synced ## Sabotage a copy of the product, and see that tests notice: ARGS="--all", ARGS="cursor"
	@exec $(PYTHON) scripts/mutants.py $(ARGS)

fuzz: .venv/.synced ## Send requests that nobody has thought of, by every OpenAPI document: SECONDS=3600 SEED=0
	@FUZZ_SECONDS=$(or $(SECONDS),3600) FUZZ_SEED=$(SEED) exec $(PYTHON) -m pytest -q --timeout=0 tests/fuzz

container-test: ## Run `make test` in a clean container of the images' base (needs Docker): AS=tester or root, BASE_IMAGE=
	@scripts/need-docker
	@BASE_IMAGE=$(BASE_IMAGE) scripts/container-test $(or $(AS),tester) $(ARGS)

compose-test: .venv/.synced ## Run the suite in containers and try it: under faults, scaled, and from inside (needs Docker)
	@scripts/need-docker
	@exec $(PYTHON) -m pytest -q -s --junit-xml=.pytest_cache/compose.xml tests/compose/suite.py

lint: .venv/.synced ## Check style, types, imports, sizes of functions, files and rooms, the prose, and waits
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@$(PYTHON) scripts/lint_imports.py --no-logo
	@$(PYTHON) scripts/check_shape.py
	@$(PYTHON) scripts/check_prose.py
	@$(PYTHON) scripts/check_sleeps.py
	@types=$$($(RUN) pyright --verifytypes eddyline --ignoreexternal) || { echo "$$types"; exit 1; }

new-service: .venv/.synced ## Make a service of your own from services/_template: NAME=polls
	@$(PYTHON) scripts/new_service.py "$(NAME)"
	@$(UV) lock --quiet
	@$(MAKE) --no-print-directory setup generate
	@$(RUN) ruff check --quiet --fix services/$(NAME)
	@$(RUN) ruff format --quiet services/$(NAME)

format: .venv/.synced ## Rewrite the code in the project's style
	@$(RUN) ruff check --fix .
	@$(RUN) ruff format .

generate: .venv/.synced ## Write the files that follow from the services and alerts.yml: gateways' routes, dashboards, …
	@$(PYTHON) scripts/generate.py
	@$(PYTHON) observability/make_dashboards.py
	@scripts/prometheus-rule

docs: .venv/.synced ## Build the site of the documents, with a reference made from the code; says where it is
	@$(PYTHON) docs/site/build.py

bench: .venv/.synced ## Measure against other servers; writes docs/benchmarks.md (QUICK=1 for a short look)
	@exec $(PYTHON) -m bench $(if $(QUICK),--quick) $(BENCH)

chaos: .venv/.synced ## Events and logs under faults for minutes, with a report: SECONDS=300 SEED=
	@scripts/install-test-tools
	@PATH=$$PATH:$(CURDIR)/.tools/bin $(PYTHON) tests/chaos.py $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))
	@exec $(PYTHON) tests/log_torture.py $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

token: .venv/.synced ## Make a bearer token for everything, or ARGS="--subject me --scope events:subscribe --expires 1h"
	@exec $(PYTHON) -m eddyline token $(ARGS)

# Both take: knobs and Locust's own arguments in ARGS (`--help` lists them).
LOAD := $(PYTHON) -m loadtests --host $(or $(HOST_URL),http://127.0.0.1:8000) -u $(or $(USERS),100) -r $(or $(RATE),20) \
	$(if $(PROCESSES),--processes $(PROCESSES) --master-bind-host 127.0.0.1)

load: .venv/.synced ## Locust's web UI, for a running suite: HOST_URL=http://127.0.0.1:8000 PROCESSES= ARGS=
	@exec $(LOAD) --web-host 127.0.0.1 $(ARGS)

load-headless: .venv/.synced ## Load a running suite, with a verdict: HOST_URL= USERS=100 RATE=20 TIME=30s PROCESSES= ARGS=
	@exec $(LOAD) --headless --only-summary -t $(or $(TIME),30s) $(ARGS)

load-local: .venv/.synced ## Start the suite, load it, with a verdict; figures go to .load/: STREAMS=500 SECONDS=120 PROCESSES=1
	@exec $(PYTHON) -m loadtests.local --streams $(or $(STREAMS),500) --seconds $(or $(SECONDS),120) \
		--processes $(or $(PROCESSES),1) $(ARGS)

images: ## Build all images, localhost/eddyline/NAME:TAG: TAG= BASE_IMAGE=
	@for name in $(IMAGES); do \
		docker build --quiet --build-arg SERVICE=$$name --build-arg BASE_IMAGE=$(BASE_IMAGE) \
			--tag localhost/eddyline/$$name:$(TAG) . >/dev/null || exit 1; \
		docker image inspect --format "{{index .RepoTags 0}}  {{.Size}} bytes" localhost/eddyline/$$name:$(TAG); \
	done

push: $(if $(REGISTRY),images) ## Push all images to REGISTRY=registry.example.org/team, and name them in k8s/components/images
	@scripts/push-images "$(REGISTRY)" "$(TAG)" $(IMAGES)

k8s-validate: .venv/.synced ## Build every kustomization of k8s/, and check it: schemas, kube-score, and our own rules
	@scripts/install-kubernetes-tools
	@$(PYTHON) -m pytest -q tests/test_manifests.py tests/test_manifest_schemas.py

chart: .venv/.synced ## Make a Helm chart of k8s/ in dist/chart/eddyline: REGISTRY=registry.example.org/team
	@$(PYTHON) scripts/make_chart.py "$(REGISTRY)"

k8s-up: ## Run the suite on the cluster of kubectl's context, and say how to use it: CLUSTER_LOAD= K8S=k8s
	@CLUSTER_LOAD="$(if $(filter command line environment,$(origin CLUSTER_LOAD)),$(CLUSTER_LOAD))" TAG=$(TAG) NAMES="$(IMAGES)" scripts/k8s-up $(or $(K8S),k8s)

cluster-test: .venv/.synced images ## Run the suite on the current kubectl context: CLUSTER_LOAD="kind load image-archive"
	@CLUSTER_LOAD="$(CLUSTER_LOAD)" TAG=$(TAG) SERVICES="$(SERVICES)" scripts/cluster-test $(ARGS)

clean: ## Remove everything that was made: environment, demo data, caches
	@rm -rf .venv .tools .data .docs .bench .chaos .load .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@rm -rf examples/*/.venv examples/*/node_modules examples/*/dist examples/*/db.sqlite3
