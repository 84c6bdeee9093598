# KARAIS: `make up` runs it, `make test` checks it. Nothing is written beside the code but .venv.

PYTHON ?= python3
VENV   := $(CURDIR)/.venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --no-input

export PYTHONPYCACHEPREFIX := $(VENV)/pycache

# make up [STORAGE=/path/to/files] [PORT=7878] [HOST=127.0.0.1] [NATS=nats://host:4222] [HOME_DIR=~/.karais]
OPTIONS = $(if $(STORAGE),--storage '$(STORAGE)') $(if $(PORT),--port $(PORT)) $(if $(HOST),--host $(HOST)) \
          $(if $(NATS),--nats '$(NATS)')
KARAIS  = $(BIN)/karais $(if $(HOME_DIR),--home '$(HOME_DIR)')

# Three at a time, a file in one process: most tests wait for processes and clocks. In the order of the
# folders, so that what takes longest does not come last, on one core alone.
PYTEST ?= -n 3 --dist loadfile --no-loadscope-reorder

# Tests keep weights here and touch no ~/.karais.
TEST_HOME := $(VENV)/test-home

.DELETE_ON_ERROR:
.PHONY: help up down test lint soak bench lock clean

help:
	@echo "make up      install what is missing, fetch the default models, start everything"
	@echo "             [STORAGE=/path/to/files] [PORT=7878] [HOME_DIR=~/.karais] [NATS=URL]"
	@echo "make down    stop everything"
	@echo "make test    install what the tests need, then lint, type-check and test"
	@echo "make lint    lint and type-check alone"
	@echo "make bench   print the figures of a chat [NAME=chat] [ARGS='--json']"
	@echo "make soak    kill processes at random and check that nothing is lost [ARGS='--minutes 5']"
	@echo "make lock    renew requirements.lock"

up: $(VENV)/.server
	@$(KARAIS) models pull
	@exec $(KARAIS) up $(OPTIONS)

down:
	@$(KARAIS) down

test: lint $(TEST_HOME)/.models
	KARAIS_TEST_MODELS=$(TEST_HOME)/models HYPOTHESIS_STORAGE_DIRECTORY=$(VENV)/hypothesis \
	  $(BIN)/python -m pytest $(PYTEST)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir $(VENV)/.import_linter_cache

bench: $(VENV)/.server
	@$(KARAIS) bench $(or $(NAME),chat) $(ARGS)

soak: $(VENV)/.dev $(TEST_HOME)/.models
	@$(KARAIS) models pull
	@$(KARAIS) bench soak $(ARGS)
	@$(KARAIS) bench soak_ingest --kills 50
	KARAIS_TEST_MODELS=$(TEST_HOME)/models KARAIS_TEST_SEARCHES=10000 KARAIS_TEST_KILLS=50 KARAIS_TEST_SOAK=1 \
	  $(BIN)/python -m pytest tests/integration/test_projects_apart.py tests/chaos/test_memory_kills.py \
	  tests/contract/test_engines.py tests/contract/test_engines_choosing.py tests/contract/test_engines_sharing.py

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "KARAIS needs Python 3.11 or newer: name one by \`make PYTHON=python3.11 ...\`." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "No virtual environment can be made: install Python's venv module (Debian: python3-venv)." >&2; exit 1; }
	@# Compiled code goes into .venv too, however a program there is started.
	@echo 'import sys; sys.pycache_prefix = sys.prefix + "/pycache"' \
	  > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/karais_pycache.pth"
	@touch $@

# A stamp each: nothing is installed again while pyproject.toml and the lock stay as they are.
$(VENV)/.server: $(VENV)/.python pyproject.toml requirements.lock
	@echo "Installing what KARAIS needs into .venv; this takes some minutes the first time."
	@$(PIP) install --quiet --quiet --constraint requirements.lock --editable '.[server,openvino]'
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml requirements.lock
	@echo "Installing what KARAIS and its tests need into .venv; this takes some minutes the first time."
	@$(PIP) install --quiet --quiet --constraint requirements.lock --editable '.[server,openvino,dev,bench]'
	@touch $@ $(VENV)/.server

$(TEST_HOME)/.models: $(VENV)/.dev
	@$(BIN)/karais --home $(TEST_HOME) models pull
	@touch $@

lock: $(VENV)/.python
	@$(PIP) install --quiet --dry-run --ignore-installed --report $(VENV)/report.json --editable '.[server,openvino,dev,bench]'
	@$(BIN)/python -c 'import json; \
	  found = [p["metadata"] for p in json.load(open("$(VENV)/report.json"))["install"]]; \
	  print("# Exact versions of everything that `make` installs; a constraints file. Renew it by `make lock`."); \
	  print("\n".join(sorted(p["name"].lower().replace("_", "-") + "==" + p["version"].partition("+")[0] \
	    for p in found if p["name"] != "karais")))' > requirements.lock

clean:
	rm -rf $(VENV)
