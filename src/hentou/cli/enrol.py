"""`hentou enrol`: believe a machine's own word, once, and write it down for the collective."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hentou.admin import enrol as admin
from hentou.cli.output import as_json, note, say
from hentou.errors import HentouError
from hentou.trust.identity import LONGEST, fingerprint, plain
from hentou.trust.identity import code as code_of


def enrol(
    machine: Annotated[str, typer.Argument(metavar="MACHINE", help="Its name in the collective.")],
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="IDENTITY.json, `-`, http://ADDRESS:8425/ or ssh://[USER@]HOST.")
    ],
    code: Annotated[str, typer.Option(help="The code that the machine shows; asked for without it.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="It was enrolled before: those keys are out.")] = False,
    repository: Annotated[
        Path, typer.Option("--repository", "-C", metavar="DIR", help="The collective's working copy.")
    ] = Path(),
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", "-i", metavar="FILE", help="A private key that reads secrets; yours by default."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Take a machine's public keys into the collective.

    SOURCE is what `hentou identity --json` printed there, in a file or (`-`) on standard input; or the address that
    a machine installed from a bundle shows on its screen; or ssh://[USER@]HOST, to ask it there. Nothing of it is
    believed before its code is the one that the machine itself shows: have it read to you by somebody who stands in
    front of the screen.

    The keys are written in one commit. A machine that is enrolled already needs --replace: its old keys are out
    then, and its next journal begins.

    Examples: hentou enrol kerminy-1 http://192.168.1.63:8425/ --code k7tq-2m5c-wz3a-pd6h
              ssh root@MACHINE hentou identity --json | hentou enrol kerminy-1 - --code CODE
    """
    said = admin.ask(source, (lambda: sys.stdin.buffer.read(LONGEST + 1)) if source == "-" else None)
    _compare(machine, said, code, interactive=source != "-" and sys.stdin.isatty())
    done = admin.enrol(repository.resolve(), machine, said, replace=replace, identities=key or None)
    if json:
        as_json({"machine": machine, "commit": done.commit, "code": done.code, "replaced": done.replaced})
        return
    tell(machine, done)


def tell(machine: str, done: admin.Enrolled) -> None:
    """Say what an enrolment did, and what comes next."""
    say(f"{machine} is enrolled: commit {done.commit[:12]}")
    if "journal" in done.fresh:
        say("its new journal key begins a new journal; its old keys are out")
    elif done.fresh:
        say(f"its old keys are out ({', '.join(done.fresh)}); its journal goes on")
    elif done.replaced:
        say("its keys are the same as before; its certificate is new")
    say("  → next: `hentou publish`", "bold")


def _compare(machine: str, said: dict[str, object], given: str, *, interactive: bool) -> None:
    """Believe what was said only if its code is the one that a person gives; HentouError otherwise."""
    note(f"these keys have the fingerprint {fingerprint(said)}")
    if not given and interactive:
        given = typer.prompt(f"The code that {machine} shows on its own screen", err=True)
    if not given:
        raise HentouError(
            f"nobody has compared the code of {machine}",
            "give the one that it shows on its own screen: --code CODE",
        )
    if plain(given) != plain(code_of(said)):
        raise HentouError(
            f"these are not the keys of the machine that shows {given}: theirs have another code",
            "somebody may stand between you and it; ask for the code again, and reach it in another way",
        )
