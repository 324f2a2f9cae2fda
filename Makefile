# make demo    set everything up, then prompt -> patch and track -> stems on the default model
# make test    every test        make check   lint, types, import contracts
# make peers   install the other programs that tests need (jackd, Ardour, Faust ...) by apt-get
# make test-paths    the numeric tests again, as a processor without AVX computes
# make vendor  copy what the panel has of others out of their npm packages (bridge/web/vendor.json)
# make types   write the panel's types of the HTTP API; TypeScript, out of npm, checks its scripts
# make bench   measure speed, write docs/benchmarks.md
# make gpu     measure every recipe on the card that is here, write docs/gpu.md; without one tiny, on the CPU
# make score   measure quality on the recordings in DATA, write docs/scoreboard.md

PYTHON ?= python3
BIN := .venv/bin

DATA ?= ../shared/data

# Tests wait for servers and children about half of their time: one process more than cores.
TESTERS ?= $(shell $(PYTHON) -c 'import os; print(1 + (os.cpu_count() or 1))')
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(TESTERS) --dist worksteal

# Tests whose numbers depend on how the processor adds up; test-paths runs them without AVX.
NUMERIC := algorithms audio_files clap_assignment component_assignment delta_denoising \
	descriptor_edit dgmo differential_evolution discrete_time distill fidelity fm impact \
	impute kernels metrics_multi_source metrics_separation morph multi_source \
	multichannel_wiener multitrack_generate nmf overlap_add presence priors renderers \
	samplers separate source source_posterior spectral_codec spectrogram tagging tracks \
	two_tower voice waveform_unet waveforms zerosep
PLAIN := ATEN_CPU_CAPABILITY=default MKL_ENABLE_INSTRUCTIONS=SSE4_2

.PHONY: demo test test-paths peers vendor types check bench gpu score clean install

install: .venv/.installed

# Packages are compiled here, not by the first worker, which would take 12 s more.
.venv/.installed: pyproject.toml constraints.txt overrides.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
		"Scorewire needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "== installing into .venv (some minutes the first time: PyTorch is large)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraints constraints.txt \
		--overrides overrides.txt --compile-bytecode --editable '.[worker,play,cluster,diffusers,dev]'
	@touch $@
	@echo "== installed"

# Threads that spin long while they wait starve whoever shares the cores (bridge/execution/child_process.py).
demo test test-paths bench score: export GOMP_SPINCOUNT := 5000

demo: .venv/.installed
	@echo "== demo: two prompts to patches, one recording to stems"
	@$(BIN)/python examples/demo.py --out demo-out

# Kernels first: processes that begin together would compile the same ones, a minute each. And our
# sources: where PYTHONDONTWRITEBYTECODE is set, each of some hundred children would compile them.
test: .venv/.installed
	@echo "== test: compiling kernels"
	@$(BIN)/python -m compileall -q bridge presets renderers sds
	@heard=$$(mktemp); $(BIN)/python -m renderers.compile & $(BIN)/python -P -m bridge.player \
		--output offline --capture $$heard </dev/null >/dev/null; wait; rm -f $$heard
	@echo "== test: every test, in $(TESTERS) processes"
	@$(PYTEST) && echo "== test: passed" || { echo "== test: FAILED"; exit 1; }

test-paths: .venv/.installed
	@echo "== test-paths: numeric tests with $(PLAIN)"
	@$(PLAIN) $(PYTEST) $(NUMERIC:%=tests/test_%.py) \
		&& echo "== test-paths: passed" || { echo "== test-paths: FAILED"; exit 1; }

peers:
	@$(PYTHON) tests/peers.py

vendor:
	@$(PYTHON) tests/vendored.py

types: .venv/.installed
	@$(BIN)/python -m tests.api_types check

check: .venv/.installed
	@echo "== check: lint, format, types, import contracts"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@echo "== check: passed"

bench: .venv/.installed
	@echo "== bench: some minutes; let nothing else run meanwhile"
	@$(BIN)/python -m bench.report docs/benchmarks.md
	@echo "== bench: wrote docs/benchmarks.md"

gpu: .venv/.installed
	@echo "== gpu: under ten minutes on a card; without one the same at tiny size"
	@$(BIN)/python -m bench.gpu --page docs/gpu.md
	@echo "== gpu: done"

score: .venv/.installed
	@echo "== score: hours; stopped, it goes on where it was"
	@$(BIN)/scorewire eval --suite all --data $(DATA) --out runs/scoreboard --report docs/scoreboard.md --replace
	@echo "== score: wrote docs/scoreboard.md"

clean:
	rm -rf .venv build demo-out *.egg-info
