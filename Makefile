# Everything happens in the virtual environment .venv, made when it is first needed. `make help` lists what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
RUST := Cargo.toml Cargo.lock pyproject.toml $(shell find rust -name '*.rs' -o -name Cargo.toml)

# One interpreter for every build, so that nothing is compiled twice.
export VIRTUAL_ENV := $(abspath $(VENV))
export PYO3_PYTHON := $(abspath $(BIN)/python)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test lint lint-python lint-rust stubs compile-tests test-rust test-python fmt bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## build with optimization and install into .venv

demo: $(VENV)/.installed ## the main job: index the sample that comes with tiercel, search it, measure it
	$(BIN)/python -m tiercel demo

# What waits for one core goes beside what waits for the other. Tests run alone.
test: $(VENV)/.dev ## every check
	$(MAKE) --jobs=2 lint-python lint-rust
	$(MAKE) --jobs=2 stubs compile-tests
	$(MAKE) --jobs=1 test-rust test-python

lint: lint-python lint-rust ## formats, lints, types, documentation

lint-python: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python

lint-rust: $(VENV)/.base
	cargo fmt --all --check
	cargo fmt --manifest-path benches/lab/Cargo.toml --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --manifest-path benches/lab/Cargo.toml --target-dir target --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

stubs: $(VENV)/.dev $(VENV)/.checked ## the stub against the compiled module
	MYPYPATH=python $(BIN)/python -m mypy.stubtest tiercel._core

compile-tests: $(VENV)/.checked
	cargo test --workspace --locked --no-run

test-rust: $(VENV)/.base ## tests of the crates
	cargo test --workspace --locked

test-python: $(VENV)/.dev $(VENV)/.checked ## tests of the package
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not alone"
	$(BIN)/python -m pytest -m alone

fmt: $(VENV)/.dev ## format everything
	cargo fmt --all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev $(VENV)/.installed ## benchmarks beside what is in .venv; ARGS="--count 10000 -k hnswlib" goes to pytest
	mkdir -p .benchmarks
	cargo bench --package tiercel-simd --bench kernels --locked > .benchmarks/kernels.md
	$(BIN)/python -m pytest benches --benchmark-columns=min,median,rounds --benchmark-json=.benchmarks/latest.json $(ARGS)

clean: ## remove everything that was built
	rm -rf $(VENV) target dist .pytest_cache .ruff_cache .mypy_cache .hypothesis .benchmarks
	rm -f python/tiercel/_core*.so python/tiercel/_core*.pyd
	find python tests benches tools -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.base: requirements/base.txt
	@$(PYTHON) -c 'import sys; sys.exit("tiercel needs Python 3.11 or newer: make PYTHON=python3.13 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements/base.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.base
	$(BIN)/uv pip install --quiet -r requirements/dev.txt || $(BIN)/python -m pip install --quiet -r requirements/dev.txt
	@touch $@

# The two builds take the same place: making one undoes the other.
$(VENV)/.installed: $(RUST) $(VENV)/.base
	@rm -f $(VENV)/.checked
	$(BIN)/maturin develop --release --locked
	@touch $@

# With assertions and checks of overflow, and of the same compiled crates as `cargo test`, whose features it needs for that.
$(VENV)/.checked: $(RUST) $(VENV)/.base
	@rm -f $(VENV)/.installed
	$(BIN)/maturin develop --locked --features sim
	@touch $@
