"""A machine for tests: a directory as its disk, and a Debian that only pretends."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from hentou.agent.host import Host
from hentou.effects.calls import Calls
from hentou.effects.disk import Disk
from hentou.effects.system import System, UnitState
from hentou.errors import HentouError
from hentou.generation.fragment import Directory, Unit
from hentou.generation.generation import Entry, Generation, Manifest

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


def unit_state(active: str, *, sub: str = "", oneshot: bool = False) -> UnitState:
    return UnitState(active, sub, loaded=True, oneshot=oneshot, stays=False, ran=active != "inactive")


@dataclass
class FakeSystem(System):
    """Records every order; units become active when started, unless they are said to crash."""

    active: dict[str, str] = field(default_factory=dict)
    installed: set[str] = field(default_factory=set)
    orders: list[str] = field(default_factory=list)
    crashing: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    answering: set[str] = field(default_factory=set)
    failing_commands: set[str] = field(default_factory=set)

    def packages(self) -> frozenset[str]:
        return frozenset(self.installed)

    def install(self, packages: Sequence[str], disk: Disk) -> None:  # noqa: ARG002
        self.orders.append(f"install {' '.join(packages)}")
        self.installed |= set(packages)

    def account(self, *command: str) -> None:
        self.orders.append(" ".join(command))

    def units(self, names: Iterable[str]) -> Mapping[str, UnitState]:
        return {name: unit_state(self.active[name]) for name in names if name in self.active}

    def systemctl(self, verb: str, *units: str, timeout: float = 0) -> None:  # noqa: ARG002
        self.orders.append(f"{verb} {' '.join(units)}".strip())
        if set(units) & self.refused:
            raise HentouError(f"systemctl {verb} {' '.join(units)}: refused")
        for unit in units:
            up = "failed" if unit in self.crashing else "active"
            self.active[unit] = "inactive" if verb == "stop" else up

    def last_words(self, *units: str) -> str:
        return f"last words of {' '.join(units)}" if units else ""

    def reset_failed(self, units: Sequence[str]) -> None:
        pass

    def arm_undo(self) -> None:
        self.orders.append("arm")

    def disarm_undo(self) -> None:
        self.orders.append("disarm")

    def ping(self, address: str) -> bool:
        return address in self.answering

    def command(self, words: Sequence[str], timeout: float) -> str:  # noqa: ARG002
        return "said no" if words[0] in self.failing_commands else ""


class RecordingCalls(Calls):
    """The real calls, with every one that writes noted."""

    def __init__(self) -> None:
        self.writes: list[str] = []

    def __getattribute__(self, name: str) -> object:
        if name in _WRITING:
            object.__getattribute__(self, "writes").append(name)
        return object.__getattribute__(self, name)


_WRITING = frozenset(
    {
        "create", "reserve", "symlink", "link", "rename", "unlink", "mkdir", "rmdir", "attributes",
        "sync_directory",
    }
)  # fmt: skip


class FakeClock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def monotonic(self) -> float:
        return self.seconds


def host_at(root: Path, system: System | None = None, calls: Calls | None = None) -> Host:
    """A machine whose disk is `root`, with root's account being whoever runs the tests."""
    (root / "etc").mkdir(parents=True, exist_ok=True)
    (root / "etc/passwd").write_text(f"root:x:{os.getuid()}:{os.getgid()}:root:/root:/bin/bash\n")
    (root / "etc/group").write_text(f"root:x:{os.getgid()}:\n")
    clock = FakeClock()
    return Host(
        disk=Disk(root, calls),
        system=system or FakeSystem(),
        now=lambda: NOW,
        sleep=clock.sleep,
        monotonic=clock.monotonic,
    )


def file(path: str, content: str, by: str = "base", mode: int = 0o644) -> tuple[Entry, bytes]:
    data = content.encode()
    return Entry(path, by, (), mode, digest=sha256(data).hexdigest(), size=len(data)), data


def link(path: str, target: str, by: str = "base") -> tuple[Entry, bytes]:
    return Entry(path, by, (), 0o777, target=target), b""


def generation(
    *files: tuple[Entry, bytes],
    units: Sequence[Unit] = (),
    directories: Sequence[str] = (),
    **fields: object,
) -> Generation:
    entries = tuple(sorted((entry for entry, _ in files), key=lambda entry: entry.path))
    manifest = Manifest(
        "kerminy-1",
        entries=entries,
        units=tuple(units),
        directories=tuple(Directory(path) for path in sorted(directories)),
        **fields,  # type: ignore[arg-type]
    )
    return Generation(manifest, {entry.digest: data for entry, data in files if entry.digest})


def tree(root: Path) -> dict[str, str]:
    """Everything under a root but /var: paths with contents, targets or `dir`."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = f"/{path.relative_to(root)}"
        if name.startswith("/var"):
            continue
        if path.is_symlink():
            found[name] = f"→ {path.readlink()}"
        else:
            found[name] = "dir" if path.is_dir() else path.read_text()
    return found
