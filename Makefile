# `make chat` and `make test` do all the set-up themselves; nothing else is needed first.
PYTHON ?= python3
BIN := .venv/bin
# Two workers; a file's tests stay together, since they share a server or an engine. In their own order:
# the long ones, in a browser, come first, so that no worker is left alone with them at the end.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: chat test check format lint types tests quick coverage storm screens clean

chat: .venv/.chat
	$(BIN)/python app.py

# Everything.
test: format lint types tests

# For every save: without Chromium and the real model.
check: format lint types quick

format: .venv/.dev
	$(BIN)/ruff format --check .

lint: .venv/.dev
	$(BIN)/ruff check .

types: .venv/.dev
	$(BIN)/mypy

tests: .venv/.dev
	$(PYTEST)

quick: .venv/.dev
	$(PYTEST) -m "not browser and not model"

# What the tests run of api/, engine/, export/ and web/, in this process.
coverage: .venv/.dev
	$(PYTEST) --cov=api --cov=engine --cov=export --cov=web --cov-report=term:skip-covered

# Kills, damage, fuzz, crowds and a soak, for so many minutes; what they found is printed.
MINUTES ?= 60
SEED ?= 7
storm: .venv/.dev
	$(BIN)/python -m tests.storm all --minutes $(MINUTES) --seed $(SEED)

# A picture of every screen, to be looked at: three languages, two themes, two widths.
SCREENS ?= ../warmchat-screens
screens: .venv/.dev
	$(BIN)/python -m tests.screens $(SCREENS)

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.chat: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install -q -r requirements.txt
	touch $@

.venv/.dev: requirements-dev.txt requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install -q -r requirements-dev.txt
	touch $@ .venv/.chat

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
