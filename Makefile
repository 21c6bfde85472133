# Everything a newcomer needs; `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DIGITS := .trainyard/digits.npz
DASHBOARD := dashboard/dist/index.html

.PHONY: help install run example test test-all check bench migrate lock chaos screenshots docs clean

help:  ## Show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: $(INSTALLED) $(DASHBOARD)  ## Make .venv with everything in it

$(INSTALLED): requirements.lock pyproject.toml
	@echo "Installing into .venv; the first time this takes a few minutes."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Trainyard needs Python 3.11 or newer; say make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(INSTALLED)

# Without it the gateway runs as well, and says how to build it.
$(DASHBOARD): $(shell find dashboard/src -type f) dashboard/package-lock.json dashboard/build.mjs | $(INSTALLED)
	@$(BIN)/python -m dashboard || echo "The dashboard was not built, which needs the npm registry; the rest works without it." >&2

run: install $(DIGITS)  ## Start a yard on this machine and train the README's model in it
	@$(BIN)/trainyard up --submit examples/digits/job.json --data-file $(DIGITS)

$(DIGITS): examples/digits/data.py | $(INSTALLED)
	@mkdir -p $(dir $(DIGITS))
	@$(BIN)/python examples/digits/data.py $(DIGITS)

example: install  ## Run an example to its score; NAME=mnist_mlp EPOCHS=3 DATA=file.npz
	@$(BIN)/python -m examples.run $(if $(NAME),$(NAME),mnist_mlp) $(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(DATA),--data $(DATA))

test: install  ## Run the tests
	@$(BIN)/pytest -n auto --dist loadgroup

test-all: install  ## Run the tests, the long ones too
	@$(BIN)/pytest -n auto --dist loadgroup -m "slow or not slow"

check: install  ## Lint, types, who may import whom, migrations
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m dashboard check
	@$(BIN)/lint-imports --no-logo
	@scratch=$$(mktemp -d) && export TRAINYARD_DATABASE_URL=sqlite:///$$scratch/check.db && trap 'rm -rf $$scratch' EXIT && \
	  $(BIN)/alembic -c migrations/alembic.ini upgrade head && $(BIN)/alembic -c migrations/alembic.ini check

chaos: install  ## Run jobs while everything fails; JOBS=1000 SEED=1 WORKERS=4
	@$(BIN)/python -m tests.chaos $(if $(JOBS),--jobs $(JOBS)) $(if $(SEED),--seed $(SEED)) $(if $(WORKERS),--workers $(WORKERS))

bench: install  ## Measure; see benchmarks/RESULTS.md
	@$(BIN)/python -m benchmarks.run

screenshots: install $(DIGITS)  ## Take the pictures of docs/images anew
	@$(BIN)/python tools/screenshots

docs: install  ## Build the pages of docs/ into site/
	@$(BIN)/python -m tools.reference
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

migrate: install  ## Bring the database of TRAINYARD_DATABASE_URL up to date
	@$(BIN)/alembic -c migrations/alembic.ini upgrade head

lock:  ## Resolve requirements.lock anew
	@./tools/lock $(PYTHON)

clean:  ## Remove what was made, the yard's data included
	rm -rf site dashboard/dist dashboard/node_modules .venv .venv-peers .venv-trackers .trainyard .mypy_cache .ruff_cache .pytest_cache build *.egg-info
