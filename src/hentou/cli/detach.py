"""`hentou detach`: a machine, or a site, stops following the collective's intent until it is attached again."""

from __future__ import annotations

import json as codec
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from hentou.agent import detached
from hentou.agent.host import Host
from hentou.agent.local import MACHINE_FILE, this_machine
from hentou.cli.output import as_json, caller, err, say
from hentou.effects import clock
from hentou.effects.disk import Disk
from hentou.effects.process import Result
from hentou.errors import HentouError

AGENT_FILE = "/etc/hentou/agent.json"
NOT_REACHED = 255
"""As with ssh(1)."""

_PATIENCE = 600.0
"""Seconds that one machine may take to do as it is told: attaching it activates what has gathered."""


def detach(
    site: Annotated[str, typer.Argument(metavar="SITE", help="A site; on a machine, the machine itself.")] = "",
    why: Annotated[str, typer.Option(help="The reason, which everybody will see.")] = "",
    until: Annotated[str, typer.Option(help="When to follow again by itself: 2027-01-31T18:00, 3d, 12h.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Stop following what the admins publish, here or at a site.

    Mesh, names and services go on, and new changes are still received and passed on to others; none is activated
    here until `hentou attach`, or until the time given. Everybody sees who detached the site and why. Detaching
    again renews the reason and the end. On a laptop, in the collective's repository, every machine of the site is
    told over SSH.

    Examples: sudo hentou detach --why "festival this week" --until 2027-07-15T08:00
              hentou detach kerminy --why "power works" --until 3d
    """
    end = detached.parse_until(until, clock.now()) if until else None
    if on_a_machine():
        own_site_only(site)
        found = detached.detach(Host(), by=caller(), why=why, until=end)
        _tell(this_machine(), found, json=json)
        return
    if not why.strip():
        raise HentouError("a detached site needs a reason, for the others to see", 'give one: --why "TEXT"')
    words = ["detach", "--why", why, *_until(end)]
    finish([(machine, tell(done)) for machine, done in at_each_machine(site, "detach", words)], json=json)


def _until(end: datetime | None) -> list[str]:
    # As a moment with its zone: the machine's clock may be set to another one than the laptop's.
    return ["--until", end.isoformat(timespec="seconds")] if end else []


def _tell(machine: str, found: detached.Detached, *, json: bool) -> None:
    if json:
        as_json({"machine": machine, **found.record})
        return
    end = f" until {found.until}" if found.until else ""
    say(f"{machine} is detached{end} by {found.by}: {found.why}")
    say("  → it follows again with `hentou attach`", "bold")


def on_a_machine(disk: Disk | None = None) -> bool:
    """Whether this is a machine of a collective, and no laptop."""
    return (disk or Disk()).stat(MACHINE_FILE) is not None


def own_site_only(site: str, disk: Disk | None = None) -> None:
    """HentouError on a machine that is asked to act for another site than its own.

    Who may run this as root here need not be trusted elsewhere, nor with what lies in the directory they stand in.
    """
    if not site:
        return
    data = (disk or Disk()).read_or_none(AGENT_FILE)
    try:
        own = str(codec.loads(data or b"{}").get("site", ""))
    except (ValueError, AttributeError):
        own = ""
    if site != own:
        here = f"a machine of {own}" if own else "a machine"
        raise HentouError(f"this is {here}, and acts for itself only", "leave SITE away, or run it on your laptop")


def at_each_machine(site: str, verb: str, words: Sequence[str]) -> Iterator[tuple[str, Result]]:
    """Run `hentou …` as root on each managed machine of a site, from a working copy of the repository; what each said.

    A machine that cannot be reached has the status NOT_REACHED, and says why with a hint.
    """
    from hentou import compose  # noqa: PLC0415 - only a laptop compiles the collective and goes elsewhere
    from hentou.admin.reach import Reach  # noqa: PLC0415
    from hentou.effects.tree import open_tree  # noqa: PLC0415

    if not site:
        raise HentouError("this is no machine of a collective, so a site must be named", f"`hentou {verb} SITE`")
    repository = Path.cwd()
    collective = compose.load(open_tree(repository))
    if site not in collective.sites:
        raise HentouError(f"no site is called {site}", f"sites here: {', '.join(sorted(collective.sites))}")
    machines = [machine.name for machine in collective.managed if machine.site == site]
    if not machines:
        raise HentouError(f"{site} has no machine that hentou manages", "its own administrators decide there")
    with Reach(repository, collective=collective) as reach:
        for machine in machines:
            try:
                yield machine, reach.connect(machine).run(["hentou", *words], timeout=_PATIENCE, root=True)
            except HentouError as error:
                hint = f"\n  → {error.hint}" if error.hint else ""
                yield machine, Result(("hentou", *words), NOT_REACHED, "", f"{error.message}{hint}")


def tell(done: Result) -> tuple[bool, str]:
    """Whether a command elsewhere did it, and what it said to people."""
    return not done.status, (done.stdout.strip() or done.stderr.strip() or f"ended with status {done.status}")


def finish(told: Sequence[tuple[str, tuple[bool, str]]], *, json: bool) -> None:
    """Print what each machine said; exit status 1 when one did not do it."""
    if json:
        record: dict[str, Any] = {machine: {"done": done, "said": said} for machine, (done, said) in told}
        as_json(record)
    else:
        for machine, (done, said) in told:
            if done:
                say(said)
            else:
                err.print(named(machine, said), style="red", markup=False)
    if missed := [machine for machine, (done, _) in told if not done]:
        if not json and not all("  → " in said for _, (done, said) in told if not done):
            say(f"  → not done on {', '.join(missed)}: try again once they answer", "bold")
        raise typer.Exit(1)


def named(machine: str, said: str) -> str:
    """What is told of a machine, with its name in front once."""
    return said if said.startswith((f"{machine} ", f"{machine}:")) else f"{machine}: {said}"
