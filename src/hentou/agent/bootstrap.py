"""A machine that is not enrolled yet calls home: into the mesh by the gateways it knows of, for its own enrolment.

It was pinned when it was installed and carries the repository of that moment, so that it knows the gateways. They do
not know it: nothing of what it sends is answered until an admin has published its keys, and the gateways have taken
them in. Then its sync succeeds, it finds its own key in the accepted head, and activates that. So a machine behind any
box comes into the collective with nobody logging in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from hentou.agent.activate import Exit
from hentou.agent.follow import Done, converge
from hentou.agent.host import Host
from hentou.agent.identity import WIREGUARD
from hentou.agent.incoming import BOOTSTRAP
from hentou.agent.members import members
from hentou.agent.sync import Options, sync
from hentou.agent.trusted import TrustStore
from hentou.effects.disk import parent
from hentou.effects.process import run
from hentou.errors import HentouError
from hentou.features import mesh
from hentou.model.types import Collective, Keys, Machine

INTERFACE = "hentou-boot"
"""Not the mesh's own name: should an admin's push activate a generation meanwhile, its interface finds its place."""

CONFIGURATION = f"/run/hentou-welcome/{INTERFACE}.conf"
OWN = "/sys/class/net/hentou"
"""There as soon as a generation's mesh is up."""

SOON, LATER = 5.0, 30.0
"""Seconds between two calls in the first hour, while somebody is on the phone, and after it."""

_HOUR = 3600.0
_AGAIN = 600.0
"""Seconds until a head whose activation failed is tried again."""


def is_enrolled(host: Host, said: Mapping[str, str]) -> bool:
    """Whether the accepted head has this machine's own keys."""
    return members(host.disk).journals.get(said["machine"], "").split()[:2] == said["journal"].split()[:2]


def accept_enrolment(host: Host) -> None:
    """Take in what the gateways have; nothing is activated."""
    sync(host, Options(follow=False))


class Bootstrap:
    """One machine's way in. `turn` is one try; `pause` the seconds until the next."""

    def __init__(
        self,
        host: Host,
        said: Mapping[str, str],
        ask: Callable[[Host], None] = accept_enrolment,
        activate: Callable[[str], Done] = converge,
    ) -> None:
        self._host = host
        self._said = said
        self._ask = ask
        self._activate = activate
        self._trusted = TrustStore(host)
        self._since = host.monotonic()
        self._head = ""
        self._up = False
        self._failed: tuple[str, float] | None = None
        self._told = ""

    @property
    def pause(self) -> float:
        """Seconds until the next turn."""
        return SOON if self._host.monotonic() - self._since < _HOUR else LATER

    def turn(self) -> None:
        """Come a step nearer; what hinders is told once."""
        try:
            self._turn()
        except HentouError as error:
            self._tell(error.message)

    def _turn(self) -> None:
        trust = self._trusted.trust()
        if self._host.disk.stat(OWN) is not None:
            # Somebody reached this machine otherwise, and is bringing it in.
            self.down()
        elif trust is None or not trust.sequence or not self._trusted.complete():
            self._tell("this machine was told of no collective: an admin brings it in with `hentou adopt`")
        elif is_enrolled(self._host, self._said):
            self._come_in(trust.head)
        else:
            self._call(trust.head)

    def _come_in(self, head: str) -> None:
        """Activate the head that has our keys; what the mesh needs of us is out of its way before."""
        now = self._host.monotonic()
        if self._failed and self._failed[0] == head and now - self._failed[1] < _AGAIN:
            # A newer head may mend it.
            self._call(head)
            return
        self.down()
        self._tell(f"this machine is enrolled: activating {head[:12]}")
        done = self._activate(head)
        if done.status != Exit.ACTIVE:
            self._failed = head, self._host.monotonic()
            self._tell(f"{head[:12]} could not be activated: {done.message}")

    def _call(self, head: str) -> None:
        if head != self._head or not self._up:
            self.down()
            self._raise(head)
        if self._up:
            # Nobody answers for hours, perhaps: that is told once.
            self._ask(replace(self._host, tell=self._tell))

    def _raise(self, head: str) -> None:
        """Bring the interface up that the repository of this head leads to."""
        collective = self._collective(head)
        machine = collective.machines.get(self._said["machine"])
        if machine is None or machine.external is not None:
            raise HentouError(f"the collective describes no machine {self._said['machine']}: an admin does")
        found = [peer for peer in mesh.peers(collective, machine) if peer.endpoint]
        self._head = head
        if not found:
            raise HentouError("no gateway of the collective is enrolled: an admin pushes to this machine by SSH")
        disk = self._host.disk
        disk.make_directory(parent(CONFIGURATION))
        disk.write(CONFIGURATION, interface(collective, machine, found), 0o600)
        disk.make_directory(parent(BOOTSTRAP))
        disk.write(BOOTSTRAP, _peers(collective, found), 0o600)
        if disk.stat(f"/sys/class/net/{INTERFACE}") is not None:
            # Left by a process that was killed.
            run(["ip", "link", "delete", "dev", INTERFACE], check=False, timeout=10)
        self._up = True
        try:
            run(["wg-quick", "up", disk.at(CONFIGURATION)], timeout=30)
        except HentouError:
            self.down()
            raise

    def _collective(self, head: str) -> Collective:
        """The collective as it will be with this machine's keys."""
        # The model and its features are a third of a second: only where a head is really looked at.
        from hentou import compose  # noqa: PLC0415
        from hentou.effects.tree import GitTree  # noqa: PLC0415

        found = compose.load(GitTree(self._trusted.repo.path, head))
        own = Keys(wireguard=self._said["wireguard"], ssh_host=self._said["ssh_host"])
        return replace(found, keys={**found.keys, self._said["machine"]: own})

    def down(self) -> None:
        """Take the interface down, if it is up."""
        if self._up:
            self._up = False
            run(["wg-quick", "down", self._host.disk.at(CONFIGURATION)], check=False, timeout=30)
            self._host.disk.remove(BOOTSTRAP)

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._host.tell(text)


def interface(collective: Collective, machine: Machine, peers: list[mesh.Peer]) -> bytes:
    """The configuration for wg-quick(8). Its port is any, and its routes give way to those of the mesh itself."""
    lines = ["[Interface]", f"Address = {collective.mesh_address(machine)}/128", "MTU = 1280", "Table = off"]
    lines.append(f"PostUp = wg set %i private-key {WIREGUARD}")
    lines += [f"PostUp = ip -6 route add {peer.allowed} dev %i metric 4096" for peer in peers]
    for peer in peers:
        lines += ["", f"# {peer.name}", "[Peer]", f"PublicKey = {peer.key}", f"AllowedIPs = {peer.allowed}"]
        lines += [f"Endpoint = {peer.endpoint}", f"PersistentKeepalive = {peer.keepalive}"]
    return ("\n".join(lines) + "\n").encode()


def _peers(collective: Collective, found: list[mesh.Peer]) -> bytes:
    names = [(peer.name, collective.machines[peer.name]) for peer in found]
    known = [{"name": name, "address": str(collective.mesh_address(m))} for name, m in names if m.external is None]
    return json.dumps({"peers": known}).encode()
