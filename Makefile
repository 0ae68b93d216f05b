# Everything runs in the virtual environment .venv, made on first use.
#
#   make demo    ingest a lidar file, build levels, query, validate, draw
#   make test    every check: style, types, import contracts, tests
#   make bench   measure against the floor pipeline and the reference
#   make format  format the code and apply the safe fixes of the linter
#   make clean   remove what the checks and the demo leave behind; distclean: and the environments

VENV ?= .venv
# One more than a small machine has processors, since many tests wait for programs that they start.
WORKERS ?= 3
VENV_PYTHON := $(VENV)/bin/python
CODE := $(wildcard src tests examples benchmarks)
PIP_INSTALL := $(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check
RUNS_HERE := -c 'import sys; sys.exit(sys.version_info < (3, 11))'

.PHONY: demo test bench format clean distclean
.DELETE_ON_ERROR:

demo: $(VENV)/installed-all
	$(VENV_PYTHON) examples/demo.py

test: $(VENV)/installed-test
	$(VENV)/bin/ruff check --quiet $(CODE)
	$(VENV)/bin/ruff format --quiet --check --diff $(CODE)
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV_PYTHON) -m pytest -n $(WORKERS) -q

bench: $(VENV)/installed-all
	$(VENV_PYTHON) -m benchmarks

format: $(VENV)/installed-test
	$(VENV)/bin/ruff check --fix --exit-zero $(CODE)
	$(VENV)/bin/ruff format $(CODE)

clean:
	rm -rf build dist demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) .cache

# The first interpreter that is new enough: $PYTHON, python3, or one named by its version.
$(VENV_PYTHON):
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11 python3.14; do \
		if $$python $(RUNS_HERE) 2>/dev/null; then \
			$$python -m venv $(VENV) && exit 0; \
			echo "error: '$$python -m venv' failed; install its venv module (Debian: python3-venv)" >&2; \
			rm -rf $(VENV); exit 1; \
		fi; \
	done; \
	echo "error: zarr-vectors needs Python 3.11 or newer; python3 is $$(python3 --version 2>&1)." >&2; \
	echo "       Install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2; \
	exit 1

# The stamps are older than pyproject.toml when what is to be installed may have changed.
$(VENV)/installed-all: pyproject.toml | $(VENV_PYTHON)
	@echo "Installing zarr-vectors into $(VENV) (once; again when pyproject.toml changes) ..."
	@$(PIP_INSTALL) --editable '.[all]'
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(VENV_PYTHON)
	@echo "Installing zarr-vectors and the tools of its tests into $(VENV) (once; again when pyproject.toml changes) ..."
	@$(PIP_INSTALL) --editable '.[all,test]'
	@touch $(VENV)/installed-all $@
