"""`hentou converge`: bring this machine to what the repository says, or leave it as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hentou.agent.activate import Exit, Options, Outcome, activate, cut_points, preview
from hentou.agent.diff import difference
from hentou.agent.host import Host
from hentou.agent.local import MACHINE_FILE, REPOSITORY, this_machine
from hentou.cli.output import as_json, note, say
from hentou.errors import HentouError
from hentou.generation.generation import Generation
from hentou.generation.step import Plan


def converge(
    repo: Annotated[Path, typer.Option(readable=False, help="The repository to follow.")] = Path(REPOSITORY),
    rev: Annotated[str, typer.Option(help="The Git revision to follow; empty for a directory as it is.")] = "main",
    machine: Annotated[str, typer.Option(help=f"This machine's name; by default from {MACHINE_FILE}.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the steps; change nothing.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try a generation that failed before.")] = False,
    certificates_only: Annotated[
        bool, typer.Option("--certificates-only", help="Only renew certificates that are due.")
    ] = False,
    stop_before: Annotated[
        int | None,
        typer.Option(help="Drill: stop dead before this cut point (from 1), as a power cut would.", min=1),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Bring this machine to what its repository says, or undo.

    It stages, switches, checks health and confirms. A generation whose health checks fail is undone and not
    tried again by itself (`--retry` does). Files edited by hand hold the activation: see `hentou adopt` and
    `hentou overwrite`. With nothing to do, nothing is written.

    Exit status: 0 active, or nothing to do; 1 an error; 3 undone; 4 held by hand edits; 5 quarantined.

    Examples: hentou converge
              hentou converge --dry-run
              hentou converge --repo /root/pilot --rev HEAD
    """
    host = Host(tell=note)
    generation, commit = _current(host) if certificates_only else _compiled(repo, rev, machine)
    options = Options(commit=commit, retry=retry, stop_before=stop_before, certificates_only=certificates_only)
    if dry_run:
        _show(host, generation, preview(host, generation, options), json=json)
        return
    finish(host, generation, activate(host, generation, options), json=json)


def _compiled(repo: Path, rev: str, machine: str) -> tuple[Generation, str]:
    # Compiling brings the model, features and recipes in: a renewal of certificates does without them.
    from hentou import compose  # noqa: PLC0415
    from hentou.effects.tree import GitTree, open_tree  # noqa: PLC0415

    name = machine or this_machine()
    if not repo.is_dir():
        raise HentouError(f"{repo} is missing: the collective was never pushed here", "push it, or give --repo PATH")
    tree = open_tree(repo, rev)
    compiler = compose.compiler(compose.load(tree))
    found = compiler.collective.machines.get(name)
    if found is None or found.external:
        raise compose.unknown_machine(compiler.collective, name)
    return compiler.generation(found), tree.commit if isinstance(tree, GitTree) else ""


def _current(host: Host) -> tuple[Generation, str]:
    state = host.store.state()
    manifest = host.manifest(state.current)
    if manifest is None:
        raise HentouError("this machine has no generation yet", "run `hentou converge`")
    return Generation(manifest, {}), state.commit


def _show(host: Host, generation: Generation, found: Plan, *, json: bool) -> None:
    if json:
        as_json(
            {
                "id": generation.id,
                "current": host.store.state().current,
                "steps": [step.record for step in found.steps],
                "held": [{"path": held.path, "by": held.by, "reason": held.reason} for held in found.held],
                "cut_points": cut_points(found),
            }
        )
        return
    for number, step in enumerate(found.steps, 1):
        say(f"{number:>3} {step}")
    if not found.steps:
        say(f"{generation.id[:12]} is active; nothing to do")
    _show_held(host, found)


def _show_held(host: Host, found: Plan) -> None:
    for held in found.held:
        say(f"{held.path}: {held.reason}", "yellow")
        say(difference(host, held.path))
        say(f"  → {held.hint}", "bold")


def finish(host: Host, generation: Generation, outcome: Outcome, *, json: bool = False) -> None:
    """Tell how an activation ended and exit with its status."""
    if json:
        as_json(
            {
                "id": generation.id,
                "exit": outcome.exit.name.lower(),
                "message": outcome.message,
                "reasons": list(outcome.reasons),
                "steps": [step.record for step in outcome.plan.steps],
                "held": [held.path for held in outcome.plan.held],
            }
        )
    else:
        say(outcome.message, "" if outcome.exit is Exit.ACTIVE else "red")
        for reason in outcome.reasons:
            say(f"  {reason}")
        _show_held(host, outcome.plan)
        if outcome.exit is Exit.QUARANTINED:
            say("  → push another commit, or activate this one with `hentou converge --retry`", "bold")
    if outcome.exit:
        raise typer.Exit(int(outcome.exit))
