"""`hentou plan`: what a change would do, where, and why, before anything is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hentou import compose
from hentou.cli.output import as_json, say
from hentou.effects.tree import open_tree
from hentou.errors import HentouError
from hentou.generation.generation import Manifest
from hentou.generation.plan import Facts, Plan
from hentou.generation.plan import plan as make_plan
from hentou.model.types import Tree


def plan(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The collective's repository.")],
    machine: Annotated[str, typer.Argument(metavar="MACHINE", help="Only this machine.")] = "",
    against: Annotated[
        str, typer.Option(help="A Git revision, or another directory, that machines are taken to follow now.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Print the steps that each machine would take, and why.

    Compared with HEAD, in a Git repository; with a bare machine elsewhere. On the machine itself,
    `hentou converge --dry-run` prints the same steps with what it found there.

    Examples: hentou plan examples/pilot
              hentou plan . kerminy-1 --against HEAD~3
    """
    compiler = compose.compiler(compose.load(open_tree(directory)))
    before = _manifests(_base(directory, against), machine)
    plans: dict[str, Plan] = {}
    for wanted in compiler.collective.managed:
        if machine in ("", wanted.name):
            new = compiler.generation(wanted).manifest
            old = before.pop(wanted.name, None)
            plans[wanted.name] = make_plan(old, new, Facts.assumed(old, new))
    if machine and not plans:
        raise compose.unknown_machine(compiler.collective, machine)
    gone = [name for name in before if not machine]
    if json:
        as_json({"machines": {name: [step.record for step in p.steps] for name, p in plans.items()}, "gone": gone})
        return
    _print(plans, gone)


def _base(directory: Path, against: str) -> Tree | None:
    """What machines follow now: the tree named, or the last commit where there is one."""
    if against and Path(against).is_dir():
        return open_tree(Path(against))
    if against:
        return open_tree(directory, against)
    last = open_tree(directory, "HEAD")
    try:
        last.files()
    except HentouError:
        return None
    return last


def _manifests(tree: Tree | None, machine: str) -> dict[str, Manifest]:
    if tree is None:
        return {}
    compiler = compose.compiler(compose.load(tree))
    wanted = [m for m in compiler.collective.managed if machine in ("", m.name)]
    return {m.name: compiler.generation(m).manifest for m in wanted}


def _print(plans: dict[str, Plan], gone: list[str]) -> None:
    quiet = [name for name, found in plans.items() if not found.steps]
    for name, found in plans.items():
        if found.steps:
            say(f"{name}: {len(found.steps)} step{'s' if len(found.steps) > 1 else ''}", "bold")
            for step in found.steps:
                say(f"  {step}")
    if quiet:
        say(f"nothing to do on {', '.join(quiet)}", "dim")
    for name in gone:
        say(f"{name} has left the collective: it keeps its last generation until it is switched off", "yellow")
