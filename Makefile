# Fillbook's commands; `make help` lists them.
#
# Needs Python 3.11 or newer with its venv module, and nothing else of ours: every target makes its own environment
# first. A stamp file remembers what was installed, so that a second run starts at once; the stamps are older than
# pyproject.toml or the constraints as soon as those change.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-print-directory
# Two installations at once would write the same build leftovers.
.NOTPARALLEL:

VENV := .venv
VENV_ASYNC := .venv-ib-async
BIN := $(VENV)/bin
PORT ?= 5006

# Where the packages come from is the business of the machine's own pip configuration, not of this file.
PIP_INSTALL := -m pip install -qq --disable-pip-version-check --no-input

# A candidate counts only if it runs, is new enough and can make environments (Debian splits that off).
define find_python
python=; for candidate in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
    if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
        python=$$candidate; break; \
    fi; \
done; \
if [ -z "$$python" ]; then \
    echo "Fillbook needs Python 3.11 or newer with its venv module (on Debian: apt-get install python3 python3-venv)." >&2; \
    exit 2; \
fi
endef

# $(1): the environment's folder. An environment whose interpreter is gone or too old is made anew.
define make_venv
if ! $(1)/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
    $(find_python); \
    "$$python" -m venv --clear $(1) || exit 2; \
fi
endef

# Pages are tested in a Chromium that is already on the machine, or that Debian has. FILLBOOK_CHROMIUM names another.
define find_chromium
chromium=; for candidate in $$FILLBOOK_CHROMIUM chromium chromium-browser google-chrome; do \
    if command -v "$$candidate" >/dev/null 2>&1; then chromium=$$candidate; break; fi; \
done
endef

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

# --- environments ---------------------------------------------------------------------------------------------------

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Installing into $(VENV) (about a minute the first time) ..."
	@$(call make_venv,$(VENV))
	@$(BIN)/python $(PIP_INSTALL) -c constraints.txt -e '.[ib-insync]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing the development tools into $(VENV) ..."
	@$(BIN)/python $(PIP_INSTALL) -c constraints.txt -e '.[ib-insync,dev]'
	@touch $@

# The peer has no build for every Python; without it the benchmark table says so instead of its figure.
$(VENV)/.installed-bench: $(VENV)/.installed-dev
	@echo "Installing the benchmark's peer into $(VENV) ..."
	@$(BIN)/python $(PIP_INSTALL) -c constraints.txt -e '.[ib-insync,dev,bench]' \
	    || echo "NautilusTrader cannot be installed here: the table will be without it."
	@touch $@

$(VENV_ASYNC)/.installed: pyproject.toml constraints-ib-async.txt
	@echo "Installing into $(VENV_ASYNC) ..."
	@$(call make_venv,$(VENV_ASYNC))
	@$(VENV_ASYNC)/bin/python $(PIP_INSTALL) -c constraints-ib-async.txt -e '.[ib-async,test,nats]'
	@touch $@

.PHONY: install
install: $(VENV)/.installed ## make .venv with what running needs
	@:

.PHONY: install-dev
install-dev: $(VENV)/.installed-dev $(VENV_ASYNC)/.installed chromium nats-server ## make both environments and get the browser

