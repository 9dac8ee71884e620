"""A collective of two sites and two gateways, small enough to hold in one's head, for tests of features.

east, west     gateways with public addresses
moor           heather (LAN 192.168.1.10): site `@` for the Internet, `carnet` for the intranet
               gorse: no address of its own
quay           anchor (LAN, the same subnet as the moor's): `atelier` for its LAN only
               buoy: external, `cloud`
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from hentou import compose
from hentou.generation.compile import Compiler
from hentou.generation.generation import Generation
from hentou.model.memory import MemoryTree

YUNA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIXYfyeBX1dGBB9ZFA1wGTmHVKhURTXqWL8pjXHb3jfQ yuna"
ERWAN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBvqDsHDqS6Vd0MBtuuiWXxwqkHhwa1fGkdhIkWLq2vS erwan"


def wireguard(machine: str) -> str:
    """A WireGuard public key that nobody has the private half of."""
    return b64encode(machine.encode().ljust(32)).decode()


FILES: Mapping[str, str] = {
    "collective.yaml": "name: coast\ndomain: coast.example\ncontact: chief.admin@coast.example\n"
    "groups: {helpers: {members: [erwan]}}\n",
    "roster.yaml": f"admins:\n  yuna: ['{YUNA}']\n  erwan: ['{ERWAN}']\n",
    "people/yuna.yaml": "full_name: Yuna Le Goff\n",
    "people/erwan.yaml": "full_name: Erwan Tanguy\n",
    "sites/rock.yaml": "machines:\n"
    "  east: {gateway: true, public: {ipv4: 203.0.113.1, ipv6: '2001:db8::1'}}\n"
    "  west: {gateway: true, public: {ipv4: 203.0.113.2}}\n",
    "sites/moor.yaml": "lan: {subnet: 192.168.1.0/24}\n"
    "machines:\n  heather: {address: 192.168.1.10}\n  gorse: {}\n"
    "services:\n  home: {recipe: website, machine: heather, name: '@'}\n"
    "  carnet: {recipe: website, machine: heather, audience: intranet}\n",
    "sites/quay.yaml": "lan: {subnet: 192.168.1.0/24}\n"
    "machines:\n  anchor: {address: 192.168.1.20, admins: [helpers]}\n"
    "  buoy: {external: {kind: yunohost, names: [cloud]}}\n"
    "services:\n  atelier: {recipe: website, machine: anchor, audience: lan}\n",
    **{f"content/{key}/_index.md": f"# {key}\n" for key in ("home", "carnet", "atelier")},
    **{
        f"keys/{name}.yaml": f"wireguard: {wireguard(name)}\n" for name in ("east", "west", "heather", "anchor", "buoy")
    },
}


def compiler(changes: Mapping[str, str | None] | None = None) -> Compiler:
    """The coast with some files changed, or removed where the change is None."""
    files = {path: text for path, text in {**FILES, **(changes or {})}.items() if text is not None}
    return compose.compiler(compose.load(MemoryTree(files)))


def generation(machine: str, changes: Mapping[str, str | None] | None = None) -> Generation:
    """One machine's generation."""
    made = compiler(changes)
    return made.generation(made.collective.machines[machine])


def text(made: Generation, path: str) -> str:
    """One file's text."""
    return made.contents[made.manifest.by_path[path].digest].decode()
