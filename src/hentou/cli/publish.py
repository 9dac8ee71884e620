"""`hentou publish`: sign what is committed, and bring it to the machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from hentou.admin import gather, preview, signing, watch
from hentou.admin.chain import Branch, Settled, own_branch
from hentou.admin.commits import commit
from hentou.admin.deliver import Delivery, Fate, deliver
from hentou.admin.preview import Preview
from hentou.admin.publish import choose, propose, sign_head
from hentou.admin.reach import Reach, Reaching
from hentou.admin.signing import Signer
from hentou.admin.workcopy import WorkCopy
from hentou.cli.ask import agree
from hentou.cli.output import as_json, note, out, say
from hentou.errors import HentouError
from hentou.model.types import Collective

Repository = Annotated[Path, typer.Option("--repository", "-C", metavar="DIR", help="The collective's working copy.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Agree beforehand to every question.")]
Key = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Sign with this key, private or public.")]
Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="MACHINE", help="Speak to this machine only; once for each.")
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait to see how it ends at each machine.")]
Fingerprint = Annotated[
    str, typer.Option("--fingerprint", metavar="ID", help="The repository id to trust at first contact.")
]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show every step with its reason.")]

NOT_EVERYWHERE = 3


def publish(
    repository: Repository = Path(),
    message: Annotated[str, typer.Option("--message", "-m", help="Commit what is changed first, so described.")] = "",
    key: Key = None,
    only: Only = None,
    no_wait: NoWait = False,
    fingerprint: Fingerprint = "",
    yes: Yes = False,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Sign what is committed, and bring it to the machines.

    First it fetches what others published, checks the collective, and shows what would change on each machine. Then
    it signs with your SSH key, pushes to every machine that it reaches and tells how each takes it. The others
    follow by their peers. Where more persons must sign, it says so: they run `hentou cosign`. With nothing new to
    sign, it brings what is published to machines that lack it. It also joins what was signed apart while the
    collective was divided, once you merged it with `git merge`.

    Exit status: 0 active, or waiting as it should; 1 an error; 3 refused, undone or held at a machine, or no machine
    answers.

    Examples: hentou publish
              hentou publish -m "Kerminy: open the wiki" --yes
              hentou publish --key ~/.ssh/id_ed25519_sk.pub --only vps-1 --no-wait
    """
    copy = WorkCopy(repository)
    if message and (changes := copy.changes):
        commit(repository, message, changes)
    copy.require_clean()
    collective = preview.check(copy, copy.head)
    with Reach(repository, key=signing.ssh_key(copy, key), collective=collective) as reach:
        run = Run(copy, reach, collective, key, tuple(only or ()), yes=yes, verbose=verbose, json=json)
        run.publish(fingerprint, wait=not no_wait)


class Run:
    """One publication, from what was heard of the machines to how it ended there."""

    def __init__(
        self,
        copy: WorkCopy,
        reach: Reaching,
        collective: Collective,
        key: Path | None,
        only: Sequence[str] = (),
        *,
        yes: bool = False,
        verbose: bool = False,
        json: bool = False,
    ) -> None:
        self.copy, self.reach, self.collective, self.key, self.only = copy, reach, collective, key, tuple(only)
        self.yes, self.verbose, self.json = yes, verbose, json

    def publish(self, fingerprint: str = "", *, wait: bool = True) -> None:
        """Do it all."""
        branches = self.hear(fingerprint).branches
        signer = choose(self.copy, self.key)
        trust = own_branch(self.copy).trust
        fresh = bool(branches) or trust.head != self.copy.head
        if fresh:
            # Whatever speaks against it is told before anything is asked.
            propose(self.copy, branches)
            shown = preview.preview(self.copy, trust.head, self.copy.head)
            if not self.json:
                show(shown, branches, verbose=self.verbose)
            agree(f"Sign and publish this as {signer.person}?", yes=self.yes)
        elif not self.json:
            say(f"HEAD is published already, as step {trust.sequence}: nothing to sign")
        remind(signer)
        settled = sign_head(self.copy, signer, branches)
        self.finish(settled, signer.person, wait=wait, fresh=fresh)

    def hear(self, fingerprint: str = "") -> gather.Gathered:
        """Fetch from the machines; begin, or make the collective's acquaintance, on a laptop that trusts nothing."""
        note("asking the machines")
        gathered = gather.fetch(self.copy, self.reach, self.only)
        if self.copy.trust is None:
            begin(self.copy, gathered, fingerprint, self.key, yes=self.yes)
            gathered = gather.digest(self.copy, gathered.heard)
        for alarm in gathered.alarms:
            note(f"look at this: {alarm}")
        if gathered.steps:
            note(f"{gathered.steps} step{'' if gathered.steps == 1 else 's'} that others published taken in")
        return gathered

    def finish(self, settled: Settled, person: str, *, wait: bool = True, fresh: bool = True) -> None:
        """Deliver, tell how it went, and wait to see how it ends; typer.Exit where something is wrong."""
        deliveries = () if settled.here else deliver(self.reach, settled, person, self.only)
        unheard = bool(deliveries) and all(d.fate is Fate.UNREACHABLE for d in deliveries)
        if not self.json:
            table(settled, deliveries, verbose=self.verbose)
        ends: Mapping[str, watch.State] = {}
        reached = [d.machine for d in deliveries if d.fate is Fate.ACCEPTED]
        if not settled.missing and wait:
            tell = (lambda _: None) if self.json else say
            statement = settled.kept.statement
            ends = watch.watch(self.copy, self.reach, self.collective, statement, machines=reached, tell=tell)
            for machine in [m for m in reached if m in ends and ends[m].end.open]:
                note(f"{machine}: {ends[machine].end}; see later with `hentou status`")
        if self.json:
            as_json(record(settled, deliveries, ends))
        if unheard:
            told = "no machine has it yet" if fresh and not self.only else "no machine that was asked answers"
            note(f"{told}; try again when one answers: `hentou publish`")
        bad = [end for end in ends.values() if end.end in (watch.End.UNDONE, watch.End.HELD)]
        if unheard or bad or any(d.fate is Fate.REFUSED for d in deliveries):
            raise typer.Exit(NOT_EVERYWHERE)


