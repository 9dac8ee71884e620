# One command each: `make lab` boots the pilot collective, `make test` runs every test. Both set themselves up.

PYTHON ?= python3
HENTOU := .venv/bin/hentou
LAB ?= lab
EXAMPLE ?= examples/pilot

.PHONY: help setup packages lab lab-down test test-fast lint campaign bench golden reference lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/.installed  ## make .venv with .venv/bin/hentou

.venv/.installed: requirements/development.txt pyproject.toml scripts/setup.sh
	@PYTHON=$(PYTHON) sh scripts/setup.sh

packages:  ## install the Debian packages that the lab needs
	@sh scripts/packages.sh

lab: setup packages  ## boot examples/pilot on this machine until everything is green
	@sh scripts/as-root.sh $(HENTOU) lab up $(EXAMPLE) --name $(LAB)

lab-down: setup  ## stop the lab, leaving nothing behind
	@sh scripts/as-root.sh $(HENTOU) lab down --name $(LAB)

test: setup lint  ## every test, lab scenarios included
	@sh scripts/packages.sh --tests
	@sh scripts/test.sh

test-fast: setup lint  ## what needs no root: seconds
	.venv/bin/pytest -q -m "not integration and not lab and not campaign" -n 2

lint: setup  ## ruff, mypy --strict, import contracts
	.venv/bin/ruff check src tests benchmarks
	.venv/bin/ruff format --check src tests benchmarks
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

campaign: setup packages  ## long runs: thousands of generated inputs, power cuts by the hundred
	HYPOTHESIS_PROFILE=campaign .venv/bin/pytest -q -m "not lab and not campaign" -n 2
	@sh scripts/as-root.sh .venv/bin/pytest -q -m campaign

bench: setup packages  ## measure, and write docs/benchmarks.md
	@sh scripts/as-root.sh .venv/bin/python -m benchmarks

golden: setup  ## write the expected files of the golden tests again; review the difference
	HENTOU_REGENERATE=1 .venv/bin/pytest -q tests/golden tests/problems

reference: setup  ## write docs/reference from the types and the commands
	.venv/bin/python -m hentou.cli.reference docs/reference

lock: setup  ## lock the dependencies again, with hashes
	sh scripts/lock.sh

clean:  ## remove what was built here; the lab's cached image stays
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
