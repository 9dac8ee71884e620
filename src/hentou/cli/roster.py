"""`hentou roster`: who may sign, and how many of them must."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hentou.admin import rosters
from hentou.admin.rosters import Changed
from hentou.admin.workcopy import WorkCopy
from hentou.cli.output import as_json, say
from hentou.model.secrets import remedy
from hentou.trust.roster import Roster, fingerprint

app = typer.Typer(
    help="Show and change who may sign, and how many of them must.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Repository = Annotated[Path, typer.Option("--repository", "-C", metavar="DIR", help="The collective's working copy.")]
Person = Annotated[str, typer.Argument(metavar="PERSON", help="A name of people/.")]
KeyFile = Annotated[str, typer.Argument(metavar="KEYFILE", help="A public SSH key's file; - for standard input.")]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.command()
def show(repository: Repository = Path(), json: Json = False) -> None:
    """Show the admins, their keys, and how many must sign.

    Example: hentou roster show
    """
    written = rosters.written(repository)
    trust = WorkCopy(repository).trust
    accepted = trust.roster.epoch if trust else None
    if json:
        as_json({**Roster.of(written).record, "accepted_epoch": accepted})
        return
    width = max(map(len, written.admins), default=0)
    for person, keys in sorted(written.admins.items()):
        for key in keys:
            kind, _, *comment = key.split(maxsplit=2)
            say(f"{person:<{width}}  {fingerprint(key)}  {' '.join([kind, *comment])}")
    more = f", {written.root} a change of the roster" if written.root != written.threshold else ""
    say(f"{written.threshold} of {len(written.admins)} must sign a change{more}; epoch {written.epoch}")
    if accepted is not None and accepted != written.epoch:
        say(f"  → not accepted yet (epoch {accepted} is): `hentou publish`", "bold")


@app.command()
def add(person: Person, keyfile: KeyFile, repository: Repository = Path(), json: Json = False) -> None:
    """Let a person's key sign. A person may have several; they count as one.

    From the next published step on, the person may also log in to machines, and read the secrets of all admins.

    Examples: hentou roster add malo malo.pub
              ssh malo@laptop cat .ssh/id_ed25519.pub | hentou roster add malo -
    """
    _tell(rosters.add(repository.resolve(), person, rosters.read_key(keyfile)), json=json)


@app.command()
def remove(person: Person, repository: Repository = Path(), json: Json = False) -> None:
    """Take a person out of the roster.

    Secrets are encrypted again without the person. That takes nothing back: each one that the person could ever
    read is listed, and stays red until it is rotated.

    Example: hentou roster remove malo
    """
    _tell(rosters.remove(repository.resolve(), person), json=json)


@app.command()
def rotate(
    person: Person,
    keyfile: KeyFile,
    drop: Annotated[str, typer.Option("--drop", metavar="FINGERPRINT", help="Replace only this key.")] = "",
    repository: Repository = Path(),
    json: Json = False,
) -> None:
    """Put a new key in place of a person's old ones, or keep only one that the person has already.

    Such as after a laptop was lost. Any admin may do this for another; the old keys count until enough people of
    the present roster have signed it.

    Examples: hentou roster rotate yuna new.pub && hentou publish
              hentou roster rotate yuna new.pub --drop SHA256:1x2y…
    """
    _tell(rosters.rotate(repository.resolve(), person, rosters.read_key(keyfile), drop), json=json)


@app.command()
def threshold(
    number: Annotated[int, typer.Argument(metavar="N", help="How many persons must sign a change.", min=1)],
    root: Annotated[int | None, typer.Option("--root", metavar="M", help="How many for the roster.", min=1)] = None,
    repository: Repository = Path(),
    json: Json = False,
) -> None:
    """Set how many persons must sign.

    N for a change; with --root, also how many for a change of the roster itself.

    Example: hentou roster threshold 2 --root 3
    """
    _tell(rosters.threshold(repository.resolve(), number, root), json=json)


def _tell(done: Changed, *, json: bool) -> None:
    refused = dict(done.refused or {})
    if json:
        as_json({"commit": done.commit, "epoch": done.epoch, "known": done.known, "refused": refused})
        return
    say(f"committed as {done.commit[:12]}, epoch {done.epoch}")
    for secret in done.known:
        say(f"somebody who may not any more could read the secret {secret}", "red")
    for secret, reason in refused.items():
        say(f"{secret} is not encrypted again yet: {reason}", "yellow")
    say("  → next: `hentou publish`", "bold")
    for line in remedy(done.known):
        say(f"  → then: {line}", "bold")
