"""A journal's entries in Git: appended by the machine that signs them, read by anyone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from hentou.effects.gitstore import GitStore
from hentou.errors import HentouError
from hentou.ledger.objects import read_many
from hentou.trust.journal import (
    FORKS,
    LONGEST,
    REFS,
    BadEntryError,
    Entry,
    Kind,
    Standing,
    entry_of,
    key_id,
    take_apart,
)

_TRIES = 5
_PART = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class Journal(NamedTuple):
    """One machine's journal under one key."""

    machine: str
    key_id: str

    @property
    def ref(self) -> str:
        """Where it is kept."""
        return f"{REFS}/{self.machine}/{self.key_id}"

    @property
    def forks(self) -> str:
        """Where its two tips are kept once it is frozen."""
        return f"{FORKS}/{self.machine}/{self.key_id}"

    @classmethod
    def of(cls, ref: str) -> Journal | None:
        """The journal that a ref is named after, by its last two parts; None for another name."""
        parts = ref.split("/")[-2:]
        return cls(*parts) if len(parts) == 2 and all(map(_PART.fullmatch, parts)) else None


@dataclass(frozen=True)
class Kept:
    """An entry and the commit that holds it."""

    commit: str
    entry: Entry


def frozen_text(machine: str) -> str:
    """What is told of a frozen journal."""
    return f"the journal of {machine} is frozen: it signed two entries of one number"


def tips(store: GitStore) -> dict[Journal, str]:
    """Every journal that is here, with the commit of its newest entry."""
    found = {Journal.of(ref): tip for ref, tip in store.refs(REFS).items()}
    return {journal: tip for journal, tip in found.items() if journal}


def frozen(store: GitStore) -> frozenset[Journal]:
    """The journals that take nothing in any more."""
    found = (Journal.of(ref.rpartition("/")[0]) for ref in store.refs(FORKS))
    return frozenset(journal for journal in found if journal)


def newest(store: GitStore, machine: str, key: str = "") -> Kept | None:
    """The newest entry of a machine, in the journal of its `key`; without one, the latest of all its journals."""
    found = newest_of(store, {machine: key} if key else {}, only=machine)
    return found.get(machine)


def newest_of(store: GitStore, keys: Mapping[str, str], only: str = "") -> dict[str, Kept]:
    """The newest entry of every machine that has a journal here; where `keys` knows its key, of that journal alone.

    A journal that cannot be read is left out.
    """
    wanted = {machine: key_id(key) for machine, key in keys.items()}
    here = {
        journal: tip
        for journal, tip in tips(store).items()
        if wanted.get(journal.machine, journal.key_id) == journal.key_id and only in ("", journal.machine)
    }
    found: dict[str, Kept] = {}
    for (journal, tip), data in zip(here.items(), read_many(store, here.values()), strict=True):
        kept = _readable(tip, data, journal.machine)
        if kept and (journal.machine not in found or found[journal.machine].entry.at < kept.entry.at):
            found[journal.machine] = kept
    return found


def _readable(commit: str, data: bytes | None, machine: str) -> Kept | None:
    try:
        return Kept(commit, entry_of(take_apart(data or b""), machine))
    except BadEntryError:
        return None


def entries(store: GitStore, ref: str, limit: int, since: str = "", about: str = "") -> Iterator[Kept]:
    """Entries from a journal's tip (a ref or a commit) backwards, newest first, at most `limit`.

    `since` is a time in ISO 8601 before which nothing is told. `ref` may also be a prefix of refs with a final `*`,
    such as all journals; `about` then leaves only what names this machine as its subject.
    """
    words = ["rev-list", "--date-order", f"--max-count={limit}"]
    words += ["--fixed-strings", f'--grep="about":"{about}"'] if about else []
    words += [f"--glob={ref}"] if ref.endswith("*") else ["--end-of-options", ref]
    found = store.git(*words).stdout.split()
    for commit, data in zip(found, read_many(store, found), strict=True):
        signed = take_apart(data or b"")
        entry = Entry.parse(signed.message.rstrip(b"\n"))
        if entry.at >= since:
            yield Kept(commit, entry)


def append(
    store: GitStore,
    machine: str,
    key: Path,
    *,
    kind: Kind,
    text: str,
    at: str,
    standing: Standing | None = None,
    about: str = "",
    person: str = "",
    data: Mapping[str, Any] | None = None,
) -> str:
    """Write and sign the next entry of this machine's own journal; its commit, which is durable, as is its ref.

    `key` is the private journal key, its public half beside it; `at` is a time in ISO 8601. HentouError when it cannot
    be signed, when the journal is frozen, or when others keep writing to it.
    """
    journal = Journal(machine, key_id(_public(key)))
    if journal in frozen(store):
        raise HentouError(frozen_text(machine), "an admin enrols this machine anew, with a new journal key")
    for _ in range(_TRIES):
        tip = store.get(journal.ref)
        last = newest(store, machine, _public(key)) if tip else None
        if tip and last is None:
            raise HentouError(f"the journal of {machine} here cannot be read", f"look at it: git log {journal.ref}")
        entry = Entry(
            machine, last.entry.sequence + 1 if last else 1, at, kind, text,
            standing or Standing(), about, person, data or {},
        )  # fmt: skip
        commit = write(store, entry, key, last.commit if last else "")
        try:
            store.update({journal.ref: commit}, {journal.ref: last.commit if last else ""})
        except HentouError:
            # Somebody else wrote at the same moment: this entry comes after theirs.
            continue
        return commit
    raise HentouError(f"the journal of {machine} could not be written: its tip keeps moving", "try again")


def _public(key: Path) -> str:
    try:
        return Path(f"{key}.pub").read_text().strip()
    except OSError as missing:
        raise HentouError(f"{key}.pub: {missing.strerror}", "make this machine's keys: `hentou identity`") from missing


def write(store: GitStore, entry: Entry, key: Path, parent: str) -> str:
    """Write a signed commit that holds an entry, durably; no ref is moved."""
    message = entry.json
    if len(message) > LONGEST:
        raise HentouError(f"an entry of {len(message)} bytes, where at most {LONGEST} are taken", "say it in less")
    when = f"@{int(datetime.fromisoformat(entry.at).timestamp())} +0000"
    identity = {"NAME": entry.machine, "EMAIL": f"{entry.machine}@hentou", "DATE": when}
    env = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in identity.items()}
    signing = ("-c", "gpg.format=ssh", "-c", "gpg.ssh.program=ssh-keygen", "-c", f"user.signingkey={key}")
    tree = store.git("mktree", stdin="").stdout.strip()
    parents = ("-p", parent) if parent else ()
    return store.git(*signing, "commit-tree", "-S", tree, *parents, stdin=message, env=env).stdout.strip()
