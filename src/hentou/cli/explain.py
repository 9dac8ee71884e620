"""`hentou explain`: why something is on a machine."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from hentou import compose
from hentou.cli.output import as_json, say
from hentou.effects.tree import open_tree
from hentou.errors import HentouError
from hentou.generation.compile import Compiler
from hentou.generation.offer import Port
from hentou.model.types import Collective, Machine, Pointer

Reason = tuple[str, str, tuple[Pointer, ...]]
"""What it is, which feature or recipe wants it, and where the repository says so."""


def explain(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The collective's repository.")],
    machine: Annotated[str, typer.Argument(metavar="MACHINE", help="A machine's name.")],
    thing: Annotated[
        str, typer.Argument(metavar="THING", help="A path, a unit, an account or a port (443/tcp) of that machine.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Say which feature and which lines put a thing on a machine.

    Example: hentou explain examples/pilot kerminy-1 /etc/nftables.conf
    """
    tree = open_tree(directory)
    collective = compose.load(tree)
    if machine not in collective.machines or collective.machines[machine].external:
        raise compose.unknown_machine(collective, machine)
    compiler = compose.compiler(collective)
    known = list(_things(compiler, collective.machines[machine]))
    found = [reason for name, reason in known if name == thing]
    if not found:
        near = get_close_matches(thing, [name for name, _ in known], 1, 0.4)
        raise HentouError(
            f"{machine} holds nothing called {thing}", f"did you mean {near[0]}?" if near else "see `hentou build`"
        )
    if json:
        as_json([_record(collective, reason) for reason in found])
        return
    for what, by, because in found:
        say(f"{thing}: {what}, wanted by {by}", "bold")
        for pointer in dict.fromkeys(because):
            say(f"  {pointer.file}:{collective.line(pointer)}: {collective.source(pointer).strip()}")
        if not because:
            say("  on every machine, whatever the repository says")


def _things(compiler: Compiler, machine: Machine) -> Iterator[tuple[str, Reason]]:
    for fragment in compiler.fragments(machine):
        for directory in fragment.directories:
            yield directory.path, ("directory", fragment.by, directory.because)
        for unit in fragment.units:
            yield unit.name, ("unit", fragment.by, unit.because)
        for user in fragment.users:
            yield user.name, ("account", fragment.by, user.because)
    for entry in compiler.generation(machine).manifest.entries:
        what = f"link to {entry.target}" if entry.is_link else f"file, {entry.size} bytes, mode {entry.mode:04o}"
        yield entry.path, (what, entry.by, entry.because)
    for port in compiler.offers.on(Port, machine.name):
        what = f"port for {port.reach.value} ({port.why})"
        yield f"{port.number}/{port.protocol}", (what, port.by, port.because)


def _record(collective: Collective, reason: Reason) -> dict[str, object]:
    what, by, because = reason
    lines = [{"file": p.file, "line": collective.line(p), "keys": list(p.keys)} for p in dict.fromkeys(because)]
    return {"what": what, "by": by, "because": lines}
