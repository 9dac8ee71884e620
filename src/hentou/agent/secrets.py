"""Decrypt this machine's secrets and put each where its programs read it: all of them, or none.

Run by `hentou-secrets.service` early at boot and at every change, as `python -m hentou.agent.secrets`. Values are in
memory and in their places only; what is remembered of them is a digest with a salt that a reboot forgets.
"""

from __future__ import annotations

import hmac
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hentou.agent.names import Names
from hentou.agent.store import BASE
from hentou.effects.disk import Disk, parent
from hentou.effects.process import run
from hentou.errors import HentouError

INDEX = "/etc/hentou/secrets.json"
CIPHERTEXTS = "/etc/hentou/secrets"
KEY = f"{BASE}/keys/age.key"
PLACE = "/run/hentou/secrets"
IN_MEMORY = "/run/hentou/secrets.state"
LASTING = f"{BASE}/secrets.json"
"""What was placed in /run, which a reboot clears, and elsewhere: a salt, and each place's digests. They tell what to
take away, unless somebody else has written there since, and which programs to restart.
"""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Placed:
    """One secret, ready to be put in its place. `repr` shows no value."""

    name: str
    path: str
    mode: int
    uid: int
    gid: int
    unit: str
    value: bytes

    def __repr__(self) -> str:
        """The name alone."""
        return f"Placed({self.name!r})"


@dataclass
class Record:
    """What was put where: of each path the digests of what may be there, after a power cut more than one."""

    file: str
    salt: bytes
    digests: dict[str, list[str]]

    @classmethod
    def read(cls, disk: Disk, file: str) -> Record:
        """The record in a file; an empty one, with a new salt, where there is none that can be read."""
        try:
            found: Any = json.loads(disk.read_or_none(file) or b"")
            digests = {str(path): [str(word) for word in words] for path, words in found["digests"].items()}
            return cls(file, bytes.fromhex(found["salt"]), digests)
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls(file, os.urandom(32), {})

    def write(self, disk: Disk) -> None:
        """Replace the file, durably."""
        record = json.dumps({"salt": self.salt.hex(), "digests": self.digests}, sort_keys=True).encode()
        if record != disk.read_or_none(self.file):
            disk.make_directory(parent(self.file))
            disk.replace(self.file, record, 0o600)

    def digest(self, value: bytes) -> str:
        """What tells a value from another, and nothing else without the salt."""
        return hmac.digest(self.salt, value, "sha256").hex()

    def take_away(self, disk: Disk, staying: Iterable[str] = ()) -> int:
        """Remove what was placed and does not stay, unless something else is there by now; how many."""
        found = 0
        for path in sorted(self.digests.keys() - set(staying)):
            value = disk.read_or_none(path)
            if value is not None and self.digest(value) in self.digests[path]:
                found += disk.remove(path)
        return found


def place(disk: Disk, restart: Callable[[Sequence[str]], None], tell: Tell) -> None:
    """Put every secret of the index in its place and take away what left it; then restart whose secret changed.

    HentouError, and nothing is changed, when any of them cannot be decrypted, has no account or cannot be written.
    """
    wanted = _ready(disk, _index(disk))
    parts = [
        (Record.read(disk, IN_MEMORY), [item for item in wanted if item.path.startswith("/run/")]),
        (Record.read(disk, LASTING), [item for item in wanted if not item.path.startswith("/run/")]),
    ]
    changed = [item for record, items in parts for item in items if _differs(record, item)]
    for record, items in parts:
        before = {path: list(words) for path, words in record.digests.items()}
        for item in items:
            words = record.digests.setdefault(item.path, [])
            words += [digest] if (digest := record.digest(item.value)) not in words else []
        if record.digests != before:
            record.write(disk)
    _write_all(disk, wanted)
    gone = 0
    for record, items in parts:
        gone += record.take_away(disk, {item.path for item in items})
        record.digests = {item.path: [record.digest(item.value)] for item in items}
        if record.digests or disk.stat(record.file):
            record.write(disk)
    disk.flush()
    tell(f"{len(wanted)} in place, {len(changed)} changed, {gone} removed")
    if units := sorted({item.unit for item in changed if item.unit}):
        restart(units)


def _differs(record: Record, item: Placed) -> bool:
    return record.digests.get(item.path) != [record.digest(item.value)]


