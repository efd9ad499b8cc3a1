# make demo       two_arg and ReLU on 5,000 digits, in a new virtual environment; everything in demo/
# make test       its own set-up, then what takes a second or two each, on TensorFlow
# make test-jax   the same on JAX, as far as it is another backend's business
# make test-torch the same on torch, where that is installed; in none of the others
# make test-slow  the rest, on both: whole runs, killed and resumed, searches, examples, pages
# make test-old   the core on the oldest Python here with the lowest packages that pyproject.toml admits
# make test-all   test, test-jax and test-slow, and every Python that is promised
# make lint       formatting, style, types and the order of imports
# make docs       the documentation, in site/
# make tables     numbers of README and docs, from the records in results/

PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test test-jax test-torch test-slow test-old test-all lint docs tables clean

demo: .venv/demo-installed
	$(BIN)/twoarg demo --out demo

test: .venv/dev-installed
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest -n 2 -m "not slow"

test-jax: .venv/dev-installed
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n 2 -m "jax and not slow"

test-torch: .venv/dev-installed
	@$(BIN)/python -c "import torch" || (echo "Install it first: $(BIN)/python -m pip install torch" >&2; exit 1)
	KERAS_BACKEND=torch $(BIN)/python -m pytest -n 2 -m "jax and not slow"

test-slow: .venv/dev-installed
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest -n 2 -m slow
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n 2 -m "jax and slow"

test-old: .venv/dev-installed
	bash tests/on_every_python.sh --lowest

test-all: test test-jax test-slow
	bash tests/on_every_python.sh

lint: .venv/dev-installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/dev-installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "Open site/index.html"

tables: .venv/dev-installed
	$(BIN)/python -m results.tables

.venv/bin/python:
	$(PYTHON) -m venv .venv || (rm -rf .venv; echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1)

.venv/demo-installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[demo]"
	touch $@

.venv/dev-installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps ISLP  # the table bikeshare, without PyTorch
	touch $@ .venv/demo-installed

clean:
	rm -rf .venv .venv-versions demo site build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
