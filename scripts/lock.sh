#!/bin/sh
# Lock the dependencies again, with hashes, for every platform; uv is used from an environment of its own.
set -eu
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
python3 -m venv "$tool"
"$tool/bin/pip" --quiet install uv
compile() { "$tool/bin/uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header "$@"; }
compile pyproject.toml --upgrade --output-file requirements/runtime.txt
compile pyproject.toml --group dev --upgrade --output-file requirements/development.txt
