# hilum: `make demo` runs the main job on embedded data, `make test` and `make test-all` run the tests.
# Both first build .venv from the pinned versions in requirements.txt.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help env demo test test-all check docs dist check-dist lock clean

help:  ## Show the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/'

env: .venv/ready  ## Build .venv from the pinned versions, extras included.

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "hilum needs Python 3.11, 3.12 or 3.13; this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch .venv/ready

demo: env  ## Draw phantoms, train on them, judge the model, classify one film (1.5 minutes, up to 4 on a busy machine).
	$(BIN)/hilum demo

# Two processes of one BLAS thread each.
PYTEST := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test: env  ## Run the tests but the slow ones.
	$(PYTEST) -m "not slow"

test-all: env  ## Run all tests.
	$(PYTEST)

check: env  ## Lint, types, import contracts, documentation.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

docs: env  ## Build the documentation: site/index.html.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

dist: env  ## Build a wheel and a source archive in dist/.
	rm -rf dist
	$(BIN)/python -m hatchling build --directory dist

check-dist: dist  ## Install the wheel into a fresh environment, with the pinned versions, and run it.
	sed -e '/^ *--hash/d' -e 's/ *\\$$//' requirements.txt >dist/constraints.txt
	$(PYTHON) -m venv --clear dist/fresh
	dist/fresh/bin/python -m pip install --quiet --disable-pip-version-check --constraint dist/constraints.txt dist/*.whl
	cd dist && fresh/bin/python -c "import cv2, numpy; from hilum.data.phantom import draw_phantom; cv2.imwrite('film.png', draw_phantom('Normal', numpy.random.default_rng(0)))"
	cd dist && fresh/bin/hilum --version && fresh/bin/hilum predict film.png

# Every extra but train-gpu: its TensorFlow and that of train overwrite each other.
EXTRAS := train study serve parquet kaggle dicom cluster pandas track

lock:  ## Pin anew (needs uv): names, versions and hashes, no download addresses.
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --no-annotate $(EXTRAS:%=--extra %) --group dev pyproject.toml --output-file requirements.txt

clean:  ## Remove what the build made.
	rm -rf .venv dist site hilum-demo .pytest_cache .hypothesis .mypy_cache .ruff_cache
