# Two commands for a newcomer: `make serve` and `make test`. `make check` is all that CI runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8765
# Compiled modules are kept, whatever the environment says: a daemon starts twice as fast, and the tests start hundreds.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help serve test check lint types contracts docs bench bench-quick bench-peers conformance fuzz simulate
.PHONY: random-order simulate-same simulate-ci simulate-machines teeth
.PHONY: show-kills show-drain show-workers restarts show-100k screenshot debian clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The two virtual environments' stamps: the daemon's own needs first, so that `serve` starts fast.
$(VENV)/.core: setup.cfg pyproject.toml
	@tools/make_venv.sh $(PYTHON) $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

serve: $(VENV)/.core  ## install what the daemon needs and start it in development mode
	$(BIN)/wsloop serve --dev --port $(PORT)

debian:  ## install the Debian packages that tests use (or say how)
	@tools/debian_packages.sh chromium gcc libc6-dev openssl prometheus \
		caddy haproxy libseccomp2 logrotate nginx-light systemd
	@command -v npm >/dev/null || tools/debian_packages.sh nodejs npm

# A part of the tests, asked for with ARGS, is not held to the coverage of all, nor its modules to theirs
# (tools/coverage_gate.py). All are shared out to two workers for each core, as tests/sharing.py says.
test: $(VENV)/.dev debian  ## install what tests need and run all of them (ARGS=tests/loop: a part)
	$(BIN)/python -m pytest $(if $(ARGS),$(ARGS),-n auto --cov --cov-report=term:skip-covered --cov-report=json)
	$(if $(ARGS),,$(BIN)/python -m tools.coverage_gate coverage.json)

random-order: $(VENV)/.dev debian  ## run all tests TIMES=20 times, each time in another order (ARGS='--seed 7')
	$(BIN)/python -m tools.random_order --times $(or $(TIMES),20) $(ARGS)

SIMULATOR := $(BIN)/python -m wsloop.testing.simulator

simulate: $(VENV)/.dev  ## the real server on virtual time over a hostile network (SEED=1 STEPS=1000000)
	$(SIMULATOR) --seed $(or $(SEED),1) --steps $(or $(STEPS),1000000) --jobs 0 $(ARGS)

simulate-same: $(VENV)/.dev  ## 1,000 seeds twice, and under another hash seed: the same histories (SEEDS=1000)
	$(SIMULATOR) --seed $(or $(SEED),1) --same $(or $(SEEDS),1000)

simulate-ci: $(VENV)/.dev
	$(SIMULATOR) --steps 2000000 --jobs 0
	$(SIMULATOR) --same 20

simulate-machines: $(VENV)/.dev  ## run random histories of messaging clients against the model (STEPS=1000000)
	STEPS=$(or $(STEPS),1000000) $(BIN)/python -m pytest -q -o faulthandler_timeout=0 tests/simulation/test_messaging_machine.py tests/simulation/test_cluster_machine.py

teeth: $(VENV)/.dev  ## plant bugs one by one, and see who finds them; writes docs/internals/teeth.md (ARGS='--only wheel-*')
	$(BIN)/python -m tools.teeth $(or $(ARGS),--jobs 2 --document)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

contracts: $(VENV)/.dev
	$(BIN)/lint-imports --config setup.cfg --no-logo

docs: $(VENV)/.dev  ## build the documentation into docs/_build/html
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

# What looks at the sources takes one core each, so two go side by side. The tests' closing line comes last.
check: $(VENV)/.dev  ## everything CI runs
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target types docs contracts lint
	@$(MAKE) --no-print-directory simulate-ci
	@$(MAKE) --no-print-directory test

$(VENV)/.bench: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

bench-peers: $(VENV)/.bench  ## install all servers that the benchmark compares with (Python, Debian, npm)
	@tools/bench/install_peers.sh $(BIN)/python

# A part of it, asked for with ARGS, is printed and leaves the page alone.
bench: $(VENV)/.bench  ## measure wsloop beside its peers, 25 minutes, into docs/benchmarks.md (ARGS='--only echo-100')
	$(BIN)/python -m tools.bench.run $(or $(ARGS),--document) --json tools/bench/build/results.json >/dev/null

bench-quick: $(VENV)/.bench  ## the same in three minutes: does it all work?
	$(BIN)/python -m tools.bench.run --quick $(ARGS) --json tools/bench/build/results.json >/dev/null

# The operator's promises (docs/operate): each prints JSON and ends with 1 if one was not kept. ARGS are its options.
show-kills: $(VENV)/.dev  ## kill -9 of a random worker every 2 s for 2 minutes: nothing is missed
	$(BIN)/python -m tools.shows.kills $(ARGS)

show-drain: $(VENV)/.dev  ## SIGTERM with 5,000 clients and traffic; a second daemon takes them over
	$(BIN)/python -m tools.shows.drain $(ARGS)

restarts: $(VENV)/.dev  ## 100 restarts under a stream of connects, with one worker and with two: none is lost
	$(BIN)/python -m tools.shows.restarts $(ARGS)

show-workers: $(VENV)/.dev debian  ## the fan-out of two workers beside that of one, on two cores
	$(BIN)/python -m tools.shows.workers $(ARGS)

show-100k: $(VENV)/.dev debian  ## 102,400 connections for five minutes, and messages to all of them
	$(BIN)/python -m tools.shows.crowded $(ARGS)

conformance: $(VENV)/.dev  ## play all Autobahn cases against /echo; writes docs/reference/conformance.md
	$(BIN)/python -m tools.conformance $(ARGS)

$(VENV)/.fuzz: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	@touch $@

fuzz: $(VENV)/.fuzz  ## guided random bytes for each target, 60 s each (TARGET=frames SECONDS=600; TARGET=differential)
	$(BIN)/python -m tools.fuzz $(TARGET) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

screenshot: $(VENV)/.dev debian  ## draw the README's picture anew
	SCREENSHOT=1 $(BIN)/python -m pytest -q tests/system/test_browser.py -k screenshot

clean:  ## remove what the targets made
	rm -rf $(VENV) docs/_build tools/bench/build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* coverage.json
