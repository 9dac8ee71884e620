"""`hentou log`: what was published, what a machine's journal says, and the changelog that people keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from hentou.agent import hints
from hentou.agent.host import Host
from hentou.agent.journals import log as write
from hentou.agent.members import members
from hentou.agent.standing import has_store, store
from hentou.agent.trusted import TrustStore
from hentou.cli.output import as_json, caller, note, say
from hentou.cli.status import Directory, is_laptop, refresh
from hentou.effects.gitstore import GitStore
from hentou.errors import HentouError
from hentou.ledger import journals
from hentou.ledger.heads import Head, heads, signers, subjects
from hentou.ledger.journals import Kept
from hentou.trust.acceptance import Trust
from hentou.trust.journal import REFS, printable

LONGEST = 1000
"""Characters of a changelog entry: it is kept on every machine, for ever."""

_PATIENCE = 60.0


def log(
    machine: Annotated[str, typer.Argument(metavar="MACHINE", help="Whose journal; none: what was published.")] = "",
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What was done to it, to be noted.")] = "",
    directory: Directory = Path(),
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many lines, newest first.", min=1)] = 20,
    offline: Annotated[
        bool, typer.Option("--offline", help="On a laptop: ask no machine; tell what is known.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show what was published or done, or note what you did.

    Alone: what was published, and by whom. With a MACHINE: its journal. With a TEXT too, an entry with the time,
    your name and the machine goes into the changelog, which every machine keeps. From a laptop it is written on
    that machine, or on another one while that is off.

    Examples: hentou log
              hentou log kerminy-1
              hentou log kerminy-1 "replaced the disk"
    """
    host = Host()
    place = _Laptop(directory) if is_laptop(host, directory) else _Here(host)
    if text:
        place.write(machine, _worded(text), json=json)
        return
    if not offline:
        place.refresh()
    if machine:
        _journal(place.store, machine, limit, json=json)
    else:
        _heads(place.store, place.trust, limit, json=json)


def _worded(text: str) -> str:
    words = printable(text, LONGEST + 1).strip()
    if not words:
        raise HentouError("nothing is said", 'say what was done: hentou log MACHINE "replaced the disk"')
    if len(words) > LONGEST:
        raise HentouError(f"a text of more than {LONGEST} characters", "say it in less, and put the rest elsewhere")
    return words


class _Here:
    """On a machine: its own repository and journal."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @property
    def store(self) -> GitStore:
        """What this machine has verified."""
        if not has_store(self.host):
            raise HentouError("nothing was accepted on this machine yet", "see `hentou status`")
        return store(self.host)

    @property
    def trust(self) -> Trust | None:
        """What this machine trusts."""
        return TrustStore(self.host).trust()

    def refresh(self) -> None:
        """Syncs bring what is new."""

    def write(self, machine: str, text: str, *, json: bool) -> None:
        """Put an entry into this machine's own journal."""
        known = members(self.host.disk).sites
        if known and machine not in known:
            raise HentouError(f"no machine is called {printable(machine)}", f"there are: {', '.join(sorted(known))}")
        done = write(self.host, machine, caller(), text)
        # That the others hear of it at once is a courtesy: the next sync tells them too.
        with suppress(HentouError, OSError):
            if done and hints.refresh(self.host, self.store):
                hints.send(self.host)
        if json:
            as_json({"machine": machine, "text": text, "written": done})
        else:
            say(f"{machine}: {text}" if done else f"{machine}: {text} (to be written once a peer is heard of)")


