# Every target sets up what it needs by itself; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup run test lint types docs wheel bench evidence clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## make .venv with the pinned versions (about 2 GB)

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: $(PYTHON) is older than Python 3.11; use make PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: $(READY)  ## train DSN on a bundled dataset, under two minutes
	$(BIN)/python run.py dataset=ItalyPowerDemand trainer.max_epochs=100 threads=1

test: $(READY)  ## run the tests
	$(BIN)/python -m pytest

lint: $(READY)  ## check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)  ## check types, strictly
	$(BIN)/mypy

docs: $(READY)  ## build the documentation site into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

wheel: $(READY)  ## build a wheel with kernels into dist/
	$(BIN)/python -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir dist .

bench: $(READY)  ## time packed, dense and masked networks, and a run's own overhead (10 minutes)
	$(BIN)/python tests/bench/network.py
	$(BIN)/python -m tests.bench.plan
	$(BIN)/python tests/bench/training_step.py
	$(BIN)/python -m tests.bench.baselines

evidence: $(READY)  ## go on with the full-protocol runs behind the tables (hours; resumable)
	$(BIN)/python run.py -m +sweep=evidence hydra/launcher=joblib threads=1
	$(BIN)/python -m dsn_lab.evidence add results
	$(BIN)/python -m dsn_lab.evidence tables

clean:  ## remove .venv and caches; results stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
