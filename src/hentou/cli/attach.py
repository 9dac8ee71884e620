"""`hentou attach`: a machine, or a site, follows the collective's intent again."""

from __future__ import annotations

from typing import Annotated

import typer

from hentou.agent import detached
from hentou.agent.host import Host
from hentou.agent.local import this_machine
from hentou.cli import converge
from hentou.cli.detach import at_each_machine, finish, named, on_a_machine, own_site_only, tell
from hentou.cli.output import as_json, err, note, say
from hentou.errors import HentouError


def attach(
    site: Annotated[str, typer.Argument(metavar="SITE", help="A site; on a machine, the machine itself.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference; change nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON; needs --yes or --dry-run.")] = False,
) -> None:
    """Follow what the admins publish again, here or at a site.

    The difference that has gathered meanwhile is shown first. Then this machine converges at once, as with
    `hentou converge`, and ends with its exit status. On a laptop, in the collective's repository, every machine
    of the site is told over SSH.

    Examples: sudo hentou attach
              hentou attach kerminy --dry-run
    """
    if json and not (yes or dry_run):
        raise HentouError("a script cannot be asked", "give --yes, or --dry-run")
    if not on_a_machine():
        _at_site(site, yes=yes, dry_run=dry_run, json=json)
        return
    own_site_only(site)
    host = Host(tell=note)
    before = detached.current(host)
    if before is None and not dry_run:
        detached.attach(host)
        _say_attached(json=json)
        return
    if not (yes and json):
        _preview(json=json)
    if dry_run or not (yes or _sure(f"attach {this_machine()}?")):
        return
    detached.attach(host)
    converge.converge(json=json)


def _say_attached(*, json: bool) -> None:
    machine = this_machine()
    if json:
        as_json({"machine": machine, "attached": True})
    else:
        say(f"{machine} is attached already")


def _preview(*, json: bool) -> None:
    """Print what activating the accepted head would change here."""
    try:
        converge.converge(dry_run=True, json=json)
    except HentouError as error:
        # Whoever attaches wants the newest to be tried: what is wrong with it now, that will tell again.
        err.print(f"the difference cannot be shown: {error.message}", style="yellow", markup=False)


def _sure(question: str) -> bool:
    return typer.confirm(question, default=False)


def _at_site(site: str, *, yes: bool, dry_run: bool, json: bool) -> None:
    if dry_run or not yes:
        shown = [(machine, tell(done)) for machine, done in at_each_machine(site, "attach", ["attach", "--dry-run"])]
        if dry_run:
            finish([(machine, (done, f"{machine}:\n{said}")) for machine, (done, said) in shown], json=json)
            return
        if not any(done for _, (done, _) in shown):
            finish(shown, json=json)
        for machine, (_, said) in shown:
            say(f"{machine}:\n{said}")
        if not _sure(f"attach {site}?"):
            return
    words = ["attach", "--yes"]
    told = [(machine, tell(done)) for machine, done in at_each_machine(site, "attach", words)]
    finish([(machine, (done, named(machine, said))) for machine, (done, said) in told], json=json)
