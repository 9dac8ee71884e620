"""`hentou converge`: bring this machine to what the repository says, or leave it as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from hentou.agent.activate import Exit, Options, Outcome, activate, cut_points, preview
from hentou.agent.diff import difference
from hentou.agent.host import Host
from hentou.agent.local import MACHINE_FILE, NOT_COMPILED, REPOSITORY, this_machine
from hentou.cli.output import as_json, note, say
from hentou.effects.disk import LockedError
from hentou.errors import HentouError
from hentou.generation.generation import Generation
from hentou.generation.step import Plan

_PATIENCE = 180.0
"""Seconds to wait for another activation: as long as one usually takes at most."""


def converge(
    repo: Annotated[
        Path | None, typer.Option(readable=False, help="A repository to take instead of what was accepted.")
    ] = None,
    rev: Annotated[
        str | None,
        typer.Option(help="An older accepted revision; with --repo any (`main` by default, empty: a directory as is)."),
    ] = None,
    commit: Annotated[str, typer.Option(help="An accepted commit: as --rev, for the agent.", hidden=True)] = "",
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
    """Bring this machine to what the collective decided, or undo.

    That is the head that this machine accepted last, after a look at what admins pushed to it; a detached machine
    refuses. With --repo it is what a repository says, whoever wrote it: for trying out, or before a machine is pinned.

    It stages, switches, checks health and confirms. A generation whose health checks fail is undone and not
    tried again by itself (`--retry` does). Files edited by hand hold the activation: see `hentou adopt` and
    `hentou overwrite`. With nothing to do, nothing is written.

    Exit status: 0 active, or nothing to do; 1 an error; 3 undone; 4 held by hand edits; 5 quarantined;
    6, where the agent runs it: nothing can be compiled for this machine.

    Examples: hentou converge
              hentou converge --dry-run
              hentou converge --repo /root/pilot --rev HEAD
    """
    host = Host(tell=note)
    if certificates_only:
        generation, at = _current(host)
    else:
        generation, at = _wanted(host, Wanted(repo, rev, commit, machine), look=dry_run, json=json)
    options = Options(commit=at, retry=retry, stop_before=stop_before, certificates_only=certificates_only)
    if dry_run:
        _show(host, generation, preview(host, generation, options), json=json)
        return
    outcome = _patiently(host, generation, options)
    if outcome.exit is Exit.ACTIVE and not certificates_only:
        _note_commit(host, generation, at)
    finish(host, generation, outcome, json=json)


def _patiently(host: Host, generation: Generation, options: Options) -> Outcome:
    """Activate once nobody else does: the agent may be at it just now."""
    deadline, told = host.monotonic() + _PATIENCE, False
    while True:
        try:
            return activate(host, generation, options)
        except LockedError as taken:
            if host.monotonic() > deadline:
                raise
            if not told:
                note(f"{taken.message}: waiting for it to end")
                told = True
            host.sleep(0.5)


class Wanted(NamedTuple):
    """What a person, or with `commit` the agent, asked to converge to, and as which machine."""

    repo: Path | None
    rev: str | None
    commit: str
    machine: str


def _wanted(host: Host, asked: Wanted, *, look: bool, json: bool) -> tuple[Generation, str]:
    """The generation to activate, or only to `look` at, and its commit."""
    name = asked.machine or this_machine(host.disk)
    if asked.repo is not None and not asked.commit:
        return _compiled(asked.repo, "main" if asked.rev is None else asked.rev, name)
    from hentou.agent.accepted import accepted_commit  # noqa: PLC0415 - trust is only for those who follow it

    wanted = accepted_commit(host, asked.commit or asked.rev or "", look=look)
    try:
        return _compiled(Path(host.disk.at(REPOSITORY)), wanted, name)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever a commit's files lead to, it is that commit which fails
        if asked.commit:
            _not_compiled(error, json=json)
        raise


def _not_compiled(error: Exception, *, json: bool) -> None:
    message = error.message if isinstance(error, HentouError) else f"{type(error).__name__}: {error}"
    if json:
        as_json({"exit": "not-compiled", "message": message, "reasons": [message]})
    else:
        say(message, "red")
    raise typer.Exit(NOT_COMPILED) from error


def _note_commit(host: Host, generation: Generation, commit: str) -> None:
    """Remember which commit is active also where it led to the same generation as the one before."""
    state = host.store.state()
    if commit and state.commit != commit and state.current == generation.id:
        with host.store.lock():
            host.store.save(replace(host.store.state(), commit=commit))


def _compiled(repo: Path, rev: str, name: str) -> tuple[Generation, str]:
    # Compiling brings the model, features and recipes in: a renewal of certificates does without them.
    from hentou import compose  # noqa: PLC0415
    from hentou.effects.tree import GitTree, open_tree  # noqa: PLC0415

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
