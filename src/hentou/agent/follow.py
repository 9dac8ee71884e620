"""Following what is accepted: which head to activate now, and its activation as a process of its own.

The process is `hentou converge --commit COMMIT --json`. What it says on standard output is `Outcome` as JSON; its
status is `activate.Exit`, or 6 when the commit's files are no collective that this machine can be compiled from.
A head that was undone (3), is quarantined (5) or does not compile (6) has failed, and is not tried again; one held by
hand edits (4) or hindered by something else is tried again by later syncs, after ten minutes or one.

/run/hentou/tried.json {"commit", "until"}: the last such try, in memory only; `until` is in seconds of the uptime.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hentou.agent import detached
from hentou.agent.activate import Exit
from hentou.agent.host import Host
from hentou.agent.local import NOT_COMPILED, this_machine
from hentou.agent.members import Members, members
from hentou.agent.synced import Memory
from hentou.agent.trusted import TrustStore
from hentou.effects.disk import Disk, LockedError
from hentou.effects.process import follow
from hentou.errors import HentouError
from hentou.ledger import journals
from hentou.model.types import Policies
from hentou.trust.choice import Accepted, Canary, Choice, Here, choose

FAILED = (Exit.UNDONE, Exit.QUARANTINED, NOT_COMPILED)
TRIED = "/run/hentou/tried.json"
AGAIN, HINDERED = 600.0, 60.0
"""Seconds until a head is tried again that was held by hand edits, or hindered by something else."""

LOCK = "/var/lib/hentou/following.lock"
# Isolated (-I): run by hand, its working directory may be anybody's, and would come first on the path of modules.
COMMAND = (sys.executable, "-I", "-c", "from hentou.cli import main; main()", "converge", "--json", "--commit")


@dataclass(frozen=True)
class Done:
    """What one process of an activation said: its exit status, and why in a line."""

    status: int
    message: str


def converge(commit: str, command: Sequence[str] = COMMAND) -> Done:
    """Activate an accepted commit in a process of its own; its progress goes to standard error."""
    status, said = follow([*command, commit])
    try:
        record = json.loads(said)
        reasons = record.get("reasons") or [record["message"]]
        return Done(status, "; ".join(map(str, reasons)))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Done(status, f"its activation ended with status {status}")


class Follower:
    """Activates what is accepted, one head after another, until there is nothing more to activate now."""

    def __init__(self, trusted: TrustStore, memory: Callable[[], Memory], run: Callable[[str], Done] = converge):
        self.trusted = trusted
        self.host: Host = trusted.host
        self.memory = memory
        self.run = run

    def choice(self) -> Choice:
        """What is to be activated now, if anything."""
        disk = self.host.disk
        known = members(disk)
        synced = self.memory().synced
        active = self.host.store.state().commit
        steps = [Accepted(step.sequence, step.head, _moment(step.at)) for step in synced.accepted]
        # A head may be that of several steps; the newest of them is what is active.
        here = Here(
            known.sites.get(_name(disk), ""),
            max((step.sequence for step in steps if step.head == active), default=0),
            synced.failed,
            detached.current(self.host) is not None,
        )
        policies = Policies.model_construct(**known.policies)
        return choose(steps, here, policies, self._canaries(policies, known), self.host.now())

    def _canaries(self, policies: Policies, known: Members) -> list[Canary]:
        wanted = {m: key for m, key in known.journals.items() if known.sites.get(m) in policies.canaries}
        found = journals.newest_of(self.trusted.repo, wanted) if wanted else {}
        return [
            Canary(machine, known.sites[machine], kept.entry.standing, _moment(kept.entry.at))
            for machine, kept in found.items()
            if machine in wanted
        ]

    def again(self) -> float:
        """In how many seconds there may be something to activate although nothing new is accepted; 0 for never."""
        choice = self.choice()
        if choice.commit:
            return HINDERED
        return max(1.0, (choice.until - self.host.now()).total_seconds()) if choice.until else 0.0

    def follow(self) -> list[tuple[str, Done]]:
        """Activate what is chosen until nothing is; commits and what became of each."""
        done: list[tuple[str, Done]] = []
        try:
            with self.host.disk.lock(LOCK, "another sync is activating"):
                while (choice := self.choice()).commit and not self._tried(choice.commit):
                    done.append((choice.commit, self._activate(choice)))
                    if done[-1][1].status not in (Exit.ACTIVE, *FAILED):
                        break
        except LockedError as taken:
            # Whoever holds it looks again at what is accepted before it ends.
            self.host.tell(taken.message)
        return done

    def _activate(self, choice: Choice) -> Done:
        self.host.tell(f"activating step {choice.sequence}: {choice.commit[:12]}")
        done = self.run(choice.commit)
        with self.trusted.lock(patience=60):
            memory = self.memory()
            if done.status in FAILED:
                memory.fail(choice.commit, done.message)
                self.host.tell(f"step {choice.sequence} failed: {done.message}")
            elif done.status == Exit.ACTIVE:
                memory.forgive(choice.commit)
            else:
                self._note_try(choice.commit, AGAIN if done.status == Exit.HELD else HINDERED)
                self.host.tell(f"step {choice.sequence} is not active: {done.message}")
        return done

    def _tried(self, commit: str) -> bool:
        """Whether this commit was held or hindered a short while ago."""
        try:
            record = json.loads(self.host.disk.read_or_none(TRIED) or b"{}")
            left = float(record["until"]) - self.host.monotonic()
        except (ValueError, KeyError, TypeError):
            return False
        return bool(record.get("commit") == commit and 0 < left <= AGAIN)

    def _note_try(self, commit: str, seconds: float) -> None:
        self.host.disk.make_directory(TRIED.rpartition("/")[0])
        record = {"commit": commit, "until": self.host.monotonic() + seconds}
        self.host.disk.write(TRIED, json.dumps(record).encode(), 0o600)


def _name(disk: Disk) -> str:
    try:
        return this_machine(disk)
    except HentouError:
        return ""


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