class _Laptop:
    """On a laptop: the working copy, and the machines that can be reached."""

    def __init__(self, directory: Path) -> None:
        from hentou.admin.workcopy import WorkCopy  # noqa: PLC0415 - only a laptop compiles the collective

        self.copy = WorkCopy(directory)
        self.store = self.copy.store

    @property
    def trust(self) -> Trust | None:
        """What this laptop has accepted."""
        return self.copy.trust

    def refresh(self) -> None:
        """Fetch what is new from a machine that answers."""
        refresh(self.copy)

    def write(self, machine: str, text: str, *, json: bool) -> None:
        """Have it written on the machine, or on another one when that does not answer."""
        from hentou import compose  # noqa: PLC0415
        from hentou.admin.reach import Reach, UnreachableError  # noqa: PLC0415

        collective = self.copy.collective()
        found = collective.machines.get(machine)
        if found is None:
            raise compose.unknown_machine(collective, machine)
        with Reach(self.copy.directory, collective=collective) as reach:
            try:
                connection = reach.connect(machine) if found.external is None else reach.any()
            except UnreachableError as error:
                connection = reach.any()
                note(f"{printable(error.message)}; noted on {connection.machine} instead")
            words = ["hentou", "log", *(["--json"] if json else []), "--", machine, text]
            done = connection.run(words, timeout=_PATIENCE, root=True)
        if done.status:
            said = printable(done.stderr.strip() or f"it ended with status {done.status}")
            raise HentouError(f"{connection.machine} did not note it: {said}", "try again, or write it on the machine")
        print(done.stdout, end="")


def _heads(here: GitStore, trust: Trust | None, limit: int, *, json: bool) -> None:
    found = heads(here, limit)
    if not found or trust is None:
        raise HentouError("nothing was published yet, as far as is known here", "an admin publishes: `hentou publish`")
    told = subjects(here, [head.statement.head for head in found])
    if json:
        as_json([_head(here, head, trust, told) for head in found])
        return
    for head in found:
        one = _head(here, head, trust, told)
        people = ", ".join(one["signed_by"]) or "nobody known"
        say(f"{one['sequence']:>5}  {one['commit'][:12]}  {printable(one['subject'])}  (signed by {people})")


def _head(here: GitStore, head: Head, trust: Trust, told: Mapping[str, str]) -> dict[str, Any]:
    statement = head.statement
    return {
        "sequence": statement.sequence,
        "commit": statement.head,
        "epoch": statement.epoch,
        "subject": told.get(statement.head, "(its commit is not here)"),
        "signed_by": list(signers(here, head, trust.roster)),
    }


def _journal(here: GitStore, machine: str, limit: int, *, json: bool) -> None:
    found = about(here, machine, limit)
    if not found:
        known = sorted({journal.machine for journal in journals.tips(here)})
        hint = f"journals here: {', '.join(known)}" if known else "no journal came here yet; see `hentou status`"
        raise HentouError(f"nothing is known of {printable(machine)}", hint)
    if json:
        as_json([{"commit": kept.commit, **_fields(kept)} for kept in found])
        return
    for kept in found:
        entry = kept.entry
        who = f" {entry.person}:" if entry.person else ""
        where = f" [told by {entry.machine}]" if entry.machine != machine else ""
        when = entry.at[:16].replace("T", " ")
        # The journal of a machine is also where others are spoken of.
        whom = f" (about {entry.about})" if entry.about not in ("", machine) else ""
        say(printable(f"{when}  {entry.kind:<11}{who} {entry.text}{whom}{where}"))


def about(here: GitStore, machine: str, limit: int) -> Sequence[Kept]:
    """What a machine's journals say, and others about it, newest first."""
    named = journals.Journal.of(f"{machine}/0")
    if named is None or named.machine != machine:
        return []
    own: Iterable[Kept] = ()
    if here.refs(f"{REFS}/{machine}"):
        own = journals.entries(here, f"{REFS}/{machine}/*", limit)
    found = {kept.commit: kept for kept in own}
    found |= {kept.commit: kept for kept in journals.entries(here, f"{REFS}/*", limit, about=machine)}
    newest = sorted(found.values(), key=lambda kept: (kept.entry.at, kept.entry.sequence), reverse=True)
    return newest[:limit]


def _fields(kept: Kept) -> dict[str, Any]:
    entry = kept.entry
    return {
        "machine": entry.machine,
        "sequence": entry.sequence,
        "at": entry.at,
        "kind": str(entry.kind),
        "text": entry.text,
        "about": entry.about,
        "person": entry.person,
        "data": dict(entry.data),
        "standing": entry.standing.record,
    }
