# What one does with this project. `make help` lists it.

JOB      ?= digest
DIR      ?= .
THREADS  ?= $(shell nproc)
OUT      ?= target/manifest.sha256
EXECUTOR ?= threads
# For what runs in Python: with which one, and whose tree the example mirrors (none: one that it makes).
PYTHON   ?= python3
MIRROR   ?=
# For bench: what to measure, see `make bench ARGS=--help`.
ARGS     ?=

CARGO    ?= cargo
# The step that follows, and why it is there.
say      = @printf '\n\033[1m== %s\033[0m\n'

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test lint unit portable model soak fuzz schema bench bench-gil docs tools mirror conformance bench-python endurance endurance-short extension python wheel stubs third-party test-free-threaded

help: ## Shows this list.
	@sed -n 's/^\([a-z-]*\):.*## /  make \1 \t/p' $(MAKEFILE_LIST) | expand -t 22
	@echo
	@echo "  make run DIR=/usr/share THREADS=8 OUT=manifest.sha256"
	@echo "  make run JOB=words DIR=/usr/share EXECUTOR=processes"
	@echo "  (make ends with 2 where the program does with anything but 0; it prints which: 'Error 1')"

# The jobs that there are, each as one command.
run_digest = mkdir -p target && $(CARGO) run --release --package lisle --example digest -- \
    --threads '$(THREADS)' --out '$(OUT)' -- '$(DIR)' && $(MAKE) --no-print-directory mirror
run_words  = $(CARGO) run --release --package lisle --example words -- \
    --executor '$(EXECUTOR)' --workers '$(THREADS)' -- '$(DIR)'

run: ## SHA-256 of every file below DIR, to OUT, with THREADS threads, then `make mirror`; JOB=words counts their words.
	@$(or $(run_$(strip $(JOB))),echo "There is no JOB '$(JOB)': it is digest (the default) or words" >&2; exit 2)

mirror: extension ## The Python example by plain Python and by python -m lisle, with both times (MIRROR=DIR, PYTHON=…).
	$(say) "the same kind of job in Python: a mirror of a directory tree"
	$(PYTHON) ci/run-mirror.py $(MIRROR)

extension:
	@ci/python-dev.sh '$(PYTHON)'

test: lint unit portable model docs python stubs endurance-short ## All that must hold before a change goes in.
	$(say) "all is well"

lint: tools ## Format, lints, and who may sleep where.
	$(say) "format"
	$(CARGO) fmt --all --check
	$(say) "lints: clippy on everything, warnings are errors"
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --package lisle --lib --no-default-features -- -D warnings
	$(say) "rooms: only the parking lot sleeps"
	ci/check-rooms.sh

unit: ## Tests and examples of the whole workspace.
	$(say) "tests of the workspace"
	$(CARGO) test --workspace

portable: ## The library's tests again, with the parker that only needs std.
	$(say) "tests of the library on the portable parker"
	RUSTFLAGS='--cfg lisle_portable' $(CARGO) test --package lisle --target-dir target-portable

# Two preemptions find nearly all that any number does, in a small part of the time:
# LOOM_MAX_PREEMPTIONS=3 make model, for an evening.
model: export LOOM_MAX_PREEMPTIONS ?= 2
model: ## The protocols in loom: every order of steps, deadline and interrupt among them.
	$(say) "models, up to $(LOOM_MAX_PREEMPTIONS) preemptions"
	RUSTFLAGS='--cfg loom' $(CARGO) test --release --package lisle --lib --target-dir target-loom model

soak: export LISLE_SOAK ?= 25
soak: ## The tests in release, those of chance LISLE_SOAK (25) times as long.
	$(say) "tests, $(LISLE_SOAK) times as long"
	$(CARGO) test --release --workspace -- --include-ignored

