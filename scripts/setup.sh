#!/bin/sh
# Make .venv from the lock. Needs only Python; installs Debian's python3-venv if that is missing and it may.
set -eu
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "setup: needs Python 3.11 or newer, and $("$python" --version 2>&1 || echo "no $python is there")." >&2
    echo "  → install it, then: make setup PYTHON=python3.11. Reading docs/ works without." >&2
    exit 1
}
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "setup: Python's venv is missing; installing python3-venv"
    sh scripts/as-root.sh sh -c 'apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null'
fi
echo "setup: making .venv"
"$python" -m venv .venv
pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check "$@"; }
pip install --require-hashes --requirement requirements/development.txt
pip install --no-deps --no-build-isolation --editable .
.venv/bin/hentou --version
touch .venv/.installed
