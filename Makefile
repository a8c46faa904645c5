# `make demo` and `make test` set everything up by themselves; they need Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NNUNET := $(VENV)/.nnunet

.PHONY: demo test test-slow test-drills lint clean

demo: $(READY)
	$(BIN)/study run quickstart
	$(BIN)/study report quickstart

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not drill"

test-slow: $(READY) $(NNUNET)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

test-drills: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m drill

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with make PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(NNUNET): requirements-nnunet.lock $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-nnunet.lock
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
