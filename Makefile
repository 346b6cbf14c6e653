# Every target does all the set-up that it needs; a second call does none of it again.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
RUN := OMP_WAIT_POLICY=PASSIVE $(VENV)/bin
LOWEST := .venv-lowest

.PHONY: setup demo test test-slow test-lowest format changelog clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet uv==0.13.9
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python -c constraints.txt -e '.[dev]'
	touch $(READY)

demo: $(READY)
	$(RUN)/audit demo

test: $(READY)
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/python -m pytest --numprocesses 2 --dist loadfile

test-slow: $(READY)
	$(RUN)/python -m pytest -m slow --timeout=3600

# The default tests with the lowest versions that pyproject.toml allows, on the oldest Python. Several GB of disk,
# since registries may have no other builds of these than those for CUDA; no GPU is used.
test-lowest: $(LOWEST)/.ready
	OMP_WAIT_POLICY=PASSIVE $(LOWEST)/bin/python -m pytest --numprocesses 2 --dist loadfile

$(LOWEST)/.ready: pyproject.toml
	test -x $(LOWEST)/bin/python || python3.11 -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet uv==0.13.9
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct -e '.[test]'
	touch $(LOWEST)/.ready

format: $(READY)
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

changelog: $(READY)
	$(RUN)/python changelog/assemble.py

clean:
	rm -rf $(VENV) $(LOWEST) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
