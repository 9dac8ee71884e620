"""Merge fragments into a generation; two that claim the same thing are a Problem that names both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TypeVar

from hentou.errors import InvalidCollectiveError, Problem
from hentou.generation.fragment import Certificate, Directory, File, Fragment, Symlink, Unit, User
from hentou.generation.generation import Entry, Generation, Manifest
from hentou.generation.offer import Port
from hentou.model.types import Collective, Machine, Pointer

Thing = TypeVar("Thing", User, Directory, File, Symlink, Unit, Certificate)


def merge(collective: Collective, machine: Machine, fragments: Sequence[Fragment], ports: Iterable[Port]) -> Generation:
    """One machine's generation from all its fragments, whatever their order."""
    merger = _Merger(collective, machine)
    wants = [wanted for fragment in fragments for wanted in _enabling(fragment)]
    users = merger.unique("account", fragments, lambda f: f.users, lambda user: user.name)
    merger.user_ids(users)
    directories = merger.unique("directory", fragments, lambda f: f.directories, lambda item: item.path)
    units = merger.unique("unit", fragments, lambda f: f.units, lambda unit: unit.name)
    certificates = merger.unique("certificate", fragments, lambda f: f.certificates, lambda item: item.directory)
    files = merger.unique("file", fragments, lambda f: f.files, lambda item: item.path)
    links = merger.unique("file", fragments, lambda f: f.symlinks, lambda item: item.path)
    explicit = {link.path for _, link in links}
    links += [wanted for wanted in wants if wanted[1].path not in explicit]
    merger.disjoint(files, links)
    merger.claims(fragments, {item.path: by for by, item in files} | {link.path: by for by, link in links})
    merger.paths([*directories, *files, *links])
    merger.ports(ports)
    if merger.problems:
        raise InvalidCollectiveError(tuple(merger.problems))
    entries = [_file_entry(by, item) for by, item in files] + [_link_entry(by, item) for by, item in links]
    manifest = Manifest(
        machine=machine.name,
        packages=tuple(sorted(set(chain.from_iterable(f.packages for f in fragments)))),
        users=_sorted(users, lambda user: user.name),
        directories=_sorted(directories, lambda item: item.path),
        entries=tuple(sorted(entries, key=lambda entry: entry.path)),
        units=_sorted(units, lambda unit: unit.name),
        certificates=_sorted(certificates, lambda item: item.directory),
        checks=tuple(sorted(chain.from_iterable(f.checks for f in fragments), key=lambda check: check.name)),
        health_timeout=collective.spec.policies.health_timeout,
        peers=_peers(collective, machine),
    )
    return Generation(manifest, {item.digest: item.content for _, item in files})


def _peers(collective: Collective, machine: Machine) -> tuple[str, ...]:
    """Mesh addresses whose answer shows that this machine is still connected: gateways, or what they join."""
    others = collective.gateways if not machine.gateway else collective.managed
    enrolled = [m for m in others if m.name != machine.name and m.name in collective.keys]
    return tuple(str(collective.mesh_address(m)) for m in enrolled[:8])


def _sorted(things: list[tuple[str, Thing]], key: Callable[[Thing], str]) -> tuple[Thing, ...]:
    return tuple(sorted((thing for _, thing in things), key=key))


def _enabling(fragment: Fragment) -> Iterable[tuple[str, Symlink]]:
    """The links that `systemctl enable` would make, owned like files so that an undo restores them."""
    for unit in fragment.units:
        if unit.wanted_by:
            folder = "/etc/systemd/system" if _own_unit(fragment, unit) else "/usr/lib/systemd/system"
            template, at, _ = unit.name.partition("@")
            source = f"{template}@.{unit.name.rpartition('.')[2]}" if at else unit.name
            link = f"/etc/systemd/system/{unit.wanted_by}.wants/{unit.name}"
            yield fragment.by, Symlink(link, f"{folder}/{source}", unit.because)


def _own_unit(fragment: Fragment, unit: Unit) -> bool:
    return any(file.path == f"/etc/systemd/system/{unit.name}" for file in fragment.files)


