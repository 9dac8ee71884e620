"""`hentou verify`: check every signature of the collective's history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from hentou.admin import verify as admin
from hentou.admin.chain import own_branch
from hentou.admin.verify import Verified
from hentou.admin.workcopy import WorkCopy
from hentou.cli.output import as_json, out, say
from hentou.cli.publish import Json, Repository
from hentou.effects.git import resolve
from hentou.errors import HentouError

NOT_PUBLISHED = 3


def verify(
    rev: Annotated[str, typer.Argument(metavar="REV", help="Tell whether this commit is published, too.")] = "",
    repository: Repository = Path(),
    json: Json = False,
) -> None:
    """Check every published step, from the first to the newest.

    That is each statement that this working copy knows, judged as a machine judges it: by the roster that was
    trusted before it. Dates count for nothing. No machine is asked: `hentou publish`, `hentou cosign` and
    `hentou status` fetch what was published since.

    Exit status: 0 all verify; 1 one does not; 3 REV is not published.

    Examples: hentou verify
              hentou verify HEAD
    """
    copy = WorkCopy(repository)
    commit = resolve(repository, rev) if rev else ""
    trust = own_branch(copy).trust
    found = list(admin.verify(copy))
    wrong = next((one.wrong for one in found if one.wrong), "")
    step = admin.published_as(copy, commit, found) if commit and not wrong else 0
    if json:
        as_json({"repository": trust.repository, "statements": list(map(_record, found)), "well": not wrong,
                 **({"commit": commit, "published": step or None} if commit else {})})  # fmt: skip
    else:
        _print(found)
        say(f"repository {trust.repository}: {len(found)} statement{'' if len(found) == 1 else 's'}")
        if commit and not wrong:
            say(f"{commit[:12]} is published, since step {step}" if step else f"{commit[:12]} is not published")
    if wrong:
        raise HentouError(f"step {found[-1].kept.statement.sequence} does not verify: {wrong}", "clone it anew")
    if commit and not step:
        raise typer.Exit(NOT_PUBLISHED)


def _record(one: Verified) -> dict[str, object]:
    statement = one.kept.statement
    return {
        "sequence": statement.sequence,
        "head": statement.head,
        "epoch": statement.epoch,
        "signed_by": list(one.people),
        "wrong": one.wrong,
    }


def _print(found: list[Verified]) -> None:
    grid = Table(Column("step", justify="right"), "head", Column("roster", justify="right"), "signed by", box=None)
    for one in found:
        statement = one.kept.statement
        signed = ", ".join(one.people) + (f"  does not verify: {one.wrong}" if one.wrong else "")
        style = "red" if one.wrong else ""
        grid.add_row(str(statement.sequence), statement.head[:12], str(statement.epoch), signed, style=style)
    if found:
        out.print(grid)
