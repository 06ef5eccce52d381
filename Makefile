# `make chat` and `make test` do all the set-up themselves; nothing else is needed first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: chat test format lint types tests clean

chat: .venv/.chat
	$(BIN)/python app.py

test: format lint types tests

format: .venv/.dev
	$(BIN)/ruff format --check .

lint: .venv/.dev
	$(BIN)/ruff check .

types: .venv/.dev
	$(BIN)/mypy

tests: .venv/.dev
	$(BIN)/python -m pytest

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.chat: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install -q -r requirements.txt
	touch $@

.venv/.dev: requirements-dev.txt requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install -q -r requirements-dev.txt
	touch $@ .venv/.chat

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