def _file_entry(by: str, item: File) -> Entry:
    return Entry(
        item.path, by, item.because, item.mode, item.owner, item.group, item.digest, len(item.content),
        copied_from=item.copied_from,
    )  # fmt: skip


def _link_entry(by: str, item: Symlink) -> Entry:
    return Entry(item.path, by, item.because, 0o777, target=item.target)


class _Merger:
    """Collects what fragments claim, and the problems of claims that collide."""

    def __init__(self, collective: Collective, machine: Machine) -> None:
        self.collective = collective
        self.machine = machine
        self.problems: list[Problem] = []

    def unique(
        self,
        what: str,
        fragments: Sequence[Fragment],
        pick: Callable[[Fragment], Sequence[Thing]],
        key: Callable[[Thing], str],
    ) -> list[tuple[str, Thing]]:
        """Every thing of one kind with its fragment; a second, different claim to a key is a problem."""
        found: dict[str, tuple[str, Thing]] = {}
        for fragment in fragments:
            for thing in pick(fragment):
                first = found.setdefault(key(thing), (fragment.by, thing))
                if first[1] != thing:
                    self.clash(what, key(thing), first[0], fragment.by, thing.because)
        return list(found.values())

    def user_ids(self, users: Sequence[tuple[str, User]]) -> None:
        """Refuse two accounts with one user id."""
        found: dict[int, tuple[str, User]] = {}
        for by, user in users:
            first = found.setdefault(user.uid, (by, user))
            if first[1].name != user.name:
                self.clash(
                    "user id",
                    str(user.uid),
                    f"{first[0]} ({first[1].name})",
                    f"{by} ({user.name})",
                    user.because,
                )

    def disjoint(self, files: Sequence[tuple[str, File]], links: Sequence[tuple[str, Symlink]]) -> None:
        """Refuse a link where another fragment puts a file."""
        paths = {item.path: by for by, item in files}
        for by, link in links:
            if link.path in paths:
                self.clash("file", link.path, paths[link.path], by, link.because)

    def claims(self, fragments: Sequence[Fragment], owned: Mapping[str, str]) -> None:
        """Refuse a file or link where another fragment has a program write."""
        for fragment in fragments:
            for path, pointer in fragment.claims:
                if path in owned:
                    self.clash("file", path, owned[path], fragment.by, (pointer,))

    def paths(self, things: Iterable[tuple[str, Directory | File | Symlink]]) -> None:
        """Refuse paths that lead elsewhere than they say: whoever writes them is root."""
        for by, thing in things:
            parts = thing.path.split("/")
            if parts[0] or not parts[1:] or {"", ".", ".."} & set(parts[1:]) or not _printed(thing.path):
                pointer = thing.because[0] if thing.because else self.collective.pointer(self.machine)
                self.note(pointer, f"{by} wants {thing.path!r} on {self.machine.name}: no path", "correct the name")

    def ports(self, ports: Iterable[Port]) -> None:
        """Refuse two offers that listen on one port."""
        found: dict[tuple[str, int], Port] = {}
        for port in ports:
            first = found.setdefault((port.protocol, port.number), port)
            if first is not port:
                self.clash("port", f"{port.number}/{port.protocol}", first.by, port.by, port.because)

    def clash(self, what: str, value: str, one: str, other: str, because: tuple[Pointer, ...]) -> None:
        """Note that two fragments claim the same thing, on the line of the second's reason."""
        pointer = because[0] if because else self.collective.pointer(self.machine)
        message = f"{what} {value} on {self.machine.name} is claimed by {one} and by {other}"
        self.note(pointer, message, "rename one of the two, or move it to another machine")

    def note(self, pointer: Pointer, message: str, hint: str) -> None:
        """Add a problem on the line that a pointer leads to."""
        line, column = self.collective.positions.get(pointer, (0, 0))
        source = self.collective.source(pointer) if line else ""
        self.problems.append(Problem(pointer.file, line, column, message, hint, source))


def _printed(path: str) -> bool:
    return not any(ord(letter) < 32 or letter == "\x7f" for letter in path)
