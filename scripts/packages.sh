#!/bin/sh
# Install the Debian packages that the lab needs on this machine, if any is missing; with --tests, also the tests'.
set -eu
if ! command -v dpkg-query >/dev/null; then
    echo "This is not a Debian machine: the lab needs systemd-nspawn, mmdebstrap, nftables, iproute2 and their friends." >&2
    echo "  → boot Debian 12 or 13 (a virtual machine will do). Here, this works: make setup, make test-fast" >&2
    exit 1
fi
missing=$(.venv/bin/python -m hentou.lab.requirements --missing "$@" | tr '\n' ' ')
[ -n "$missing" ] || exit 0
echo "packages: installing $missing"
export DEBIAN_FRONTEND=noninteractive
sh scripts/as-root.sh sh -c "apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null"
