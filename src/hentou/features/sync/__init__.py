"""sync: who this machine hears news from, and its verified repository served to them."""

from __future__ import annotations

import json
from collections.abc import Iterable

from hentou.generation.contract import View
from hentou.generation.fragment import Check, CheckKind, File, Fragment, Unit
from hentou.generation.offer import Offer, Port, Reach
from hentou.generation.template import fill
from hentou.model.types import Collective, Machine, Pointer, Spec

GIT = 9418
"""TCP port of Git's own protocol, as everywhere."""

HINTS = 8422
"""UDP port of hints."""


class Settings(Spec):
    """Nothing to choose here: how often machines ask each other is one of the collective's policies."""


def offer(view: View[Settings]) -> Iterable[Offer]:
    """The repository and an ear for hints, for the others that follow this repository."""
    machine = view.machine
    if machine.external is None and machine.name in view.collective.keys:
        yield Port(machine.name, "sync", "tcp", GIT, Reach.MACHINES, "the verified repository, by Git", (view.here,))
        yield Port(machine.name, "sync", "udp", HINTS, Reach.MACHINES, "hints that there is news", (view.here,))


def peers(collective: Collective, machine: Machine) -> tuple[Machine, ...]:
    """The machines that this one hears news from: managed and enrolled, but itself, in the order of names."""
    others = (other for other in collective.managed if other.name != machine.name)
    return tuple(other for other in others if other.name in collective.keys)


def render(view: View[Settings]) -> Fragment | None:
    """The agent's peers and the repository's server, on an enrolled machine; nothing before: it is in no mesh."""
    collective, machine = view.collective, view.machine
    if machine.name not in collective.keys:
        return None
    own = (view.here, Pointer(f"keys/{machine.name}.yaml", ("wireguard",)))
    address = collective.mesh_address(machine)
    return Fragment(
        by="sync",
        packages=("git",),
        files=(
            _agent(view, own),
            File(
                "/etc/systemd/system/hentou-git.socket",
                fill(__package__, "hentou-git.socket", address=address, port=GIT),
                because=own,
            ),
            File("/etc/systemd/system/hentou-git@.service", fill(__package__, "hentou-git@.service"), because=own),
        ),
        units=(Unit("hentou-git.socket", wanted_by="sockets.target", because=own),),
        checks=(Check("sync: repository is served", CheckKind.UNIT, "hentou-git.socket", own),),
    )


def _agent(view: View[Settings], own: tuple[Pointer, ...]) -> File:
    collective, machine = view.collective, view.machine
    others = peers(collective, machine)
    record = {
        "machine": machine.name,
        "site": machine.site,
        "address": str(collective.mesh_address(machine)),
        "port": HINTS,
        "poll": collective.spec.policies.poll,
        "peers": [{"name": other.name, "address": str(collective.mesh_address(other))} for other in others],
    }
    policy = Pointer("collective.yaml", ("policies", "poll"))
    theirs = tuple(Pointer(f"keys/{other.name}.yaml", ("wireguard",)) for other in others)
    text = json.dumps(record, indent=1) + "\n"
    # The agent reads it again when it changes: nothing is restarted.
    return File("/etc/hentou/agent.json", text.encode(), because=(*own, policy, *theirs))
