"""Changes of who may sign: one commit each, with the epoch counted once for every change that is published."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hentou import compose
from hentou.admin import rosterfile, secrets
from hentou.admin.commits import all_or_nothing, commit
from hentou.admin.workcopy import WorkCopy
from hentou.effects.tree import DirectoryTree
from hentou.errors import HentouError
from hentou.model.draft import ROSTER
from hentou.model.load import read_roster
from hentou.model.secrets import stale
from hentou.model.types import Roster as Written
from hentou.trust.roster import Roster, fingerprint

_WORD = re.compile(r"[A-Za-z0-9@._+-]+")


@dataclass(frozen=True)
class Changed:
    """What a change of the roster did: its commit and epoch, the secrets that somebody could read who may not any
    more, and those that could not be encrypted anew, each with why.
    """

    commit: str
    epoch: int
    known: tuple[str, ...] = ()
    refused: Mapping[str, str] | None = None


def read_key(source: str) -> str:
    """A public key from a file, or from standard input for `-`: `TYPE BASE64`, with its comment where it is a word.

    HentouError for anything else.
    """
    try:
        text = sys.stdin.read(20_000) if source == "-" else Path(source).expanduser().read_text(errors="replace")
    except OSError as error:
        raise HentouError(f"{source}: {error.strerror}", "give the file of a public key, such as id.pub") from error
    if "PRIVATE KEY" in text:
        raise HentouError(f"{source} is a private key, which nobody else may see", f"give {source}.pub")
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) != 1:
        raise HentouError(f"{source} holds {len(lines)} lines, not one public key", "give one key at a time")
    kind, blob, *comment = [*lines[0].split(), ""][:3]
    fingerprint(f"{kind} {blob}")
    return " ".join([kind, blob, *(word for word in comment if _WORD.fullmatch(word))])


def add(repository: Path, person: str, key: str) -> Changed:
    """Let a person's key sign; a person who is new gets a file in people/, too."""
    _require_new(repository, key)
    file = repository / "people" / f"{person}.yaml"
    with _changing(repository):
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"full_name: {person.replace('-', ' ').title()}\n")
        return _change(repository, f"add a key of {person}", lambda data: rosterfile.add_key(data, person, key),
                       (f"people/{person}.yaml",))  # fmt: skip


def remove(repository: Path, person: str) -> Changed:
    """Take a person out of the roster; the file in people/ stays."""
    _require_known(repository, person)
    with _changing(repository):
        return _change(repository, f"remove {person}", lambda data: rosterfile.drop_person(data, person))


def rotate(repository: Path, person: str, key: str, drop: str = "") -> Changed:
    """Put a key in place of a person's other ones, or of the one whose fingerprint is `drop`; the key may be one of
    the person's already.
    """
    roster = _require_known(repository, person)
    print_ = fingerprint(key)
    own = print_ in map(fingerprint, roster.admins[person])
    if not own:
        _require_new(repository, key)
    others = [known for known in roster.admins[person] if fingerprint(known) != print_]
    old = [known for known in others if drop in ("", fingerprint(known))]
    if not others:
        raise HentouError(f"this is {person}'s only key already", "give another key")
    if not old:
        listed = ", ".join(map(fingerprint, roster.admins[person]))
        raise HentouError(f"{person} has no key {drop}", f"there are: {listed}")

    def edit(data: bytes) -> bytes:
        return rosterfile.drop_keys(data if own else rosterfile.add_key(data, person, key), person, old)

    with _changing(repository):
        return _change(repository, f"rotate the key of {person}", edit)


def threshold(repository: Path, number: int, root: int | None = None) -> Changed:
    """Set how many persons must sign a change and, with `root`, a change of the roster."""

    def edit(data: bytes) -> bytes:
        if root is not None:
            data = rosterfile.set_number(data, "root_threshold", root)
        return rosterfile.set_number(data, "threshold", number)

    with _changing(repository):
        return _change(repository, f"threshold {number}" + (f", {root} for the roster" if root else ""), edit)


def written(repository: Path) -> Written:
    """The roster as roster.yaml says it now."""
    return read_roster(DirectoryTree(repository).read(ROSTER))


def _require_known(repository: Path, person: str) -> Written:
    roster = written(repository)
    if person not in roster.admins:
        raise HentouError(f"{person} is not in the roster", f"there are: {', '.join(roster.admins) or 'none'}")
    return roster


def _require_new(repository: Path, key: str) -> None:
    if people := Roster.of(written(repository)).signers({fingerprint(key)}):
        raise HentouError(f"this key is in the roster already: it is {min(people)}'s", "give another key")


@contextmanager
def _changing(repository: Path) -> Iterator[None]:
    """Leave everything as it was when a change cannot be made."""
    if ROSTER in WorkCopy(repository).changes:
        raise HentouError(f"{ROSTER} has changes that are not committed", "commit them, or put them aside")
    with all_or_nothing(repository, ROSTER, "people", "secrets"):
        yield


def _change(repository: Path, what: str, edit: Callable[[bytes], bytes], more: Sequence[str] = ()) -> Changed:
    """Edit, count the epoch, check the whole collective, encrypt secrets for who may read them now, commit."""
    file, red = repository / ROSTER, stale(secrets.survey(repository))
    data = edit(file.read_bytes())
    epoch = _epoch(repository, Roster.of(read_roster(data)))
    if epoch != read_roster(data).epoch:
        data = rosterfile.set_number(data, "epoch", epoch)
    if fault := Roster.of(read_roster(data)).fault:
        raise HentouError(f"nobody could work with this roster: {fault}", "lower a threshold, or add somebody first")
    file.write_bytes(data)
    granted = secrets.regrant(repository)
    collective = compose.load(DirectoryTree(repository))
    known = tuple(dict.fromkeys(item.secret for item in stale(collective) if item not in red))
    head = commit(repository, f"Roster: {what}", (ROSTER, *more, *granted.files))
    return Changed(head, epoch, known, granted.refused)


def _epoch(repository: Path, new: Roster) -> int:
    """The epoch that a changed roster must have: one more than the accepted roster's, however often it is changed
    before it is published.
    """
    copy = WorkCopy(repository)
    trust = copy.trust
    if trust is None:
        if any(keys.journal for keys in copy.collective().keys.values()):
            raise HentouError(
                "this laptop does not know yet which roster the machines trust",
                "make their acquaintance: `hentou publish`",
            )
        return new.epoch
    same = replace(new, epoch=trust.roster.epoch) == trust.roster
    return trust.roster.epoch if same else trust.roster.epoch + 1
