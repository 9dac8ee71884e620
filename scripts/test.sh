#!/bin/sh
# Every test: the quick ones, those that mostly wait for programs, then the lab's scenarios, which share booted machines.
set -eu
.venv/bin/pytest -q -m "not integration and not lab and not campaign" -n 2
.venv/bin/pytest -q -m "integration and not campaign" -n 4 --dist worksteal
sh scripts/as-root.sh .venv/bin/pytest -q -m "lab and not campaign" --durations=15
