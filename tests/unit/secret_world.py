"""A collective whose people and machines have real keys, in a real working copy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pyrage import x25519

from hentou import compose
from hentou.effects.process import run
from hentou.effects.tree import DirectoryTree
from hentou.model.types import Collective

SITE = """\
title: Quay
lan: {subnet: 192.168.1.0/24}
uplinks:
  adsl: {kind: adsl, down: 8M, up: 800k}
machines:
  anchor: {address: 192.168.1.240}
  buoy: {address: 192.168.1.241}
  cabin: {address: 192.168.1.242, external: {kind: yunohost}}
"""
WIREGUARD = {
    "anchor": "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
    "buoy": "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=",
}


@dataclass
class World:
    """The working copy at `top`; private keys beside it, by the name of their owner."""

    top: Path
    private: dict[str, Path] = field(default_factory=dict)
    age: dict[str, str] = field(default_factory=dict)

    def write(self, path: str, text: str | bytes) -> None:
        file = self.top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)

    def text(self, path: str) -> str:
        return (self.top / path).read_text()

    def load(self) -> Collective:
        return compose.load(DirectoryTree(self.top))

    def ssh(self, name: str, *words: str) -> str:
        """A new SSH key; its public half."""
        file = self.top.parent / f"{name}.key"
        for left in (file, file.with_suffix(".key.pub")):
            left.unlink(missing_ok=True)
        run(["ssh-keygen", "-q", *(words or ("-t", "ed25519", "-N", "")), "-C", f"{name}@example", "-f", file])
        self.private[name] = file
        return file.with_suffix(".key.pub").read_text().strip()

    def age_key(self, name: str) -> str:
        """A new age key; its public half."""
        key = x25519.Identity.generate()
        self.private[name] = self.top.parent / f"{name}.age"
        self.private[name].write_text(f"# made for a test\n{key}\n")
        self.age[name] = str(key)
        return str(key.to_public())

    def admit(self, **keys: str) -> None:
        """The roster is exactly these admins."""
        lines = "".join(f"  {name}:\n    - {key}\n" for name, key in keys.items())
        self.write("roster.yaml", f"admins:\n{lines}")
        for name in keys:
            if not (self.top / f"people/{name}.yaml").exists():
                self.write(f"people/{name}.yaml", f"full_name: {name.title()}\n")

    def enrol(self, machine: str) -> None:
        """The machine has new keys."""
        self.write(f"keys/{machine}.yaml", f"wireguard: {WIREGUARD[machine]}\nage: {self.age_key(machine)}\n")


def world(folder: Path) -> World:
    """Two admins, yuna and erwan; two machines of ours, anchor and buoy, both enrolled; one of others', cabin."""
    made = World(folder / "collective")
    made.write("collective.yaml", "name: test\ndomain: test.example\ncontact: us@test.example\n")
    made.write("sites/quay.yaml", SITE)
    made.admit(yuna=made.ssh("yuna"), erwan=made.ssh("erwan", "-t", "rsa", "-b", "2048", "-N", ""))
    made.enrol("anchor")
    made.enrol("buoy")
    return made