# libFuzzer comes with a nightly compiler only. What it finds is kept in fuzz/corpus as long as it is small.
FUZZ_SECONDS ?= 300
fuzz: ## Random frames against the parser at both ends of the agent's connection, for FUZZ_SECONDS (300).
	@cargo fuzz --version >/dev/null 2>&1 || { echo "'cargo fuzz' is missing; 'cargo install cargo-fuzz' brings it" >&2; exit 1; }
	cd fuzz && RUSTUP_TOOLCHAIN=nightly cargo fuzz run frames -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -dict=frames.dict

schema: ## Writes docs/schema anew, from the types.
	LISLE_WRITE=1 $(CARGO) test --package lisle-cli --test schema

bench: ## lisle and its peers, side by side (ARGS='--quick mutex'); writes target/bench/rust.json.
	$(CARGO) run --release --package lisle-bench -- $(ARGS)

bench-gil: ## The GIL alone, in two minutes: the convoy effect beside CPython, costs, fairness (ARGS for the example).
	$(CARGO) run --release --package lisle-bench -- --out target/bench-gil 'gil ·'
	$(CARGO) run --release --package lisle --example lua_threads -- --figures $(ARGS)

bench-python: extension ## The Python modules beside the standard ones (PYTHON=… ARGS='--quick queue'); writes target/bench/python-VERSION.json.
	PYTHONPATH=python $(PYTHON) python/bench $(ARGS)

endurance-short: extension
	$(say) "endurance of the Python package, the short form"
	PYTHONPATH=python $(PYTHON) python/endurance

endurance: extension ## Python: 1,000 exits, 100,000 signals, forks, 1,000,000 objects of a kind (PYTHON=… ARGS=exits).
	$(say) "endurance, the long form"
	PYTHONPATH=python $(PYTHON) python/endurance --long $(ARGS)

python: ## The Python package's tests, in a virtual environment below target/ (PYTHON=python3.13).
	$(say) "tests of the Python package"
	ci/test-python.sh '$(PYTHON)' $(ARGS)

stubs: ## The types that editors and mypy see, against the package, on every CPython found (ARGS=python3.13).
	$(say) "stubs"
	ci/stubs.sh $(ARGS)

wheel: ## The Python package as a wheel, in target/wheels (PYTHON=python3.13).
	$(say) "a wheel"
	'$(PYTHON)' -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir target/wheels .
	@ls -l target/wheels

# What goes to these two: ci/conformance.py --help and ci/third-party.py --help say.
conformance: ## CPython's own tests, stock and under lisle, on every CPython found (ARGS='-p 3.13 -m queue').
	$(say) "CPython's own tests, stock and under lisle"
	python3 ci/conformance.py $(ARGS)

third-party: ## Tests of other projects, stock and under lisle (ARGS='-p 3.13 janus'); from PyPI.
	$(say) "other projects' tests, stock and under lisle"
	python3 ci/third-party.py $(ARGS)

test-free-threaded: ## The package's tests, CPython's, and the benchmark without a GIL; builds CPython 3.13t first.
	$(say) "a CPython without a GIL"
	ci/free-threaded.sh
	$(say) "tests of the Python package, without a GIL"
	ci/test-python.sh "$$(ci/free-threaded.sh --find)"
	$(say) "CPython's own tests, stock and under lisle, without a GIL"
	python3 ci/conformance.py -p "$$(ci/free-threaded.sh --find)"
	$(say) "endurance of the Python package, without a GIL"
	PYTHONPATH=python "$$(ci/free-threaded.sh --find)" python/endurance
	$(say) "the Python modules beside the standard ones, without a GIL"
	PYTHONPATH=python "$$(ci/free-threaded.sh --find)" python/bench --quick

docs: ## The documentation, without a warning.
	$(say) "documentation: warnings are errors"
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --features lisle/process

# Stable Rust brings both, but a minimal installation leaves them out.
tools:
	@for tool in fmt clippy; do \
	    $(CARGO) $$tool --version >/dev/null 2>&1 || { \
	        echo "'cargo $$tool' is missing; 'rustup component add rustfmt clippy' brings it" >&2; exit 1; }; \
	done
