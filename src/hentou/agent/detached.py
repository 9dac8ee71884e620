"""Whether this machine follows the collective's intent, or was deliberately detached from it, by whom and why."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from hentou.agent.host import Host
from hentou.agent.store import BASE
from hentou.errors import HentouError

PATH = f"{BASE}/detached.json"
LONGEST = 500
"""Characters of a reason: it is repeated in every entry of the machine's journal."""

_SPAN = re.compile(r"(\d{1,5})\s?(d|h|min)")
_UNITS = {"d": "days", "h": "hours", "min": "minutes"}


@dataclass(frozen=True)
class Detached:
    """Detached by whom and why; `since` and `until` are ISO 8601 in UTC, `until` is empty for an open end."""

    by: str
    why: str
    since: str
    until: str = ""

    @property
    def record(self) -> dict[str, str]:
        """For JSON and for a `Standing`; what is empty is left out."""
        return {name: str(value) for name, value in asdict(self).items() if value}


def current(host: Host) -> Detached | None:
    """How this machine is detached; None while it is attached, also when the agreed time is over.

    A record that cannot be read still detaches: whoever wrote it wanted this machine to be left alone.
    """
    data = host.disk.read_or_none(PATH)
    if data is None:
        return None
    found = _parse(data)
    return None if found.until and _moment(found.until) <= host.now() else found


def _parse(data: bytes) -> Detached:
    try:
        record = json.loads(data)
        found = Detached(*(str(record.get(name) or "") for name in ("by", "why", "since", "until")))
        if found.until:
            _moment(found.until)
    except (ValueError, AttributeError, RecursionError):
        return Detached("", f"{PATH} cannot be read", "")
    return found


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def detach(host: Host, *, by: str, why: str, until: datetime | None = None) -> Detached:
    """Stop following the collective's intent; durable on return.

    Detaching again renews reason and end, and keeps the beginning. HentouError for an empty or too long reason, and
    for an end that is past.
    """
    why = " ".join("".join(c if c.isprintable() else " " for c in why).split())
    if not why:
        raise HentouError("a detached machine needs a reason, for the others to see", 'give one: --why "TEXT"')
    if len(why) > LONGEST:
        raise HentouError(f"a reason of {len(why)} characters", f"say it in at most {LONGEST}")
    if until and until <= host.now():
        raise HentouError(f"{until.isoformat(timespec='minutes')} is past", "give a later time, or leave --until away")
    before = current(host)
    end = until.astimezone(UTC).isoformat(timespec="seconds") if until else ""
    found = Detached(by, why, (before.since if before else "") or host.moment(), end)
    host.store.prepare()
    text = json.dumps(found.record, indent=1, sort_keys=True, ensure_ascii=False)
    host.disk.replace(PATH, f"{text}\n".encode())
    return found


def attach(host: Host) -> Detached | None:
    """Follow the collective's intent again; durable on return. How it was detached, None when it was not."""
    before = current(host)
    host.disk.remove(PATH)
    host.disk.flush()
    return before


def parse_until(text: str, now: datetime) -> datetime:
    """A moment from `2027-01-31` (its first minute), `2027-01-31T18:00`, `3d`, `12h` or `90min`; HentouError else.

    Dates without a zone are of the zone of whoever types them.
    """
    hint = "write a day, a moment or a span: 2027-01-31, 2027-01-31T18:00, 3d, 12h, 90min"
    try:
        if span := _SPAN.fullmatch(text.strip()):
            return now + timedelta(**{_UNITS[span[2]]: int(span[1])})
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise HentouError(f"--until {text!r} is no time", hint) from error
