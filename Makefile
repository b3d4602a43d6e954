# make demo: search bit-widths for the digits network on this machine
# make test: lint, types, import contracts and tests
# make test-long: a run killed twenty times, one with an energy meter, boards that come and go, five
#     hundred evaluations in one process, every network of the catalogue compiled
# make test-board: Arm kernels and the main job on an emulated aarch64 board over TVM RPC; the board
#     is made first (needs Debian's apt)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed.stamp
PACKAGES := quant hardware env agents experiments

.PHONY: demo test test-long test-board check format clean install

demo: $(INSTALLED)
	$(BIN)/python -m experiments.run --config experiments/configs/digits.yaml

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-long: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow \
		tests/experiments/run/test_resume.py tests/experiments/export \
		tests/experiments/run/test_energy_run.py \
		tests/experiments/boards/test_board_faults.py tests/hardware/host/remote \
		tests/hardware/board \
		tests/env/evaluating/test_memory.py \
		tests/env/tasks/networks/test_network_agreement.py \
		tests/hardware/kernels/test_islands.py \
		tests/agents/costs/test_cost_model.py tests/experiments/run/test_mistakes.py

test-board: $(INSTALLED)
	$(BIN)/python -m tests.emulated_board.make
	OMP_NUM_THREADS=1 BITALLOC_BOARD_REQUIRED=1 $(BIN)/python -m pytest -n 2 -m board \
		tests/emulated_board

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(INSTALLED)

# The stamp is written last: an interrupted installation is done again.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: Python 3.11 or newer is needed; try: make PYTHON=python3.12" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt \
		--editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis .import_linter_cache
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +
