"""Names that lead to nothing: people, groups, machines, files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from hentou.errors import Problem
from hentou.model.draft import COLLECTIVE, ROSTER, Draft, stem
from hentou.model.shape import did_you_mean
from hentou.model.types import Machine
from hentou.model.yaml import Document, Path


def _unknown(document: Document, path: Path, kind: str, name: str, *, known: Collection[str], make: str) -> Problem:
    return document.value(path, f"no {kind} is called {name}", did_you_mean(name, sorted(known), make))


def referents(draft: Draft) -> Iterator[Problem]:
    """Contacts of a site without a file of their own."""
    for name, site in draft.sites.items():
        yield from _unknown_people(draft, draft.site_documents[name], ("referents",), site.referents)


def canaries(draft: Draft) -> Iterator[Problem]:
    """Canary sites that do not exist: every change would wait for them in vain."""
    if draft.spec is None:
        return
    document, known = draft.documents[COLLECTIVE], draft.site_names
    for index, site in enumerate(draft.spec.policies.canaries):
        if site not in known:
            path = ("policies", "canaries", str(index))
            yield _unknown(document, path, "site", site, known=known, make=f"write sites/{site}.yaml")


def members(draft: Draft) -> Iterator[Problem]:
    """Members of groups without a file of their own."""
    if draft.spec is None:
        return
    for name, group in draft.spec.groups.items():
        yield from _unknown_people(draft, draft.documents[COLLECTIVE], ("groups", name, "members"), group.members)


def _unknown_people(draft: Draft, document: Document, path: Path, people: Iterable[str]) -> Iterator[Problem]:
    """People of a list who have no file of their own."""
    known = draft.people_names
    for index, person in enumerate(people):
        if person not in known:
            make = f"write people/{person}.yaml"
            yield _unknown(document, (*path, str(index)), "person", person, known=known, make=make)


def roster_people(draft: Draft) -> Iterator[Problem]:
    """Admins without a file of their own."""
    if draft.roster is None:
        return
    for admin in draft.roster.admins:
        if admin not in draft.people_names:
            hint = did_you_mean(admin, sorted(draft.people_names), f"write people/{admin}.yaml")
            yield draft.documents[ROSTER].key(("admins", admin), f"no person is called {admin}", hint)


def machine_admins(draft: Draft) -> Iterator[Problem]:
    """A machine's admins who are neither in the roster nor a group, and machines that nobody could enter."""
    if not draft.readable(COLLECTIVE, ROSTER):
        return
    known = draft.admin_names | draft.group_names
    for document, machine in draft.each_machine():
        path = ("machines", machine.name, "admins")
        for index, name in enumerate(machine.admins or ()):
            if name in draft.people_names and name not in known:
                hint = f"add the key of {name} to {ROSTER}"
                yield document.value((*path, str(index)), f"{name} is not in the roster", hint)
            elif name not in known:
                make = f"add it to {ROSTER}, or to the groups of {COLLECTIVE}"
                yield _unknown(document, (*path, str(index)), "admin or group", name, known=known, make=make)
        if machine.admins is not None and machine.external is None and not _can_enter(draft, machine):
            hint = "name somebody of the roster, or remove the line to let in the whole roster"
            yield document.key(path, f"nobody of the roster could log in to {machine.name}", hint)


def _can_enter(draft: Draft, machine: Machine) -> bool:
    """Whether some admin has an account; what cannot be told counts as yes."""
    names = set(machine.admins or ())
    if draft.spec is None or names - draft.admin_names - draft.group_names:
        return True
    groups = draft.spec.groups
    people = names | {person for name in names & groups.keys() for person in groups[name].members}
    return bool(people & draft.admin_names)


def guests(draft: Draft) -> Iterator[Problem]:
    """Hosts that do not exist or stand elsewhere, and machines that host each other in a circle."""
    hosts = {machine.name: machine.guest_of for _, machine in draft.each_machine()}
    circles = _circles(hosts)
    for document, machine in draft.each_machine():
        host, path = machine.guest_of, ("machines", machine.name, "guest_of")
        if host is None:
            continue
        if host not in draft.machine_sites:
            if draft.all_sites_readable:
                make = f"describe {host} among the machines of {machine.site}"
                yield _unknown(document, path, "machine", host, known=draft.machine_sites, make=make)
        elif machine.site not in draft.machine_sites[host]:
            message = f"{host} stands at {draft.machine_sites[host][0]}, not here"
            yield document.value(path, message, "describe a guest at the site of its host")
        if circle := circles.get(machine.name):
            way = " → ".join((*circle, circle[0]))
            yield document.value(path, f"machines host each other in a circle: {way}", "remove one guest_of")


def _circles(hosts: Mapping[str, str | None]) -> dict[str, tuple[str, ...]]:
    """Every circle of hosts, by the first machine met on it. Each machine is visited once."""
    found: dict[str, tuple[str, ...]] = {}
    done: set[str] = set()
    for start in hosts:
        way: dict[str, None] = {}
        machine: str | None = start
        while machine is not None and machine not in done and machine not in way:
            way[machine] = None
            machine = hosts.get(machine)
        if machine is not None and machine in way:
            walked = list(way)
            found[machine] = tuple(walked[walked.index(machine) :])
        done |= way.keys()
    return found


def service_machines(draft: Draft) -> Iterator[Problem]:
    """Services on no machine, on another site's, or on one that somebody else administers."""
    for document, service in draft.each_service():
        path = ("services", service.key, "machine")
        here = document.mapping("machines")
        sites = draft.machine_sites.get(service.machine, ())
        if service.machine in here:
            machine = draft.sites[service.site].machines.get(service.machine)  # absent: wrong in itself
            if machine is not None and machine.external is not None:
                message = f"{machine.name} is external: hentou never installs a service there"
                yield document.value(path, message, "choose another machine, or remove its `external`")
        elif sites:
            message = f"{service.machine} stands at {sites[0]}, not at {service.site}"
            hint = f"move the service to sites/{sites[0]}.yaml, or choose a machine of this site"
            yield document.value(path, message, hint)
        else:
            make = f"describe {service.machine} among the machines of this site"
            yield _unknown(document, path, "machine of this site", service.machine, known=here, make=make)


def agreements(draft: Draft) -> Iterator[Problem]:
    """Hosting agreements that are neither an address nor a file of the repository."""
    for name, site in draft.sites.items():
        if site.agreement and "://" not in site.agreement and site.agreement not in draft.files:
            hint = did_you_mean(site.agreement, sorted(draft.files), "add the file, or write an https address")
            message = f"{site.agreement} is no file of this repository"
            yield draft.site_documents[name].value(("agreement",), message, hint)


def machine_files(draft: Draft) -> Iterator[Problem]:
    """Keys and overrides of machines that do not exist."""
    if not draft.all_sites_readable:
        return
    seen: set[str] = set()
    for file in sorted(draft.files):
        folder, _, rest = file.partition("/")
        name = stem(file) if folder == "keys" and file.endswith(".yaml") else rest.partition("/")[0]
        wanted = (folder == "keys" and file.endswith(".yaml")) or (folder == "overrides" and "/" in rest)
        if wanted and name not in draft.machine_sites and f"{folder}/{name}" not in seen:
            seen.add(f"{folder}/{name}")
            hint = did_you_mean(name, sorted(draft.machine_sites), "remove it, or describe the machine")
            yield Problem(file, 0, 0, f"no machine is called {name}", hint)


RULES: tuple[Callable[[Draft], Iterator[Problem]], ...] = (
    referents, canaries, members, roster_people, machine_admins, guests, service_machines, agreements, machine_files,
)  # fmt: skip
