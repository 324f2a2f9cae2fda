# make demo    set everything up, then prompt -> patch and track -> stems on the default model
# make test    every test        make check   lint, types, import contracts
# make bench   measure speed, write docs/benchmarks.md

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench clean install

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt overrides.txt
	@echo "== installing into .venv (about two minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraints constraints.txt \
		--overrides overrides.txt --editable '.[worker,dev]'
	@touch $@

demo: .venv/.installed
	@$(BIN)/python examples/demo.py --out demo-out

test: .venv/.installed
	@$(BIN)/python -m pytest

check: .venv/.installed
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/.installed
	@$(BIN)/python -m bench.report docs/benchmarks.md

clean:
	rm -rf .venv build demo-out *.egg-info
