# SPDX-License-Identifier: GPL-3.0-or-later
#
# make demo    sets everything up and shows calls through the gateway; ARGS=--json for JSON
# make test    sets everything up and runs every check and test
# make help    lists the rest
#
# VENV= another environment, PYTHON= another Python (3.11 to 3.13), CIG_CACHE= another cache
# folder than ~/.cache/cig, CIG_PJPROJECT_TARBALL= another source of pjproject. See
# docs/building.md.

VENV ?= .venv
PYTHON ?= python3
ARGS ?=
PYTEST_ARGS ?= -n auto
FUZZ_SECONDS ?= 60

BIN := $(abspath $(VENV))/bin
SETUP := VENV='$(VENV)' $(PYTHON) tools/setup.py

# Matplotlib's font list, for the demonstration's picture, goes where everything else goes.
export MPLCONFIGDIR ?= $(or $(CIG_CACHE),$(HOME)/.cache/cig)/matplotlib

.PHONY: help demo test setup setup-demo lint unit e2e bench bench-texts soak-reload docs lock clean
.NOTPARALLEL:

help:
	@echo 'make demo    set up, then run the demonstration (ARGS=--json for JSON)'
	@echo 'make test    set up, then lint and all tests'
	@echo 'make setup   set up only'
	@echo 'make lint    ruff, mypy and the import contracts'
	@echo 'make unit    unit tests; make e2e: end-to-end tests (PYTEST_ARGS=)'
	@echo 'make bench   measure what is promised to be fast'
	@echo 'make bench-texts  texts a second against the disk alone (ARGS=--help: other sizes)'
	@echo 'make fuzz    look for input that breaks something, each reader for FUZZ_SECONDS'
	@echo 'make soak-reload  1,000 reloads under 50 calls a second (ARGS=--help: other sizes)'
	@echo 'make docs    write what of the documentation is made from the code'
	@echo 'make lock    write requirements.lock anew (ARGS="package ...": these only)'
	@echo 'make clean   remove the environment and everything else that make wrote here'

demo: setup-demo
	@$(BIN)/cig-lab demo $(ARGS)

test: setup lint
	@$(BIN)/pytest $(PYTEST_ARGS) tests

setup:
	@$(SETUP) --tests

# What the demonstration needs, which is less: neither SIPp nor tshark.
setup-demo:
	@$(SETUP)

lint: setup-demo
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/mypy tools/setup.py tools/pjsua2/guards.py tools/make_docs.py
	@$(BIN)/mypy setup.py
	@$(BIN)/lint-imports

unit: setup-demo
	@$(BIN)/pytest $(PYTEST_ARGS) tests/unit

e2e: setup
	@$(BIN)/pytest $(PYTEST_ARGS) tests/sip tests/e2e

bench: setup-demo
	@for script in tests/bench/bench_*.py; do \
		echo "== $$script"; \
		$(BIN)/python "$$script" || exit 1; \
	done

# ARGS="--folder FOLDER" measures the disk that FOLDER is on; else that of this one.
bench-texts: setup-demo
	@$(BIN)/python tests/bench/bench_texts.py $(ARGS)
	@$(BIN)/python tests/bench/bench_texts_whole.py

docs: setup-demo
	@$(BIN)/python tools/make_docs.py

soak-reload: setup
	@$(BIN)/python tests/bench/soak_reload.py $(ARGS)

# Every tests/fuzz/fuzz_NAME.py in turn, each for FUZZ_SECONDS. What it finds is kept in build/fuzz;
# what is worth keeping belongs in tests/fuzz/corpus.
fuzz: setup-demo
	@$(BIN)/python -c 'import tomllib; \
		print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["fuzz"])' | \
		xargs $(BIN)/python -m pip install --quiet --disable-pip-version-check
	@for harness in tests/fuzz/fuzz_*.py; do \
		name=$${harness##*/fuzz_}; name=$${name%.py}; \
		dict=tests/fuzz/$$name.dict; \
		case $$name in cig_conf) longest=2000;; *) longest=4200;; esac; \
		echo "== $$harness"; \
		mkdir -p build/fuzz/$$name; \
		PYTHONPATH=src:tests $(BIN)/python $$harness \
			build/fuzz/$$name tests/fuzz/corpus/$$name $$(test -f $$dict && echo -dict=$$dict) \
			-max_total_time=$(FUZZ_SECONDS) -max_len=$$longest -timeout=20 -rss_limit_mb=2000 \
			-artifact_prefix=build/fuzz/ -print_final_stats=1 || exit 1; \
	done

lock:
	@PYTHON='$(PYTHON)' tools/lock.sh $(ARGS)

clean:
	@rm -rf .venv demo-out build dist src/*.egg-info
	@rm -f src/cig_relay/randomness/*.so
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find src tests tools -name __pycache__ -prune -exec rm -rf {} +
