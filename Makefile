# KARAIS: `make up` runs it, `make test` checks it. Nothing is written beside the code but .venv.

PYTHON  ?= python3
VENV    := $(CURDIR)/.venv
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check

export PYTHONPYCACHEPREFIX := $(VENV)/pycache

# make up STORAGE=/path PORT=7878 HOME_DIR=/path NATS=nats://host:4222
OPTIONS  = $(if $(STORAGE),--storage "$(STORAGE)") $(if $(PORT),--port "$(PORT)") $(if $(NATS),--nats "$(NATS)")
KARAIS   = $(BIN)/karais $(if $(HOME_DIR),--home "$(HOME_DIR)")

# Tests keep weights here, and nothing in ~/.karais.
TEST_HOME := $(VENV)/test-home

.PHONY: up down test lint check soak bench lock clean help

help:
	@echo "make up      install what is missing, fetch the default models, start everything"
	@echo "             [STORAGE=/path/to/files] [PORT=7878] [HOME_DIR=~/.karais] [NATS=URL]"
	@echo "make down    stop everything"
	@echo "make test    install what the tests need, then lint, type-check and test"
	@echo "make bench   print the figures of a chat (NAME=chat)"
	@echo "make soak    kill processes at random for a while and check that nothing is lost"

up: $(VENV)/.server
	@$(KARAIS) models pull
	@exec $(KARAIS) up $(OPTIONS)

down:
	@$(KARAIS) down

test: lint
	$(BIN)/pytest $(PYTEST)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.server
	$(KARAIS) bench $(or $(NAME),chat) $(ARGS)

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "KARAIS needs Python 3.11 or newer, and $(PYTHON) is older: name another by make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "No virtual environment can be made: install Python's venv module (Debian: python3-venv)." >&2; exit 1; }
	@touch $@

# A stamp each: nothing is installed again while pyproject.toml and the lock stay as they are.
$(VENV)/.server: $(VENV)/.python pyproject.toml requirements.lock
	$(PIP) install --quiet --constraint requirements.lock --editable '.[server]'
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml requirements.lock
	$(PIP) install --quiet --constraint requirements.lock --editable '.[server,dev]'
	@touch $@ $(VENV)/.server

lock: $(VENV)/.python
	$(PIP) install --quiet --dry-run --ignore-installed --report $(VENV)/report.json --editable '.[server,dev]'
	@$(BIN)/python -c 'import json, sys; \
	  found = [p["metadata"] for p in json.load(open("$(VENV)/report.json"))["install"]]; \
	  print("# Exact versions of everything that `make` installs; a constraints file. Renew it by `make lock`."); \
	  print("\n".join(sorted(p["name"].lower().replace("_", "-") + "==" + p["version"].partition("+")[0] \
	    for p in found if p["name"] != "karais")))' > requirements.lock

clean:
	rm -rf $(VENV)
