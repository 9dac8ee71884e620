"""What a bundle for one machine carries beside hentou itself: the machine's name, whom it obeys, and the repository.

    machine             its name
    trust.json          the trust that it starts from, as `hentou pin` takes it: the anchor of all that follows
    repository.bundle   a Git bundle of refs/hentou/statements and refs/hentou/carried, the head of that trust

The repository is no more believed than what comes over a network: it goes through the inbox.
Run by `install.sh` as `python -m hentou.agent.carried FOLDER`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hentou.agent.host import Host
from hentou.agent.inbox import HEADS, INBOX, Inbox
from hentou.agent.local import MACHINE_FILE
from hentou.agent.store import BASE
from hentou.agent.sync import Options, sync
from hentou.agent.trusted import TrustStore
from hentou.effects.disk import parent
from hentou.errors import HentouError
from hentou.ledger.statements import PROPOSALS, REF
from hentou.trust.acceptance import Trust

MACHINE, TRUST, REPOSITORY = "machine", "trust.json", "repository.bundle"
HEAD = "refs/hentou/carried"
WAITING = f"{BASE}/waiting"
"""There as long as a machine that came from such a bundle is to show who it is, and to call home."""

_SECONDS, _SIZE = 300.0, 2**30
_FROM = f"{PROPOSALS}/bundle"


def take(host: Host, folder: Path) -> Trust | None:
    """Pin this machine to what a bundle carries, and take its repository in; None when it is no machine's bundle.

    A machine that is pinned already stays so: running it again only updates hentou. HentouError when the bundle is
    damaged.
    """
    if not (folder / TRUST).is_file():
        return None
    trusted = TrustStore(host)
    name = (folder / MACHINE).read_text().strip()
    with trusted.lock(patience=30):
        before = trusted.trust()
        trust = before or trusted.pin((folder / TRUST).read_bytes())
    if before and trusted.complete():
        return trust
    host.disk.make_directory(parent(MACHINE_FILE))
    host.disk.replace(MACHINE_FILE, f"{name}\n".encode())
    _fill(host, folder / REPOSITORY)
    host.disk.replace(WAITING, b"", 0o600)
    return trust


def _fill(host: Host, bundle: Path) -> None:
    inbox = Inbox(host.disk)
    inbox.prepare()
    wanted = [f"+{REF}:{_FROM}", f"+{HEAD}:{HEADS}/carried"]
    if why := inbox.store.fetch(bundle.resolve(), wanted, seconds=_SECONDS, size=_SIZE):
        raise HentouError(f"{bundle}: {why}", "make the bundle again: `hentou bundle --machine`")
    sync(host, Options(inbox_only=True, follow=False))
    if not TrustStore(host).complete():
        raise HentouError(
            f"{bundle} does not hold what its trust.json speaks of, so that {host.disk.at(INBOX)} keeps it unused",
            "make the bundle again: `hentou bundle --machine`",
        )


def main(folder: str) -> int:
    """Take what a folder carries; the exit status."""
    try:
        trust = take(Host(), Path(folder))
    except HentouError as error:
        print(f"{error.message}\n  → {error.hint}", file=sys.stderr)  # noqa: T201 - install.sh has no other voice
        return 1
    if trust:
        print(f"pinned to repository {trust.repository[:8]} at step {trust.sequence}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
