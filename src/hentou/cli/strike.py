"""`hentou strike`: a machine that was stolen, died or retires is the collective's no longer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hentou.admin.strike import strike as strike_out
from hentou.cli.output import as_json, say


def strike(
    machine: Annotated[str, typer.Argument(metavar="MACHINE", help="Its name in the collective.")],
    why: Annotated[str, typer.Option(help="What happened; it is kept in the commit.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take it out of its site's description, too.")] = False,
    repository: Annotated[Path, typer.Option("--repository", "-C", help="The collective's working copy.")] = Path(),
    key: Annotated[
        list[Path] | None, typer.Option("--key", "-i", help="A private key that reads secrets; yours by default.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Strike a machine out of the collective, in one commit.

    Its keys go: once that is published, no machine talks to it over the mesh, takes its journal, or serves it the
    repository. Secrets are encrypted again without it. That takes nothing back: what it could read it may have
    read, so every such secret is listed, and stays red until it is rotated.

    Its description stays, so that a replacement can be enrolled under its name, and so do its services. --remove
    takes it out, where nothing else refers to it. The authority that it held for its own site's names stays good
    for browsers until it expires, three years after its enrolment at most.

    Examples: hentou strike kerminy-1 --why "stolen in the night of 3 May"
              hentou strike old-vps --why "the contract ended" --remove
    """
    done = strike_out(repository.resolve(), machine, why, remove=remove, identities=key or None)
    if json:
        as_json({"machine": machine, "commit": done.commit, "known": done.known, "refused": dict(done.refused)})
        return
    say(f"{machine} is struck out: commit {done.commit[:12]}")
    for secret in done.known:
        say(f"it could read the secret {secret}", "red")
    for secret, reason in done.refused.items():
        say(f"{secret} is not encrypted again yet: {reason}", "yellow")
    say("  → next: `hentou publish`", "bold")
    if done.known:
        say(f"  → then: `hentou secret rotate {' '.join(done.known)}`, and publish again", "bold")
