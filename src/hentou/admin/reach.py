"""Ways to the machines: SSH to whichever address answers, or through a gateway."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

from hentou import compose
from hentou.admin import signing
from hentou.admin.connection import (
    INBOX,
    REPOSITORY,
    Connection,
    DirectoryConnection,
    Reaching,
    Runner,
    SshConnection,
    UnreachableError,
)
from hentou.admin.workcopy import WAYS, WorkCopy
from hentou.effects import ssh
from hentou.effects.disk import Disk
from hentou.errors import HentouError
from hentou.model.types import Collective, Machine

__all__ = (
    "INBOX", "REPOSITORY", "Connection", "DirectoryConnection", "Reach", "Reaching", "Runner", "SshConnection",
    "UnreachableError", "Way",
)  # fmt: skip


@dataclass(frozen=True)
class Way:
    """One way to a machine; `gateway` is the machine to jump over, where there is one."""

    words: str
    host: str
    port: int = 22
    user: str = ""
    gateway: str = ""


class Reach:
    """SSH to the machines of a collective, with their host keys as the repository has them."""

    def __init__(
        self, repository: Path, *, user: str = "", key: Path | None = None, collective: Collective | None = None
    ) -> None:
        self._copy = WorkCopy(repository)
        self._given = collective
        self._user, self._key = user, key
        self._locks: dict[str, Lock] = defaultdict(Lock)
        self._direct: dict[str, tuple[ssh.Link, Way] | None] = {}
        self._open: dict[str, SshConnection | UnreachableError] = {}
        self._links: list[ssh.Link] = []
        self._pools: list[ThreadPoolExecutor] = []
        self._closed = False
        self._guard = Lock()
        self._terminal = Lock()

    @cached_property
    def collective(self) -> Collective:
        """The collective whose machines are reached: HEAD's, unless another was given."""
        return self._given or self._copy.collective()

    def enrolled(self) -> tuple[str, ...]:
        """Managed machines whose SSH host key is known, in the order of names."""
        return tuple(m.name for m in self.collective.managed if self._host_key(m.name))

    def connect(self, machine: str) -> Connection:
        """A connection by the way that worked last, else by the first that answers; UnreachableError for none."""
        with self._guard:
            lock = self._locks[machine]
        with lock:
            if machine not in self._open:
                try:
                    self._open[machine] = self._connect(machine)
                except UnreachableError as error:
                    self._open[machine] = error
            found = self._open[machine]
        if isinstance(found, UnreachableError):
            raise found
        return found

    def all(self, machines: Iterable[str] = ()) -> Mapping[str, Connection | UnreachableError]:
        """Connections to these machines (every enrolled one by default), all at once."""
        return dict(self._each(tuple(machines) or self.enrolled()))

    def any(self) -> Connection:
        """The first machine that answers; UnreachableError when none does."""
        for _, found in self._each(self.enrolled()):
            if not isinstance(found, UnreachableError):
                return found
        raise UnreachableError("no machine answers", "see which ways were tried: `hentou status`")

    def _each(self, machines: Sequence[str]) -> Iterator[tuple[str, Connection | UnreachableError]]:
        def one(machine: str) -> tuple[str, Connection | UnreachableError]:
            try:
                return machine, self.connect(machine)
            except UnreachableError as error:
                return machine, error

        pool = ThreadPoolExecutor(max_workers=16)
        self._pools.append(pool)
        try:
            yield from (done.result() for done in as_completed([pool.submit(one, machine) for machine in machines]))
        finally:
            # Who needs one machine does not wait for the others; `close` does.
            pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """End every connection and remove its sockets."""
        self._closed = True
        for link in self._links:
            link.abort()
        for pool in self._pools:
            pool.shutdown(wait=True)
        for found in (*self._open.values(), *(direct[0] for direct in self._direct.values() if direct)):
            if not isinstance(found, UnreachableError):
                found.close()
        self._open.clear()
        self._direct.clear()
        if "_folder" in self.__dict__:
            ssh.remove_folder(self._folder)
            del self.__dict__["_folder"]

    def __enter__(self) -> Reach:
        """Itself; `close` follows."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    # Ways

    def ways(self, machine: str) -> Iterator[Way]:
        """Every way to a machine, best first: noted at its adoption, public, LAN, then through each gateway."""
        spec = self._spec(machine)
        if noted := self._noted(machine):
            yield noted
            if noted.user:
                # The account of its installation is closed to us once the machine follows the collective.
                yield replace(noted, words=f"{noted.host} (noted, own account)", user="")
        if spec.public:
            yield Way(str(spec.public.ipv4), str(spec.public.ipv4))
        if spec.public and spec.public.ipv6:
            yield Way(str(spec.public.ipv6), str(spec.public.ipv6))
        if spec.address:
            yield Way(f"{spec.address} (LAN)", str(spec.address))
        address = str(self.collective.mesh_address(spec))
        for gateway in self.collective.gateways:
            if gateway.name != machine and gateway.external is None and self._host_key(gateway.name):
                yield Way(f"through {gateway.name}", address, gateway=gateway.name)

    def _spec(self, machine: str) -> Machine:
        spec = self.collective.machines.get(machine)
        if spec is None or spec.external:
            raise compose.unknown_machine(self.collective, machine)
        return spec

    def _noted(self, machine: str) -> Way | None:
        noted = urlsplit(self._copy.setting(f"hentou.{machine}.ssh"))
        if noted.scheme != "ssh" or not noted.hostname:
            return None
        return Way(f"{noted.hostname} (noted)", noted.hostname, noted.port or 22, noted.username or "")

    def _host_key(self, machine: str) -> str:
        keys = self.collective.keys.get(machine)
        return (keys.ssh_host if keys else None) or self._copy.setting(f"hentou.{machine}.hostkey")

    @cached_property
    def _folder(self) -> Path:
        folder = ssh.private_folder()
        known = {machine.name: self._host_key(machine.name) for machine in self.collective.managed}
        lines = [f"{machine} {' '.join(key.split()[:2])}\n" for machine, key in known.items() if key]
        (folder / "known_hosts").write_text("".join(lines))
        return folder

    @cached_property
    def _identity(self) -> tuple[str, Path | None]:
        """The account's name on machines, and the key to show there."""
        user, key = self._user or self._copy.setting("hentou.user"), self._key
        with suppress(HentouError):
            trust = self._copy.trust
            roster = trust.roster if trust else self._copy.roster_at(self._copy.head)
            signer = signing.choose(self._copy, roster, self._key)
            user, key = user or signer.person, signer.file
        return user, key

    # Connecting

    def _connect(self, machine: str) -> SshConnection:
        if not self._host_key(machine):
            raise UnreachableError(f"{machine} is not enrolled: its SSH key is unknown", "`hentou enrol` first")
        with self._guard:
            # Made once, by whichever thread comes first.
            _ = self._folder, self._identity
        failures: dict[str, str] = {}
        found = self._gate(machine, failures) if self._spec(machine).gateway else None
        if found is None:
            ways = [way for way in self.ways(machine) if way.words not in failures]
            last = self._remembered.get(machine, "")
            found = self._race(machine, [w for w in ways if w.words == last], failures)
            found = found or self._race(machine, [w for w in ways if w.words != last], failures)
        if found:
            self._remember(machine, found[1].words)
            return SshConnection(self._copy.store, machine, found[1].words, found[0])
        said = "; ".join(f"{way}: {why}" for way, why in failures.items()) or "the repository gives no way to it"
        raise UnreachableError(
            f"{machine} does not answer: {said}", f"give it a way: git config hentou.{machine}.ssh ssh://HOST"
        )

    def _race(self, machine: str, ways: Sequence[Way], failures: dict[str, str]) -> tuple[ssh.Link, Way] | None:
        """The first of these ways that works; the others are broken off."""
        if not ways:
            return None
        links: dict[Future[tuple[ssh.Link | None, str]], Way] = {}
        opening: list[ssh.Link] = []
        won: tuple[ssh.Link, Way] | None = None
        with ThreadPoolExecutor(max_workers=len(ways)) as pool:
            for way in ways:
                links[pool.submit(self._try, machine, way, opening)] = way
            for done in as_completed(links):
                link, why = done.result()
                if link and won is None:
                    won = link, links[done]
                    for other in [other for other in opening if other is not link]:
                        other.abort()
                elif link:
                    link.close()
                else:
                    failures[links[done].words] = why
        return won

    def _try(self, machine: str, way: Way, opening: list[ssh.Link]) -> tuple[ssh.Link | None, str]:
        user, key = self._identity
        through = None
        if way.gateway:
            gate = self._gate(way.gateway, {})
            if gate is None:
                return None, f"{way.gateway} does not answer"
            through = gate[0]
        target = ssh.Target(machine, way.host, way.port, way.user or user)
        with self._guard:
            if self._closed:
                return None, "not asked any more"
            link = ssh.Link(self._folder, f"c{len(self._links)}", target, key, through)
            self._links.append(link)
        opening.append(link)
        why = link.open()
        if "Permission denied" in why and sys.stdin.isatty():
            # Only now may OpenSSH ask for a passphrase, and one at a time.
            with self._terminal:
                why = link.open(interactive=True)
        return (None, why) if why else (link, "")

    def _gate(self, gateway: str, failures: dict[str, str]) -> tuple[ssh.Link, Way] | None:
        """An open link straight to a gateway, shared by all who jump over it."""
        with self._guard:
            lock = self._locks[f"{gateway} itself"]
        with lock:
            if gateway not in self._direct:
                straight = [way for way in self.ways(gateway) if not way.gateway]
                self._direct[gateway] = self._race(gateway, straight, failures)
            return self._direct[gateway]

    @cached_property
    def _remembered(self) -> dict[str, str]:
        data = Disk().read_or_none(self._copy.file(WAYS)) or b"{}"
        try:
            return {str(machine): str(way) for machine, way in json.loads(data).items()}
        except (ValueError, AttributeError):
            return {}

    def _remember(self, machine: str, way: str) -> None:
        with self._guard:
            if self._remembered.get(machine) != way:
                self._remembered[machine] = way
                self._copy.write(WAYS, json.dumps(self._remembered, indent=1, sort_keys=True).encode())