.PHONY: chromium
chromium:
	@$(find_chromium); \
	if [ -n "$$chromium" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    echo "Installing Chromium ..."; \
	    export DEBIAN_FRONTEND=noninteractive; \
	    apt-get update -qq >/dev/null && apt-get install -y -qq chromium fonts-dejavu >/dev/null </dev/null \
	        && command -v chromium >/dev/null && exit 0; \
	fi; \
	echo "The browser tests need Chromium: install it (on Debian, as root: apt-get install chromium fonts-dejavu)" \
	    "or name one in FILLBOOK_CHROMIUM." >&2; \
	exit 2

# The tests of the events transport run against a real server, and are skipped, with the reason, where there is none.
.PHONY: nats-server
nats-server:
	@if PATH="$$PATH:/usr/sbin" command -v nats-server >/dev/null 2>&1; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    echo "Installing nats-server ..."; \
	    export DEBIAN_FRONTEND=noninteractive; \
	    apt-get update -qq >/dev/null && apt-get install -y -qq nats-server >/dev/null </dev/null && exit 0; \
	fi; \
	echo "Without nats-server the tests of remote events are skipped (on Debian, as root: apt-get install nats-server)." >&2

# --- running --------------------------------------------------------------------------------------------------------

# A browser that lost its connection for a moment (a laptop lid, a restarted network) finds its session again within
# 90 s; --warm starts the engine with the server instead of with the first visitor.
.PHONY: serve
serve: $(VENV)/.installed ## install what is missing and serve the dashboard on 127.0.0.1:5006 (PORT=... for another)
	@case "$(PORT)" in \
	    ''|*[!0-9]*) echo "PORT is '$(PORT)': it must be a number, for example make serve PORT=5007" >&2; exit 2;; \
	esac
	@$(BIN)/python -c 'import socket, sys; sys.exit(socket.socket().connect_ex(("127.0.0.1", $(PORT))) == 0)' || { \
	    echo "Port $(PORT) of 127.0.0.1 is in use: end what listens there, or choose another: make serve PORT=5007" >&2; \
	    exit 2; \
	}
	@echo "http://127.0.0.1:$(PORT)/panel_app (Ctrl-C ends it)"
	@exec $(BIN)/panel serve panel_app.py --address 127.0.0.1 --port $(PORT) --unused-session-lifetime 90000 --warm

# --- checking -------------------------------------------------------------------------------------------------------

# Two processes, a file's tests in one of them: most tests wait for a disk, a socket or another process half of the time.
BY_TWO := --numprocesses 2 --dist loadfile

.PHONY: test
test: install-dev lint ## everything: lint, types, import contracts, all tests, and the clients' tests with ib_async
	@echo "== tests, with ib_insync"
	@$(BIN)/python -m pytest -q -m "not soak and not browser" $(BY_TWO) </dev/null
	@echo "== tests in the browser"
	@$(BIN)/python -m pytest -q -m "browser and not soak" tests/browser </dev/null
	@echo "== tests of the IB client, with ib_async"
	@FILLBOOK_IB_CLIENT=ib_async $(VENV_ASYNC)/bin/python -m pytest -q -m "client and not soak" $(BY_TWO) tests/integration </dev/null

.PHONY: lint
lint: $(VENV)/.installed-dev ## style, format, types and import contracts only
	@echo "== ruff"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@echo "== mypy"
	@$(BIN)/mypy
	@echo "== import contracts"
	@$(BIN)/lint-imports

.PHONY: fmt
fmt: $(VENV)/.installed-dev ## format, and mend what can be mended automatically
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

.PHONY: soak
soak: install-dev ## the long forms: kill test, fuzzing, an hour of load, 5,000 property examples
	@$(BIN)/python -m pytest -q -m soak --timeout=0 </dev/null
	@FILLBOOK_HYPOTHESIS_EXAMPLES=5000 $(BIN)/python -m pytest -q --timeout=0 tests/property </dev/null

.PHONY: bench
bench: $(VENV)/.installed-bench ## print the benchmark table and write benchmarks.json
	@$(BIN)/python -m tests.benchmarks

.PHONY: screenshots
screenshots: $(VENV)/.installed-dev chromium ## take the README's pictures of the running page anew
	@$(BIN)/python -m tests.browser.screenshots

# --- cleaning -------------------------------------------------------------------------------------------------------

.PHONY: clean
clean: ## remove caches and build leftovers; data/ and the environments stay
	@rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis test-results
	@find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## remove the environments too; data/ stays
	@rm -rf $(VENV) $(VENV_ASYNC)
