"""Carry out one step of a plan on the machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from hentou.agent import certificates
from hentou.agent.host import Host
from hentou.agent.names import Names
from hentou.agent.restore import put_saved
from hentou.agent.state import State
from hentou.generation.fragment import Certificate, Directory, User
from hentou.generation.generation import Entry
from hentou.generation.step import Step, StepKind


class Executor:
    """Executes steps towards one staged generation. A step may be executed again: the end is the same."""

    def __init__(self, host: Host, generation: str, state: State) -> None:
        self.host = host
        self.disk = host.disk
        self.generation = generation
        self.state = state

    def execute(self, step: Step) -> None:
        """Do one step; HentouError says why it failed."""
        match step.subject:
            case User() as user:
                self._account(step.kind, user)
            case Directory() as directory:
                self._directory(step.kind, directory)
            case Entry() as entry:
                self._entry(step.kind, entry)
            case Certificate() as certificate:
                certificates.issue(self.host, certificate)
            case tuple() as packages:
                self.host.system.install(packages, self.disk)
            case _:
                self._units(step.kind, step.target)

    def _account(self, kind: StepKind, user: User) -> None:
        actions: Mapping[StepKind, Callable[[User], None]] = {
            StepKind.CREATE_ACCOUNT: self._create_account,
            StepKind.MODIFY_ACCOUNT: self._modify_account,
            StepKind.UNLOCK_ACCOUNT: lambda user: self._account_command("usermod", "--expiredate", "", user.name),
            StepKind.LOCK_ACCOUNT: lambda user: self._account_command("usermod", "--expiredate", "1", user.name),
        }
        actions[kind](user)

    def _account_command(self, *words: str) -> None:
        self.host.system.account(*words)

    def _create_account(self, user: User) -> None:
        if user.name not in Names.read(self.disk).groups:
            self._account_command("groupadd", "--gid", str(user.uid), user.name)
        options = ["--system"] if user.system else []
        # Debian's useradd would make a home for people only if asked, and complains of /nonexistent if asked to.
        options += ["--no-create-home" if user.system or user.home == "/nonexistent" else "--create-home"]
        self._account_command(
            "useradd", "--uid", str(user.uid), "--gid", user.name, "--comment", user.comment,
            "--home-dir", user.home, "--shell", user.shell, *options, user.name,
        )  # fmt: skip

    def _modify_account(self, user: User) -> None:
        known = Names.read(self.disk)
        for group in user.groups:
            if group not in known.groups:
                self._account_command("groupadd", "--system", group)
        renumbered = ["--uid", str(user.uid)] if known.users.get(user.name) != user.uid else []
        self._account_command(
            "usermod", *renumbered, "--comment", user.comment, "--home", user.home, "--shell", user.shell,
            "--groups", ",".join(user.groups), user.name,
        )  # fmt: skip

    def _directory(self, kind: StepKind, item: Directory) -> None:
        if kind is StepKind.REMOVE_DIRECTORY:
            if original := self.state.originals.get(item.path):
                put_saved(self.host.store, item.path, original)
            else:
                self.disk.remove_directory(item.path)
            return
        uid, gid = Names.read(self.disk).ids(item.path, item.owner, item.group)
        self.disk.make_directory(item.path)
        self.disk.attributes(item.path, item.mode, uid, gid)

    def _entry(self, kind: StepKind, entry: Entry) -> None:
        if kind is StepKind.REMOVE:
            self._remove(entry.path)
            return
        self.disk.make_directory(str(PurePosixPath(entry.path).parent))
        if entry.is_link:
            self.disk.symlink(entry.path, entry.target)
            return
        uid, gid = Names.read(self.disk).ids(entry.path, entry.owner, entry.group)
        data = self.host.store.content(self.generation, entry.digest)
        self.disk.write(entry.path, data, entry.mode, uid, gid)

    def _remove(self, path: str) -> None:
        """Remove what left, with the directories made only for it; what was there before comes back."""
        if original := self.state.originals.get(path):
            put_saved(self.host.store, path, original)
            return
        self.disk.remove(path)
        for folder in PurePosixPath(path).parents:
            if str(folder) not in self.state.made or not self.disk.remove_directory(str(folder)):
                return

    def _units(self, kind: StepKind, unit: str) -> None:
        if kind is StepKind.DAEMON_RELOAD:
            self.host.system.systemctl("daemon-reload")
            return
        if kind in (StepKind.START, StepKind.RESTART):
            self.host.system.reset_failed([unit])
        verbs = {
            StepKind.STOP: "stop",
            StepKind.RESTART: "restart",
            StepKind.RELOAD: "reload-or-restart",
            StepKind.START: "start",
        }
        self.host.system.systemctl(verbs[kind], unit)
