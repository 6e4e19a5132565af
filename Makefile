# Set-up and the daily commands. Everything happens in .venv, with the versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test coverage lint types install clean

quickstart: install
	$(BIN)/analogdp run scenarios/quickstart.yaml

test: install
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

coverage: install
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal --cov --cov-report=term

lint: install
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .

types: install
	$(BIN)/mypy

install: .venv/installed

# CPU wheels first: an unpinned torch would bring gigabytes of CUDA libraries along.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch .venv/installed

clean:
	rm -rf .venv