def remind(signer: Signer) -> None:
    """Say that a hardware key waits for its person, which OpenSSH tells only where it is read."""
    if signer.public.startswith("sk-"):
        note(f"touch the hardware key of {signer.person} if it blinks")


def begin(copy: WorkCopy, gathered: gather.Gathered, fingerprint: str, key: Path | None = None, *, yes: bool) -> None:
    """Trust the collective that the machines show, once a person agrees; or found it, where no machine has one."""
    origin = gather.meet(copy, gathered)
    if origin is None:
        silent = [heard.machine for heard in gathered.heard.values() if not heard.reached]
        if silent and gather.journal_keys(copy):
            raise HentouError(
                f"this laptop does not know the collective yet, and no machine tells it ({', '.join(silent)} silent)",
                "bring it where a machine can be reached; or copy .git/hentou/trust.json from the founder's laptop",
            )
        # Nothing begins that nobody here could go on with.
        choose(copy, key)
        trust = own_branch(copy).trust
        note(f"a new collective: its repository id is {trust.repository}")
        return
    trust = origin.trust
    note(f"{', '.join(origin.machines)} follow repository {trust.repository}, at step {trust.sequence}. Its admins:")
    for person, keys in sorted(trust.roster.admins.items()):
        note(f"  {person}: {', '.join(sorted(keys))}")
    if fingerprint and (len(fingerprint) < 8 or not trust.repository.startswith(fingerprint)):
        hint = "ask another admin for the repository id; eight of its digits are enough"
        raise HentouError(f"that is not the collective {fingerprint}", hint)
    agree("Are these the people whose signatures count?", yes=yes or bool(fingerprint))
    copy.keep(trust, origin.tip)


def show(shown: Preview, branches: Sequence[Branch] = (), *, verbose: bool = False) -> None:
    """Print commits and steps."""
    for line in shown.commits:
        say(line, "dim")
    for branch in branches:
        say(f"joins step {branch.trust.sequence} of {', '.join(branch.machines)}, signed apart", "yellow")
    for line in shown.roster:
        say(f"roster: {line}", "bold yellow")
    for machine, plan in shown.plans.items():
        if plan.steps:
            say(f"{machine}: {preview.summary(plan)}", "bold")
        for step in plan.steps if verbose else ():
            say(f"  {step}")
    if quiet := [machine for machine, plan in shown.plans.items() if not plan.steps]:
        say(f"nothing to do on {', '.join(quiet)}", "dim")
    for machine in shown.gone:
        say(f"{machine} leaves the collective: it keeps its last generation until it is switched off", "yellow")


def table(settled: Settled, deliveries: Sequence[Delivery], *, verbose: bool = False) -> None:
    """Print how each machine took it."""
    statement = settled.kept.statement
    say(f"step {statement.sequence}: {statement.head[:12]}", "bold")
    if settled.missing:
        say(f"not enough signatures yet: {settled.missing}", "yellow")
        say(f"  → {settled.hint}", "bold")
    grid = Table(*(Column(name, overflow="fold") for name in ("machine", "way", "")), box=None)
    colours = {Fate.ACCEPTED: "green", Fate.REFUSED: "red", Fate.UNREACHABLE: "yellow", Fate.WAITING: ""}
    alone = all(done.fate is Fate.UNREACHABLE for done in deliveries)
    for done in deliveries:
        follows = done.fate is Fate.UNREACHABLE and not alone
        said = "unreachable: follows by its peers" if follows else str(done.fate)
        told = done.reason and (verbose or done.fate is Fate.REFUSED)
        reason = f": {done.reason}" if told else ""
        # A machine's words are no markup.
        grid.add_row(done.machine, done.way, Text(f"{said}{reason}"), style=colours[done.fate])
    if deliveries:
        out.print(grid)
    elif settled.here:
        say("until then it is kept in this working copy alone", "dim")
    else:
        say("no machine is enrolled: it is kept in this working copy", "dim")


def record(
    settled: Settled, deliveries: Sequence[Delivery], ends: Mapping[str, watch.State] | None = None
) -> dict[str, Any]:
    """For scripts."""
    statement = settled.kept.statement
    return {
        "sequence": statement.sequence,
        "head": statement.head,
        "epoch": statement.epoch,
        "missing": settled.missing,
        "machines": {d.machine: {k: v for k, v in asdict(d).items() if k != "machine"} for d in deliveries},
        "ends": {machine: asdict(end) for machine, end in (ends or {}).items()},
    }
