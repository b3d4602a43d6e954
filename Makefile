# make demo: search bit-widths for a network that takes noise out of photographs, on this machine
# make test: lint, types, import contracts, passages written twice, and tests
# make test-all: everything: the slow tests, the emulated board, and make test
# make test-slow: every slow test: runs killed twenty times, boards that come and go, whole networks
#     compiled, learning, methods compared on Fashion-MNIST; about an hour
# make test-ci: the quickest of them, by tests/seconds.json; make seconds measures that file anew
# make test-board: Arm kernels and the main job on an emulated aarch64 board over TVM RPC; the board
#     is made first (needs Debian's apt)
# make docs: the pages of docs/ as a site, in site/, without a warning; and the examples of docstrings
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed.stamp
DOCS_INSTALLED := $(VENV)/docs.stamp
# Seconds of the busy machine that seconds.json was measured on: two thirds of them when it is quiet,
# twice as many on a slow one.
CI_SECONDS := 1300
# Material for MkDocs ends on 2027-05-05 and says so in every build; Zensical is to read mkdocs.yml too.
MATERIAL_NOTICE_READ := 1
PACKAGES := bitalloc quant hardware env agents experiments

.PHONY: demo test test-all test-slow test-ci seconds test-board check format docs clean install

demo: $(INSTALLED)
	$(BIN)/python -m experiments.run --config experiments/configs/denoising.yaml

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-all: test-slow test-board test

test-slow: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -p tests.seconds -m slow

test-ci: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -p tests.seconds -m slow --within-s $(CI_SECONDS)

seconds: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -p tests.seconds -m slow --measure

test-board: $(INSTALLED)
	$(BIN)/python -m tests.emulated_board.make
	OMP_NUM_THREADS=1 BITALLOC_BOARD_REQUIRED=1 $(BIN)/python -m pytest -n 2 -m board \
		tests/emulated_board

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pylint $(PACKAGES) tools

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS_INSTALLED)
	NO_MKDOCS_2_WARNING=$(MATERIAL_NOTICE_READ) $(BIN)/mkdocs build --strict
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/hardware/test_examples_in_docstrings.py

install: $(INSTALLED)

# The stamp is written last: an interrupted installation is done again.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: Python 3.11 or newer is needed; try: make PYTHON=python3.12" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt \
		--editable ".[dev]"
	touch $@

$(DOCS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt \
		--editable ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) build dist site ./*.egg-info .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis .import_linter_cache
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +
