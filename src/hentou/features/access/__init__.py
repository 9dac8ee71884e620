"""access: admins' and référents' personal accounts and keys, SSH without passwords or root, and sudo."""

from __future__ import annotations

from collections.abc import Iterable

from hentou.generation.contract import View
from hentou.generation.fragment import Check, CheckKind, Directory, File, Fragment, OnChange, Unit, User
from hentou.generation.offer import Offer, Port, Reach
from hentou.generation.template import fill
from hentou.model import derive
from hentou.model.types import Collective, Machine, Pointer, Spec


class Settings(Spec):
    """Nothing to choose yet: who may enter is written in the roster and in each machine's `admins`."""


def offer(view: View[Settings]) -> Iterable[Offer]:
    """SSH: from everywhere on a gateway, from the site's LAN and the mesh elsewhere."""
    if view.machine.external is None:
        reach = Reach.INTERNET if view.machine.gateway else Reach.INTRANET
        yield Port(view.machine.name, "access", "tcp", 22, reach, "SSH for admins", (view.here,))


def admins(collective: Collective, machine: Machine) -> tuple[str, ...]:
    """People of the roster who have an account on a machine, in the order of names."""
    roster = collective.roster.admins
    if machine.admins is None:
        return tuple(sorted(roster))
    groups = collective.spec.groups
    named = {person for name in machine.admins for person in (groups[name].members if name in groups else (name,))}
    return tuple(sorted(named & set(roster)))


def referents(collective: Collective, machine: Machine) -> tuple[str, ...]:
    """Référents of a machine's site who have a key and are no admins of this machine, in the order of names."""
    named = {name for name in collective.site_of(machine).referents if collective.people[name].ssh}
    return tuple(sorted(named - set(admins(collective, machine))))


def render(view: View[Settings]) -> Fragment:
    """Accounts, their keys where only root writes, SSH and sudo."""
    own, contacts = admins(view.collective, view.machine), referents(view.collective, view.machine)
    people = (*own, *contacts)
    because: tuple[Pointer, ...] = (view.here, Pointer("roster.yaml", ("admins",)))
    if contacts:
        because += (Pointer(f"sites/{view.machine.site}.yaml", ("referents",)),)
    return Fragment(
        by="access",
        packages=("openssh-server", "sudo"),
        users=(
            *(_account(view, person, ("sudo",)) for person in own),
            *(_account(view, person, ()) for person in contacts),
        ),
        directories=(
            Directory("/etc/ssh/authorized_keys.d", because=because),
            *(
                Directory(f"/home/{person}", 0o700, person, person, _why(view, person))
                for person in people
            ),
        ),
        files=(
            *(_keys(view, person, view.collective.roster.admins[person]) for person in own),
            *(_keys(view, person, view.collective.people[person].ssh, "restrict,pty ") for person in contacts),
            File(
                "/etc/ssh/sshd_config.d/10-hentou.conf",
                fill(__package__, "sshd.conf", people=people, referents=contacts),
                because=because,
            ),
            File("/etc/sudoers.d/hentou", fill(__package__, "sudoers", referents=contacts), 0o440, because=because),
            File(
                "/etc/systemd/system/ssh.service.d/hentou.conf",
                fill(__package__, "ssh.service.conf"),
                because=(view.here,),
            ),
        ),
        units=(
            Unit("ssh.service", OnChange.RELOAD, ("/etc/ssh/sshd_config.d/",), because=(view.here,)),
        ),
        checks=(
            Check("access: SSH runs", CheckKind.UNIT, "ssh.service", (view.here,)),
            Check("access: SSH answers", CheckKind.TCP, "127.0.0.1:22", (view.here,)),
        ),
    )  # fmt: skip


def _why(view: View[Settings], person: str) -> tuple[Pointer, ...]:
    if person in admins(view.collective, view.machine):
        return (Pointer("roster.yaml", ("admins", person)), view.here)
    return (Pointer(f"sites/{view.machine.site}.yaml", ("referents",)), Pointer(f"people/{person}.yaml", ("ssh",)))


def _account(view: View[Settings], person: str, groups: tuple[str, ...]) -> User:
    known = view.collective.people.get(person)
    return User(  # noqa: S604 — the login shell, not a shell command
        person,
        derive.uid(person),
        comment=known.full_name.replace(":", " ").replace(",", " ") if known else "",
        home=f"/home/{person}",
        shell="/bin/bash",
        groups=groups,
        system=False,
        because=_why(view, person),
    )


def _keys(view: View[Settings], person: str, keys: Iterable[str], options: str = "") -> File:
    text = "".join(f"{options}{key}\n" for key in keys)
    return File(f"/etc/ssh/authorized_keys.d/{person}", text.encode(), because=_why(view, person))
