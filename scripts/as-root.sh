#!/bin/sh
# Run a command as root, with sudo where needed; say what is missing and what still works where that cannot be.
set -eu
if [ "$(id -u)" = 0 ]; then
    exec "$@"
elif command -v sudo >/dev/null && sudo -v; then
    exec sudo --preserve-env=PATH "$@"
fi
echo "Not root, and sudo did not help: the lab boots machines and makes network namespaces, which only root may." >&2
echo "  → run this as root. Without it, check, build, plan and explain work, and so does: make test-fast" >&2
exit 1
