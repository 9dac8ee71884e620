#!/bin/sh
# Every test: the quick ones on all processors, then the lab's scenarios, which share booted machines.
set -eu
.venv/bin/pytest -q -m "not lab and not campaign" -n 2
sh scripts/as-root.sh .venv/bin/pytest -q -m "lab and not campaign" --durations=15
