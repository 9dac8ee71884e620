"""The machine's part in the journals: others' are taken in, its own tells what changed, by difference.

    exchange(host, incoming, peer) -> Ingested     after refs/incoming/journals/* were fetched from a peer
    notice(host) -> int                            entries written (others may wait in the outbox)
    log(host, about, person, text) -> bool         a changelog entry; whether it is written already
    tidy(host) -> bool                             called by `notice`

An entry gets its number only once, since this boot, the own journal was fetched from a peer: a machine restored from
a backup would otherwise give a number a second time, and fork itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from hentou.agent import alarms, growth, outbox
from hentou.agent.host import Host
from hentou.agent.identity import KEYS
from hentou.agent.local import this_machine
from hentou.agent.members import members
from hentou.agent.outbox import Draft
from hentou.agent.standing import has_store, standing, store
from hentou.agent.store import BASE
from hentou.effects.disk import LockedError
from hentou.effects.gitstore import GitStore
from hentou.errors import HentouError
from hentou.ledger import journals
from hentou.ledger.journals import Fault, Ingested, Journal, ingest_all
from hentou.trust.journal import Event, Kind, Standing, events, key_id
from hentou.trust.roster import fingerprint

INCOMING = "refs/incoming/journals"
KEY = f"{KEYS}/journal"
LOCK = f"{BASE}/journal.lock"
HEARD = "/run/hentou/heard"
"""Holds the boot in which the own journal was last fetched from a peer."""

AGENT = "/etc/hentou/agent.json"
REPORT_EVERY = timedelta(days=1)
MOST_A_DAY = 24
"""Entries of one chatty kind: an attacker who is refused all day must not fill every disk of the collective."""

MOST_NOTES = 200
"""Changelog entries a day: every machine keeps each of them for ever."""

LOOSE = 500
PACKS = 50
_CHATTY = (Kind.REFUSED, Kind.ALARM, Kind.REPORT)
_BOOT = "/proc/sys/kernel/random/boot_id"
_LOOK_BACK = 300
_REPACK = 600.0


def exchange(host: Host, incoming: GitStore, peer: str) -> Ingested:
    """Take in the journals that were fetched from a peer into `incoming`, under refs/incoming/journals.

    Those refs are dropped then, so that nobody is blamed for what another served. From now on, this machine's own
    entries may be written: it has heard what the peer knows of its journal.
    """
    refs = incoming.refs(INCOMING)
    named = {Journal.of(ref): tip for ref, tip in refs.items()}
    offers = {journal: tip for journal, tip in named.items() if journal}
    known, here, name = members(host.disk).journals, store(host), this_machine(host.disk)
    # The own journal must come whole before it is written on.
    found = ingest_all(here, incoming, offers, known, growth.room(host, known.keys() - {name}))
    growth.grown(host, found.grown)
    texts = [alarm.text(peer) for alarm in found.alarms if alarm.fault is not Fault.FORKED]
    alarms.seen(host, [*texts, *(growth.text(machine) for machine in found.cut if machine != name)])
    if refs:
        incoming.update(dict.fromkeys(refs, ""))
    # Only members' journals are asked for: who does not know itself to be one has not heard of its own.
    if name in known and _is_here(here, Journal(name, key_id(known[name])), offers):
        _hear(host)
    return found


def _is_here(here: GitStore, journal: Journal, offers: Mapping[Journal, str]) -> bool:
    """Whether nothing is missing here of a journal that a peer offered; one that is frozen is not written anyway."""
    tip, ours = offers.get(journal, ""), here.get(journal.ref)
    if not tip or tip == ours or journal in journals.frozen(here):
        return True
    return bool(ours) and here.is_ancestor(tip, ours)


def _hear(host: Host) -> None:
    boot = _boot(host)
    if host.disk.read_or_none(HEARD) != boot:
        host.disk.make_directory("/run/hentou")
        host.disk.write(HEARD, boot)


def _boot(host: Host) -> bytes:
    return host.disk.read_or_none(_BOOT) or b"unknown\n"


def may_write(host: Host) -> bool:
    """Whether the own journal was fetched from a peer since this boot, or there is none to fetch it from."""
    return host.disk.read_or_none(HEARD) == _boot(host) or _alone(host)


def _alone(host: Host) -> bool:
    data = host.disk.read_or_none(AGENT)
    if data is None:
        # Before the first activation: the accepted head says who else there is.
        known = members(host.disk)
        return bool(known.head) and set(known.journals) <= {this_machine(host.disk)}
    try:
        return not json.loads(data)["peers"]
    except (ValueError, KeyError, TypeError):
        return False


def notice(host: Host) -> int:
    """Write into the own journal what has changed since its newest entry, and once a day a report; the entries written.

    Nothing on a machine without name, key or repository. What cannot be written yet waits in the outbox.
    """
    machine = _machine(host)
    if not machine:
        return 0
    try:
        with host.disk.lock(LOCK, "another hentou command writes this machine's journal"):
            written = _tell(host, machine)
    except LockedError:
        return 0
    tidy(host)
    return written


def _tell(host: Host, machine: str) -> int:
    written = _flush(host, machine)
    if drafts := _drafts(host, machine):
        # A full outbox is no reason to fail: the difference is still there when it has room.
        with suppress(HentouError):
            outbox.put(host.disk, drafts)
        written += _flush(host, machine)
    return written


def _machine(host: Host) -> str:
    """The machine's name; empty where it cannot have a journal yet."""
    ready = has_store(host) and host.disk.stat(f"{KEY}.pub") and host.disk.stat(KEY)
    with suppress(HentouError):
        return this_machine(host.disk) if ready else ""
    return ""


