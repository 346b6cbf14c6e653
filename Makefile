# Every target does all the set-up that it needs; a second call does none of it again.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
RUN := OMP_WAIT_POLICY=PASSIVE $(VENV)/bin

.PHONY: setup demo test test-slow format changelog clean

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

format: $(READY)
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

changelog: $(READY)
	$(RUN)/python changelog/assemble.py

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
