"""How much each journal may still grow here today: a machine that was broken into must not fill every other's disk.

/var/lib/hentou/growth.json (root, 0600): {"day": "2027-03-01", "bytes": {MACHINE: N}}.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from hentou.agent.host import Host
from hentou.agent.store import BASE

FILE = f"{BASE}/growth.json"
A_DAY = 32 * 2**20
"""Bytes of one journal, before Git compresses them; a busy machine writes that in years."""


def room(host: Host, machines: Iterable[str]) -> dict[str, int]:
    """How many bytes may be taken in today of the journals of these machines."""
    used = _used(host)
    return {machine: max(0, A_DAY - used.get(machine, 0)) for machine in machines}


def grown(host: Host, sizes: Mapping[str, int]) -> None:
    """Note that journals grew by these bytes."""
    if sizes:
        used = _used(host)
        total = used | {machine: used.get(machine, 0) + size for machine, size in sizes.items()}
        record = {"day": host.moment()[:10], "bytes": total}
        host.disk.write(FILE, json.dumps(record, sort_keys=True).encode(), 0o600)


def text(machine: str) -> str:
    """What is told of a journal that grows too fast."""
    return f"the journal of {machine} grows by more than {A_DAY >> 20} MiB a day: the rest is not taken in today"


def _used(host: Host) -> dict[str, int]:
    try:
        record = json.loads(host.disk.read_or_none(FILE) or b"{}")
        # A clock that was set anew begins a new day, whichever it is.
        return {str(m): int(n) for m, n in record["bytes"].items()} if record["day"] == host.moment()[:10] else {}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