_PATIENCE = 60.0
"""Seconds that a person waits for the agent, which may be taking in what peers have."""


def log(host: Host, about: str, person: str, text: str) -> bool:
    """Put a changelog entry about a machine into this machine's journal; False while it waits in the outbox.

    HentouError when this machine has no journal, or a frozen one, or too many entries wait.
    """
    machine = _machine(host)
    if not machine:
        raise HentouError(
            "this machine has no journal yet: its name, its keys or its repository are missing",
            "an admin enrols it: `hentou adopt ssh://HOST`",
        )
    if Journal(machine, key_id(_public(host))) in journals.frozen(store(host)):
        raise HentouError(journals.frozen_text(machine), "an admin enrols this machine anew, with a new journal key")
    with host.lock(LOCK, "another hentou command writes this machine's journal", _PATIENCE):
        # What changed is told first: this entry repeats the standing, and would hide the change.
        _tell(host, machine)
        if _today(host, machine)[Kind.CHANGELOG] >= MOST_NOTES:
            raise HentouError(f"{MOST_NOTES} notes were written here today", "say the rest tomorrow, or elsewhere")
        last, _ = _last(host, machine)
        draft = Draft(Kind.CHANGELOG, text, host.moment(), last or Standing(), about, person)
        outbox.put(host.disk, [draft])
        return bool(_flush(host, machine))


def _drafts(host: Host, machine: str) -> list[Draft]:
    before, told_at = _last(host, machine)
    now = standing(host, before)
    found, now = _calm(host, machine, before or Standing(), now)
    if before is None:
        found.insert(0, (Kind.ENROLLED, _beginning(host, machine), {}))
    elif not found and _due(told_at, host.now()):
        found = [(Kind.REPORT, "stands as told here", {})]
    at = host.moment()
    return [Draft(kind, text, at, now, data=data) for kind, text, data in found]


def _beginning(host: Host, machine: str) -> str:
    return f"{machine} begins its journal with key {fingerprint(_public(host))}"


def _last(host: Host, machine: str) -> tuple[Standing | None, str]:
    """The newest standing that was told, or waits to be, and when; None where the journal is empty."""
    if draft := outbox.last(host.disk):
        return draft.standing, draft.at
    kept = journals.newest(store(host), machine, _public(host))
    return (kept.entry.standing, kept.entry.at) if kept else (None, "")


