# make demo   the main job on real digits, in a new virtual environment; everything in demo/
# make test   its own set-up, then the whole test suite, on TensorFlow and on JAX
# make lint   formatting, style and types

PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test lint clean

demo: .venv/demo-installed
	$(BIN)/twoarg demo --out demo

test: .venv/dev-installed
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest -n 2
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n 2 tests/test_activation.py tests/test_keras_harness.py \
		tests/test_sharing.py tests/test_exact.py tests/test_interpolated.py tests/test_pretraining.py tests/test_analysis.py tests/test_serving.py tests/test_pooling.py

lint: .venv/dev-installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv/bin/python:
	$(PYTHON) -m venv .venv || (rm -rf .venv; echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1)

.venv/demo-installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[demo]"
	touch $@

.venv/dev-installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@ .venv/demo-installed

clean:
	rm -rf .venv demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
