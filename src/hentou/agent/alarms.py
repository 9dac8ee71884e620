"""What somebody must look at: kept for a day after it was last seen, so that it is told once and not at every sync.

/var/lib/hentou/alarms.json (root, 0600): {TEXT: "when it was last seen"}.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta

from hentou.agent.host import Host
from hentou.agent.store import BASE

FILE = f"{BASE}/alarms.json"
LASTING = timedelta(days=1)
MOST, LONGEST = 50, 300
"""Alarms, and characters of one."""

_AGAIN = timedelta(hours=1)
"""How often the time of the same alarm is renewed: a peer may be asked every few seconds."""


def seen(host: Host, texts: Iterable[str]) -> None:
    """Note alarms that were seen just now, durably."""
    now, kept = host.now(), _kept(host)
    fresh = {
        text: now
        for text in (text[:LONGEST] for text in texts)
        if not kept.get(text, datetime.min.replace(tzinfo=now.tzinfo)) > now - _AGAIN
    }
    if fresh:
        latest = sorted((kept | fresh).items(), key=lambda item: item[1])[-MOST:]
        record = {text: at.isoformat(timespec="seconds") for text, at in latest}
        host.disk.replace(FILE, json.dumps(record, indent=1, ensure_ascii=False).encode(), 0o600)


def current(host: Host) -> tuple[str, ...]:
    """Alarms of the last day, in the order of their texts."""
    return tuple(sorted(_kept(host)))


def _kept(host: Host) -> dict[str, datetime]:
    try:
        record = json.loads(host.disk.read_or_none(FILE) or b"{}")
        found = {str(text): datetime.fromisoformat(at) for text, at in record.items()}
        now = host.now()
        # A clock that was set back must not keep an alarm for ever.
        return {text: at for text, at in found.items() if now - LASTING < at < now + LASTING}
    except (ValueError, TypeError, AttributeError):
        return {}