def _due(told_at: str, now: datetime) -> bool:
    """Whether the newest entry is older than a day, or from a time that is still to come."""
    try:
        return not timedelta(hours=-1) < now - datetime.fromisoformat(told_at) < REPORT_EVERY
    except (ValueError, TypeError):
        return True


def _calm(host: Host, machine: str, before: Standing, now: Standing) -> tuple[list[Event], Standing]:
    """What happened, without the kinds of which enough was told today; these stay to be told later."""
    found = events(before, now)
    if not {kind for kind, _, _ in found} & set(_CHATTY):
        return found, now
    today = _today(host, machine)
    # Held back, a difference stays, and is told another day.
    if today[Kind.REFUSED] >= MOST_A_DAY:
        now = replace(now, refused=before.refused)
    if today[Kind.ALARM] >= MOST_A_DAY:
        now = replace(now, alarms=before.alarms)
    found = events(before, now)
    quiet = today[Kind.REPORT] >= MOST_A_DAY and all(kind is Kind.REPORT for kind, _, _ in found)
    return ([] if quiet else found), now


def _today(host: Host, machine: str) -> Counter[Kind]:
    now, ref = host.now(), Journal(machine, key_id(_public(host))).ref
    here = store(host)
    since = (now - timedelta(days=1)).isoformat(timespec="seconds")
    told = [kept.entry for kept in journals.entries(here, ref, _LOOK_BACK, since)] if here.get(ref) else []
    times = [(entry.kind, entry.at) for entry in told]
    times += [(draft.kind, draft.at) for _, drafts in outbox.waiting(host.disk) for draft in drafts]
    return Counter(kind for kind, at in times if since <= at <= host.moment())


def _flush(host: Host, machine: str) -> int:
    """Write what waits, in order, when this machine may write; the entries written."""
    files = list(outbox.waiting(host.disk))
    here, key = store(host), Path(host.disk.at(KEY))
    journal = Journal(machine, key_id(_public(host)))
    if not files or not may_write(host) or journal in journals.frozen(here):
        return 0
    told = _told(here, journal)
    written = 0
    if not here.get(journal.ref) and files[0][1] and files[0][1][0].kind is not Kind.ENROLLED:
        # A new key, with entries that had waited for it.
        first = files[0][1][0]
        _append(here, machine, key, replace(first, kind=Kind.ENROLLED, text=_beginning(host, machine), about=""))
    for path, drafts in files:
        for draft in drafts:
            if draft.identity not in told:
                _append(here, machine, key, draft)
                written += 1
        host.disk.remove(path)
    host.disk.flush()
    here.flush()
    return written


def _append(here: GitStore, machine: str, key: Path, draft: Draft) -> None:
    journals.append(
        here, machine, key, kind=draft.kind, text=draft.text, at=draft.at, standing=draft.standing,
        about=draft.about, person=draft.person, data=draft.data,
    )  # fmt: skip


def _told(here: GitStore, journal: Journal) -> frozenset[tuple[str, ...]]:
    """The newest entries, to recognise those of an outbox that a power cut, or a backup, has left."""
    kept: Iterable[journals.Kept] = journals.entries(here, journal.ref, _LOOK_BACK) if here.get(journal.ref) else ()
    return frozenset(outbox.identity(one.entry) for one in kept)


def _public(host: Host) -> str:
    return host.disk.read(f"{KEY}.pub").decode(errors="replace").strip()


def tidy(host: Host) -> bool:
    """Pack the repository when it has many loose objects or packs; whether it did. Small packs are joined, so that
    each object is written again only a few times in its life.
    """
    here = store(host)
    if not has_store(host):
        return False
    told = dict(line.split(": ", 1) for line in here.git("count-objects", "-v").stdout.splitlines() if ": " in line)
    if int(told.get("count", 0)) <= LOOSE and int(told.get("packs", 0)) <= PACKS:
        return False
    here.git("repack", "-d", "--geometric=2", "-q", timeout=_REPACK)
    return True
