# `make demo` and `make test` set everything up by themselves; they need Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NNUNET := $(VENV)/.nnunet
DOCS := $(VENV)/.docs
PEERS := .venv-peers
UV := build/uv/bin/uv
# Every file that these install must have a hash of its lock. pip demands this of dependencies, too, so none are resolved.
LOCKS := requirements.lock requirements-nnunet.lock requirements-docs.lock
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCKED := $(INSTALL) --require-hashes --no-deps -r
# Processes among which the fast tests are divided: as many as CI has cores. Slow tests and drills start whole studies,
# which use all cores themselves.
TESTERS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.PHONY: demo test test-slow test-drills test-cuda bench docs lint lock clean

demo: $(READY)
	$(BIN)/study run quickstart
	$(BIN)/study report quickstart

test: lint
	$(PYTEST) -n $(TESTERS) --dist worksteal -m "not slow and not drill"

test-slow: $(READY) $(NNUNET)
	$(PYTEST) -m slow

test-drills: $(READY)
	$(PYTEST) -m drill

# Needs a GPU, which all other tests hide.
test-cuda: $(READY)
	$(PYTEST) -m cuda

bench: $(PEERS)/.ready
	for part in augmentation nt_xent step memory checkpoint evaluation metrics loading coverage overhead search scaling report; do \
		$(PEERS)/bin/python -m benchmarks.$$part && echo "$$part: done at $$(date +%T)" || exit 1; \
	done

docs: $(DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir build/site
	@echo "open build/site/index.html"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile

# The hashes of all files that PyPI has of the versions in the locks, for every platform and Python.
lock: $(UV)
	mkdir -p build && for lock in $(LOCKS); do \
		sed -n 's/^\([A-Za-z0-9][^\\]*==[^\\]*\).*/\1/p' $$lock | $(UV) pip compile --quiet --universal --python-version 3.11.5 \
			--generate-hashes --no-deps --custom-compile-command "make lock" - >build/$$lock && mv build/$$lock $$lock || exit 1; \
	done

$(UV):
	$(PYTHON) -m venv build/uv
	build/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9

# torch comes last, so that only its own CUDA packages are missing.
$(READY): requirements.lock requirements-torch.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with make PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(LOCKED) requirements.lock
	$(INSTALL) -r requirements-torch.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

$(NNUNET): requirements-nnunet.lock $(READY)
	$(LOCKED) requirements-nnunet.lock
	touch $@

$(DOCS): requirements-docs.lock $(READY)
	$(LOCKED) requirements-docs.lock
	touch $@

# The other programs alone; what they share with the product they find in its environment.
$(PEERS)/.ready: benchmarks/requirements.txt $(READY)
	$(PYTHON) -m venv --clear $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/requirements.txt
	$(BIN)/python -c "import sysconfig; print(f'import site; site.addsitedir({sysconfig.get_path(\"purelib\")!r})')" \
		>$$($(PEERS)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/product.pth
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