def withdraw(disk: Disk, tell: Tell) -> None:
    """Take every secret away: this machine has none any more."""
    lasting = Record.read(disk, LASTING)
    # What was in memory is remembered: after a restart, programs need none when the same secrets are back.
    gone = Record.read(disk, IN_MEMORY).take_away(disk) + lasting.take_away(disk)
    lasting.digests = {}
    if disk.stat(LASTING):
        lasting.write(disk)
    disk.flush()
    tell(f"{gone} removed")


def _index(disk: Disk) -> list[Mapping[str, str]]:
    data = disk.read_or_none(INDEX)
    try:
        found: Any = json.loads(data or b"[]")
    except ValueError:
        raise HentouError(f"{INDEX} is damaged", "run `hentou converge`") from None
    return list(found)


def _ready(disk: Disk, index: Iterable[Mapping[str, str]]) -> list[Placed]:
    """Everything decrypted, with numbers for accounts. Nothing is written before all of it worked."""
    names = Names.read(disk)
    identity: Any = None
    ready = []
    for entry in index:
        identity = identity or _identity(disk)
        uid, gid = names.ids(f"secret {entry['name']}", entry["owner"], entry["group"])
        value = _decrypted(disk, entry["name"], identity)
        ready.append(
            Placed(entry["name"], entry["path"], int(entry["mode"], 8), uid, gid, entry.get("unit", ""), value)
        )
    return ready


def _identity(disk: Disk) -> Any:
    import pyrage  # type: ignore[import-untyped] # noqa: PLC0415 - a machine that has nothing to decrypt needs none

    data = disk.read_or_none(KEY)
    if data is None:
        raise HentouError(f"this machine has no key to read secrets with: {KEY} is missing", "enrol it again")
    try:
        return pyrage.x25519.Identity.from_str(data.decode(errors="replace").strip())
    except pyrage.IdentityError:
        raise HentouError(f"{KEY} is no age key", "enrol this machine again") from None


def _decrypted(disk: Disk, name: str, identity: Any) -> bytes:
    import pyrage  # noqa: PLC0415

    try:
        return bytes(pyrage.decrypt(disk.read(f"{CIPHERTEXTS}/{name}.age"), [identity]))
    except pyrage.DecryptError as error:
        foreign = "No matching keys" in str(error)
        why = "is not encrypted for this machine's key" if foreign else "is damaged"
        raise HentouError(f"secret {name} {why}", f"an admin runs `hentou secret rekey {name}`") from None


def _write_all(disk: Disk, wanted: Sequence[Placed]) -> None:
    """Write each secret that is not in place as it should be; on failure put back what was there."""
    for path in ("/run/hentou", PLACE):
        disk.make_directory(path)
    disk.attributes(PLACE, 0o711, 0, 0)
    undo: list[Callable[[], object]] = []
    try:
        for item in wanted:
            if back := _write(disk, item):
                undo.append(back)
    except HentouError:
        for back in reversed(undo):
            back()
        raise


def _write(disk: Disk, item: Placed) -> Callable[[], object] | None:
    """Put a secret in its place, if it is not there as it should be; what puts back what was there."""
    path, before = item.path, disk.stat(item.path)
    if before and before.kind != "file":
        raise HentouError(f"secret {item.name}: {path} is no file", "remove it, or choose another path")
    data = disk.read(path) if before else b""
    if before and (data, before.mode, before.uid, before.gid) == (item.value, item.mode, item.uid, item.gid):
        return None
    disk.make_directory(parent(path))
    disk.write(path, item.value, item.mode, item.uid, item.gid)
    if before is None:
        return lambda: disk.remove(path)
    about = (before.mode, before.uid, before.gid)
    return lambda: disk.write(path, data, *about)


def _restart(units: Sequence[str]) -> None:
    """Restart those that run. Not waiting for them: they may wait for this unit."""
    run(["systemctl", "try-restart", "--no-block", "--", *units], timeout=20)


def _stopping() -> bool:
    """Whether the whole machine stops: then what must last stays, and memory forgets the rest by itself."""
    said = run(["systemctl", "is-system-running"], check=False, timeout=20).stdout.strip()
    return said == "stopping"


def main(words: Sequence[str], root: Path = Path("/")) -> int:
    """Place this machine's secrets, or `--withdraw` them; 1 when that failed, which is told without any value."""

    def tell(text: str) -> None:
        print(f"hentou-secrets: {text}", flush=True)  # noqa: T201 (the journal's)

    disk = Disk(root)
    try:
        if "--withdraw" not in words:
            place(disk, _restart, tell)
        elif not _stopping():
            withdraw(disk, tell)
    except HentouError as error:
        tell(error.message + (f"; {error.hint}" if error.hint else ""))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
