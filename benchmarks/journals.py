"""The journals of a whole collective over a year: how much disk they take, and how soon `hentou status` answers."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path
from typing import NamedTuple

from benchmarks.report import Section
from hentou.agent.host import Host
from hentou.agent.journals import AGENT, tidy
from hentou.agent.local import MACHINE_FILE
from hentou.agent.members import MEMBERS, Members
from hentou.agent.standing import store
from hentou.effects import clock
from hentou.effects.disk import Disk
from hentou.effects.gitstore import GitStore
from hentou.effects.process import run
from hentou.ledger import journals
from hentou.ledger.entries import write
from hentou.ledger.journals import Journal, ingest_all
from hentou.trust.journal import Entry, Kind, Standing, key_id

MACHINES, DAYS, A_DAY = 50, 365, 6
TOGETHER = 500
"""New entries between two looks at whether the repository is to be packed."""

_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_STATUS = """
import sys
from pathlib import Path
from hentou.agent.host import Host
from hentou.cli import status
from hentou.effects.disk import Disk
status.Host = lambda: Host(Disk(Path(sys.argv[1])))
status.status(json=False)
"""


@dataclass
class Writer:
    """One machine: its key, where it stands, and the end of its journal."""

    name: str
    key: Path
    public: str
    shape: bytes
    """A signature of its key, taken apart, without the 64 bytes that differ from one to the next."""

    standing: Standing = field(default_factory=Standing)
    sequence: int = 0
    tip: str = ""

    @property
    def journal(self) -> Journal:
        """Where it writes."""
        return Journal(self.name, key_id(self.public))


def writer(folder: Path, name: str) -> Writer:
    """A machine with a real key."""
    key = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key])
    (folder / "data").write_bytes(b"data")
    run(["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", key, folder / "data"])
    armour = (folder / "data.sig").read_text().splitlines()[1:-1]
    (folder / "data.sig").unlink()
    return Writer(name, key, Path(f"{key}.pub").read_text().strip(), base64.b64decode("".join(armour))[:-64])


def year(writers: list[Writer], days: int, chance: random.Random) -> Iterator[tuple[Writer, Entry]]:
    """What all of them write, as it happens: one change a day for all, and each machine's own small events."""
    start = datetime(2027, 1, 1, tzinfo=UTC)
    for part in range(days * A_DAY):
        head = random.Random(part // A_DAY).randbytes(20).hex()
        change = Change(part // A_DAY + 1, head, chance)
        for number, one in enumerate(writers):
            at = (start + timedelta(hours=4 * part, seconds=number)).isoformat(timespec="seconds")
            kind, text, one.standing = _event(one.standing, part % A_DAY, at, change)
            one.sequence += 1
            yield one, Entry(one.name, one.sequence, at, kind, text, one.standing, data=_data(kind, one.standing))


class Change(NamedTuple):
    """What is published on a day, and what is left to chance."""

    step: int
    head: str
    chance: random.Random


def _data(kind: Kind, standing: Standing) -> dict[str, object]:
    if kind is not Kind.ACTIVATED:
        return {}
    return {"commit": standing.active, "sequence": standing.active_sequence, "generation": standing.generation}


def _event(before: Standing, part: int, at: str, change: Change) -> tuple[Kind, str, Standing]:
    step, head, chance = change
    match part:
        case 0:
            return (
                Kind.REPORT,
                f"accepted step {step} ({head[:12]})",
                replace(before, sequence=step, head=head, epoch=1),
            )
        case 1:
            made = chance.randbytes(32).hex()
            now = replace(before, active=head, active_sequence=step, generation=made, since=at, undone="", failed={})
            return Kind.ACTIVATED, f"activated step {step} ({head[:12]})", now
        case 2 if chance.random() < 0.1:
            why = "page: https://kerminy.pilot.example/ answered 502 for 30 s"
            return Kind.UNDONE, f"undone: {head[:12]}: {why}", replace(before, undone=head, failed={head: why})
        case 3:
            paths = () if before.held else ("/etc/nginx/nginx.conf",)
            return Kind.HELD, "held by hand edits of /etc/nginx/nginx.conf", replace(before, held=paths)
        case 4:
            return (
                Kind.CHANGELOG,
                f"looked after the {chance.choice(['fan', 'disk', 'cable', 'box'])}, all well",
                before,
            )
    return Kind.REPORT, "stands as told here", before


def commit(one: Writer, entry: Entry, chance: random.Random) -> bytes:
    """The commit of an entry: its signature is as long, and as hard to compress, as a real one, but is none."""
    armour = base64.b64encode(one.shape + chance.randbytes(64)).decode()
    lines = [armour[start : start + 70] for start in range(0, len(armour), 70)]
    signature = "\n ".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----"])
    when = f"{one.name} <{one.name}@hentou> {int(datetime.fromisoformat(entry.at).timestamp())} +0000"
    parent = f"parent {one.tip}\n" if one.tip else ""
    head = f"tree {_TREE}\n{parent}author {when}\ncommitter {when}\ngpgsig {signature}\n"
    return head.encode() + b"\n" + entry.json


def loose(repository: Path, data: bytes) -> str:
    """Write a loose object as Git does."""
    whole = b"commit %d\0" % len(data) + data
    name = sha1(whole).hexdigest()  # noqa: S324 - Git's own name for it
    folder = repository / "objects" / name[:2]
    folder.mkdir(exist_ok=True)
    (folder / name[2:]).write_bytes(zlib.compress(whole, 1))
    return name


def generate(host: Host, writers: list[Writer], days: int, together: int = TOGETHER) -> int:
    """Write the journals of so many days into a machine's repository, tidied as it is in life; the entries written.

    The newest entry of each journal is signed in earnest.
    """
    chance = random.Random(1)
    here = store(host)
    here.git("mktree", stdin="")
    written = 0
    for one, entry in year(writers, days, chance):
        one.tip = loose(here.path, commit(one, entry, chance))
        written += 1
        if written % together == 0:
            here.update({each.journal.ref: each.tip for each in writers if each.tip})
            tidy(host)
    here.update({one.journal.ref: one.tip for one in writers})
    for one in writers:
        sign(here, one)
    tidy(host)
    return written + len(writers)


def sign(here: GitStore, one: Writer) -> None:
    """One more entry, signed in earnest."""
    last = journals.newest(here, one.name, one.public)
    if last is None:
        raise RuntimeError(f"no journal of {one.name}")
    entry = replace(last.entry, sequence=last.entry.sequence + 1)
    one.tip = write(here, entry, one.key, last.commit)
    here.update({one.journal.ref: one.tip})


def machine(root: Path, writers: list[Writer]) -> Host:
    """The first of these machines, on a disk that is a directory."""
    host = Host(Disk(root))
    GitStore.init(root / "var/lib/hentou/repo.git")
    sites = {one.name: f"site-{number}" for number, one in enumerate(writers)}
    members = Members("0" * 40, {one.name: one.public for one in writers}, sites)
    host.disk.make_directory("/etc/hentou")
    host.disk.write(MACHINE_FILE, f"{writers[0].name}\n".encode())
    host.disk.write(MEMBERS, members.json, 0o600)
    host.disk.write(AGENT, json.dumps({"peers": []}).encode())
    return host


def taken(path: Path) -> int:
    """Bytes of disk that a directory takes, as du(1) counts."""
    return sum(file.lstat().st_blocks * 512 for file in (path, *path.rglob("*")))


def behind(writers: list[Writer], here: GitStore, path: Path, days: int) -> tuple[GitStore, int]:
    """A repository that knows the journals only up to some days ago; and how many entries it misses."""
    other = GitStore.init(path)
    count = days * A_DAY
    old = {one.journal.ref: here.git("rev-parse", f"{one.tip}~{count}").stdout.strip() for one in writers}
    specs = [f"{tip}:{ref}" for ref, tip in old.items()]
    if why := other.fetch(here.path, specs, seconds=600, size=2**30):
        raise RuntimeError(why)
    return other, count * len(writers)


def measure(work: Path) -> Section:
    """Generate the year, then measure its size, `hentou status`, and a machine that was away for a month."""
    place = work / "journals"
    shutil.rmtree(place, ignore_errors=True)
    section = Section(
        "Journals of a year",
        f"{MACHINES} machines, {DAYS} days, {A_DAY} entries a day each, on one of the machines. "
        "Budgets: 200 MB; `hentou status` in 1 s; a month's absence in seconds.",
        ("what", "measured"),
    )
    writers = [writer(place / "keys", f"box-{number}") for number in range(MACHINES)]
    host = machine(place / "root", writers)
    begin = clock.monotonic()
    count = generate(host, writers, DAYS)
    made = clock.monotonic() - begin
    here = store(host)
    section.rows.append(("entries", f"{count}"))
    section.rows.append(("disk, after tidying", f"{taken(here.path) / 1e6:.0f} MB"))
    section.rows.append(("`hentou status`, whole command", f"{_status(place / 'root'):.2f} s"))
    other, missed = behind(writers, here, place / "behind.git", 30)
    begin = clock.monotonic()
    got = ingest_all(other, here, {one.journal: one.tip for one in writers}, {one.name: one.public for one in writers})
    if sum(got.new.values()) != missed or got.alarms:
        raise RuntimeError(f"not all was taken in: {got}")
    section.rows.append((f"taking in a month, {missed} entries", f"{clock.monotonic() - begin:.1f} s"))
    section.notes.append(
        f"Entries were written one by one as in life, and packed whenever more than {TOGETHER} were loose "
        f"({made:.0f} s for the year)."
    )
    section.notes.append(
        "Their signatures are random bytes in the form of real ones, so that they compress as badly; only the newest "
        "of each journal is real, which is what machines check."
    )
    return section


def _status(root: Path) -> float:
    command = [sys.executable, "-c", _STATUS, root]
    times = []
    for _ in range(5):
        begin = clock.monotonic()
        said = run(command, env={**os.environ, "NO_COLOR": "1"}).stdout
        times.append(clock.monotonic() - begin)
    if said.count("site-") != MACHINES:
        raise RuntimeError(f"not every machine is told:\n{said}")
    return sorted(times)[2]
