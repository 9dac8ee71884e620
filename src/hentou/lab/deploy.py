"""The lab's administrator: enrols booted machines, pushes the collective to each, and has all converge."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hentou import compose
from hentou.effects import clock, git
from hentou.effects.tree import DirectoryTree
from hentou.errors import HentouError
from hentou.features.mesh import join_script
from hentou.lab.image import Progress
from hentou.lab.lab import Lab, Machine
from hentou.model.types import Collective
from hentou.trust import pki

MACHINE_REPOSITORY = "var/lib/hentou/repo.git"


class Admin:
    """Somebody with the collective's repository and the key of its authority, as on an admin's laptop.

    `repository` is a working copy: edit files there, `commit`, then `push` and `converge`.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.repository = lab.repository
        self._key = lab.work / "secrets" / "authority.key"

    @property
    def authority(self) -> Path:
        """The certificate of the collective's authority, which a browser must trust."""
        return self.repository / "keys" / "authority.pem"

    def load(self) -> Collective:
        """The collective as the working copy has it now."""
        return compose.load(DirectoryTree(self.repository))

    def make_authority(self) -> None:
        """Make the collective's authority, once."""
        if self.authority.exists():
            return
        self._key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._key.touch(0o600)
        self._key.write_bytes(pki.new_key())
        self.authority.parent.mkdir(exist_ok=True)
        name = self.load().spec.name
        self.authority.write_bytes(pki.new_authority(name, self._key.read_bytes(), clock.now()))

    def enrol(self, machine: Machine) -> None:
        """Write down a machine's public halves, and sign its issuing authority."""
        machine.copy_in(f"{machine.spec.name}\n".encode(), "/etc/hentou/machine")
        said = json.loads(machine.succeed("hentou identity --json"))
        site_domain = self.load().site_domain(machine.spec.site)
        issuer = pki.sign_issuer(
            said["csr"].encode(), site_domain, self._key.read_bytes(), self.authority.read_bytes(), clock.now()
        )
        lines = [f"wireguard: {said['wireguard']}"]
        if said.get("ssh_host"):
            lines.append(f"ssh_host: {said['ssh_host']}")
        lines += ["certificate: |", *(f"  {line}" for line in issuer.decode().splitlines())]
        (self.repository / "keys" / f"{machine.spec.name}.yaml").write_text("\n".join(lines) + "\n")

    def join_external(self, machine: Machine) -> None:
        """Do what an external machine's own administrator would: run the printed script, send back the key."""
        collective = self.load()
        script = join_script(collective, collective.machines[machine.spec.name])
        machine.copy_in(script.encode(), "/root/join.sh")
        key = machine.succeed("bash /root/join.sh").strip().splitlines()[-1].split()[-1]
        (self.repository / "keys" / f"{machine.spec.name}.yaml").write_text(f"wireguard: {key}\n")

    def commit(self, message: str) -> str:
        """Commit everything in the working copy; the commit's hash."""
        return git.commit_all(self.repository, message)

    def push(self, machines: Iterable[Machine] | None = None) -> None:
        """Push the working copy's head to machines, as a push over SSH would."""
        for machine in machines if machines is not None else self.managed():
            git.push(self.repository, machine.root / MACHINE_REPOSITORY)

    def converge(self, machines: Iterable[Machine] | None = None, progress: Progress = lambda _: None) -> None:
        """Have machines converge side by side; HentouError that names the ones that did not."""
        wanted = list(machines if machines is not None else self.managed())

        def one(machine: Machine) -> tuple[str, int, str]:
            status, output = machine.execute("hentou converge", timeout=180)
            progress(f"{machine.spec.name} {'is active' if status == 0 else f'failed with status {status}'}")
            return machine.spec.name, status, output

        with ThreadPoolExecutor(max_workers=max(len(wanted), 1)) as pool:
            results = list(pool.map(one, wanted))
        failed = [f"{name} (status {status}):\n{output}" for name, status, output in results if status]
        if failed:
            raise HentouError("not active: " + "\n".join(failed), "look inside with `hentou lab shell MACHINE`")

    def managed(self) -> list[Machine]:
        """The lab's machines that follow the repository."""
        return [m for m in self.lab.machines() if m.spec.external is None]


def deploy(lab: Lab, progress: Progress = lambda _: None) -> Admin:
    """Enrol every machine, push, converge: what an administrator does once for a new collective."""
    admin = Admin(lab)
    admin.make_authority()
    progress("enrolling the machines")
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(admin.enrol, admin.managed()))
    for machine in lab.machines():
        if machine.spec.external is not None:
            admin.join_external(machine)
    admin.commit("Enrol the machines")
    progress("pushing the collective to every machine")
    admin.push()
    admin.converge(progress=progress)
    return admin
