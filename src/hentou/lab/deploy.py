"""The lab's administrators: they found the collective, enrol booted machines, sign, push, and have all converge."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hentou import compose
from hentou.admin import publish
from hentou.admin.authority import authority
from hentou.admin.commits import commit
from hentou.admin.enrol import record
from hentou.admin.reach import DirectoryConnection
from hentou.admin.signing import choose
from hentou.admin.workcopy import WorkCopy, found
from hentou.effects import clock, git
from hentou.effects.process import Result, run
from hentou.effects.tree import DirectoryTree
from hentou.errors import HentouError
from hentou.features.mesh import join_script
from hentou.lab.bundle import build_bundle, for_machine, source_root
from hentou.lab.image import Progress
from hentou.lab.lab import Lab, Machine
from hentou.lab.node import HostNode
from hentou.lab.signers import Signers
from hentou.ledger.statements import PROPOSALS, REF
from hentou.model.types import Collective

STILL = "/etc/systemd/system/hentou-agent.service.d/still.conf"
"""Removed, it lets the agent start again."""

_NEVER = b"[Unit]\nConditionPathExists=/the-agent-is-still\n"


class Admin:
    """Whoever has the collective's working copy, as on an admin's laptop, and the keys of everybody in its roster.

    `repository` is that working copy: edit files there, `commit`, then `push` and `converge`. These put things
    straight onto the machines' disks; `hentou` runs the real commands on a node, which go over the network.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.repository = lab.repository
        self.signers = Signers(lab.work / "secrets")
        self.copy = WorkCopy(self.repository)

    @property
    def authority(self) -> Path:
        """The certificate of the collective's authority, which a browser must trust."""
        return self.repository / "keys" / "authority.pem"

    @property
    def accepted(self) -> str:
        """The commit that this laptop has accepted, as every machine is to."""
        trust = self.copy.trust
        return trust.head if trust else ""

    def load(self) -> Collective:
        """The collective as the working copy has it now."""
        return compose.load(DirectoryTree(self.repository))

    def found(self) -> None:
        """Begin the collective's history, with keys of this lab for the people of its roster."""
        self.signers.take_over(self.repository)
        self.copy.set("user.signingkey", str(self.signers.key(self.people[0])))
        self.commit("Keys of this lab for the roster")
        found(self.copy)

    @property
    def people(self) -> tuple[str, ...]:
        """The people of the roster, as written."""
        return tuple(self.load().roster.admins)

    def pin(self, machine: Machine) -> None:
        """Give a machine its name and its first trust, as its installation does."""
        trust = self.copy.trust
        if trust is None:
            raise HentouError("this collective is not founded yet", "`found` it first")
        machine.copy_in(trust.json, "/run/trust.json")
        machine.succeed(f"hentou pin --machine {machine.spec.name} </run/trust.json")

    def enrol(self, machines: Iterable[Machine]) -> None:
        """Write down machines' public halves, with a certificate for each one's issuing authority, in one commit."""
        with ThreadPoolExecutor(max_workers=4) as pool:
            said = list(pool.map(lambda machine: json.loads(machine.succeed("hentou identity --json")), machines))
        kept, files = authority(self.repository), []
        collective = self.load()
        for identity in said:
            files.append(f"keys/{identity['machine']}.yaml")
            text = record(identity, collective, kept.key, kept.certificate, clock.now())
            (self.repository / files[-1]).write_bytes(text)
        commit(self.repository, "Enrol the machines", [*files, *kept.made])

    def bring_stick(self, machine: Machine) -> None:
        """Have somebody install a machine from a stick that was made for it: a bundle with the accepted repository."""
        stick = machine.root / "root" / "bundle"
        run(["cp", "-a", build_bundle(source_root() / "build" / "bundle"), stick])
        for_machine(stick, self.repository, machine.spec.name)
        machine.succeed("sh /root/bundle/install.sh", timeout=180)

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

    def sign(self, person: str = "") -> None:
        """Sign the working copy's head as the next step, unless it is that already."""
        if self.copy.head == self.accepted:
            return
        trust = found(self.copy)
        signer = choose(self.copy, trust.roster, self.signers.key(person or self.people[0]))
        settled = publish.sign_head(self.copy, signer)
        if settled.missing:
            raise HentouError(settled.missing, settled.hint)

    def push(self, machines: Iterable[Machine] | None = None) -> None:
        """Sign the working copy's head and have machines accept it, without activating it."""
        wanted = list(machines if machines is not None else self.managed())
        self.put(wanted)
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda machine: machine.succeed("hentou sync --inbox-only --no-converge"), wanted))

    def put(self, machines: Iterable[Machine]) -> None:
        """Sign the working copy's head and put it into machines' inboxes, where nobody has looked yet."""
        self.sign()
        head, tip = self.accepted, self.copy.store.get(REF)
        refs = [f"+{tip}:{PROPOSALS}/{self.people[0]}", f"+{head}:refs/hentou/heads/{head}"]

        for machine in machines:
            inbox = DirectoryConnection(self.copy.store, machine.spec.name, machine.root, _nothing)
            if why := inbox.push(refs):
                raise HentouError(f"{machine.spec.name}: {why}", "look inside with `hentou lab shell`")

    def hentou(
        self,
        node: HostNode,
        words: str,
        *,
        person: str = "",
        stdin: str = "",
        fails: bool = False,
        timeout: float = 240,
    ) -> str:
        """Run hentou on a laptop or the visitor's computer, in the working copy, as one of the roster's people.

        What it printed; MachineFailed when it ended otherwise than expected.
        """
        self.copy.set("user.signingkey", str(self.signers.key(person or self.people[0])))
        program = Path(sys.executable).with_name("hentou")
        given = f"printf %s {shlex.quote(stdin)} |" if stdin else ""
        command = f"cd {self.repository} && {given} {program} {words}"
        return node.fail(command, timeout) if fails else node.succeed(command, timeout)

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

    def still(self, machines: Iterable[Machine] | None = None) -> None:
        """Switch the resident agents off for good, and wait for what they started: for drills of single converges."""
        for machine in machines if machines is not None else self.managed():
            machine.copy_in(_NEVER, STILL)
            machine.succeed("systemctl daemon-reload && systemctl stop hentou-agent")
            machine.wait_until_fails("pgrep --full 'hentou (sync|converge)'", 60)

    def managed(self) -> list[Machine]:
        """The lab's machines that follow the repository."""
        return [m for m in self.lab.machines() if m.spec.external is None]


def deploy(lab: Lab, progress: Progress = lambda _: None) -> Admin:
    """Found, enrol every machine, sign, push, converge: what an administrator does once for a new collective."""
    admin = Admin(lab)
    admin.found()
    progress("enrolling the machines")
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(admin.pin, admin.managed()))
    admin.enrol(admin.managed())
    for machine in lab.machines():
        if machine.spec.external is not None:
            admin.join_external(machine)
    admin.commit("Join the external machines")
    progress("signing the collective, and pushing it to every machine")
    admin.push()
    admin.converge(progress=progress)
    return admin


def _nothing(argv: object, stdin: bytes, timeout: float) -> Result:  # noqa: ARG001 - a disk runs no programs
    return Result((), 127, "", "only a disk")
