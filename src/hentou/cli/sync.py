"""`hentou sync`: accept what is new from admins and peers, and follow it."""

from __future__ import annotations

from typing import Annotated

import typer

from hentou.agent.activate import Exit
from hentou.agent.follow import FAILED
from hentou.agent.host import Host
from hentou.agent.sync import Options, Report
from hentou.agent.sync import sync as run
from hentou.cli.output import as_json, note, say

REFUSED = 7
NOT_ACTIVE = 3


def sync(
    only: Annotated[str, typer.Option("--from", metavar="PEER", help="Ask only this machine.")] = "",
    inbox_only: Annotated[
        bool, typer.Option("--inbox-only", help="Take in only what admins pushed here; ask no peer.")
    ] = False,
    no_converge: Annotated[bool, typer.Option("--no-converge", help="Accept, but activate nothing.")] = False,
    stop_before: Annotated[
        int | None,
        typer.Option(help="Drill: stop dead before this cut point (from 1), as a power cut would.", min=1, hidden=True),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Take in what admins pushed and peers have, and activate it.

    Every statement is verified before anything that it names is fetched; only what enough persons of the roster
    signed, and what continues the last accepted step, is accepted. The agent runs this by itself; running it by
    hand does no harm. A head that fails is remembered and passed over; the next one is tried.

    Exit status: 0 all well, or nothing new; 1 an error, such as a machine that is not pinned; 3 something was
    accepted, but could not be activated; 7 something was refused, and nothing else went wrong. A peer that is away
    is no error.

    Examples: hentou sync
              hentou sync --inbox-only --no-converge --json
              hentou sync --from vps-1
    """
    host = Host(tell=note)
    report = run(host, Options(only, inbox_only, follow=not no_converge, stop_before=stop_before))
    if json:
        as_json(report.record)
    else:
        _tell(report)
    last = report.activated[-1][1].status if report.activated else Exit.ACTIVE
    if last != Exit.ACTIVE:
        raise typer.Exit(NOT_ACTIVE if last in (*FAILED, Exit.HELD) else 1)
    if report.errors:
        raise typer.Exit(1)
    if report.refused:
        raise typer.Exit(REFUSED)


def _tell(report: Report) -> None:
    steps = f"{report.accepted} step{'s' if report.accepted > 1 else ''}" if report.accepted else "nothing new"
    say(f"{steps} accepted; at step {report.sequence} ({report.head[:12] or 'no head yet'})")
    for source, why in report.refused.items():
        say(f"refused from {source}: {why}", "yellow")
    for commit, done in report.activated:
        what = "is active" if done.status == Exit.ACTIVE else f"is not active: {done.message}"
        say(f"{commit[:12]} {what}", "" if done.status == Exit.ACTIVE else "red")
