"""A collective booted on this computer: bring it up, handle it, take it down without a trace.

```python
lab = Lab.up(collective, deploy=deploy)
try:
    lab.laptop("kerminy").succeed("curl -fsS https://kerminy.example.org")
    lab.cut("kerminy/adsl")
    lab.machine("kerminy-1").crash()
finally:
    lab.down()
```

`Lab` is also a context manager that takes the lab down at its end. What a node was expected to do and did
not is `MachineFailed`; what the lab itself could not do is `LabError` or another `HentouError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from pydantic import BaseModel

from hentou.effects import clock, git, locks
from hentou.effects.tree import DirectoryTree
from hentou.errors import HentouError
from hentou.lab import cleanup, host, image
from hentou.lab.cleanup import RECORD, WORK, check_name
from hentou.lab.external import furnish
from hentou.lab.image import CACHE, Progress
from hentou.lab.machine import Machine
from hentou.lab.network import Network
from hentou.lab.node import HostNode, LabError, MachineFailed, Node, recording
from hentou.lab.topology import VISITOR, Computer, Topology, topology
from hentou.model.types import Collective, Tree

__all__ = ["CACHE", "WORK", "Lab", "LabError", "Machine", "MachineFailed", "Node"]

T = TypeVar("T")


class _Record(BaseModel):
    """What a later command must know of a lab."""

    topology: Topology
    base: Path
    layer: Path | None = None

    def below(self, computer: Computer) -> tuple[Path, ...]:
        """What a machine's disk lies on, topmost first; an external machine has nothing of hentou's."""
        return (self.base,) if self.layer is None or computer.spec.external else (self.layer, self.base)


class Power(NamedTuple):
    """How one machine is."""

    name: str
    site: str
    on: bool
    address: str
    external: bool
    simulated: str
    """The architecture it has in life, when the lab shows another."""
    cut: bool


class Status(NamedTuple):
    """How a lab is."""

    name: str
    machines: tuple[Power, ...]
    cut: tuple[str, ...]
    """The cables that somebody cut."""


class Lab:
    """One lab. Make it with `Lab.up`, or find it again with `Lab.attach`."""

    def __init__(self, name: str, record: _Record, home: Path) -> None:
        self.name = name
        self.topology = record.topology
        self.work = home / name
        """Where everything of this lab is on the host; gone after `down`."""
        self.network = Network(name, record.topology, self.work / "nodes")
        self._home = home
        self._machines = {
            computer.spec.name: Machine(
                self.network, computer, self.work / "machines" / computer.spec.name, record.below(computer)
            )
            for computer in record.topology.computers
        }

    @classmethod
    def up(
        cls,
        collective: Collective,
        *,
        deploy: Callable[[Lab], object] | None = None,
        bundle: Path | None = None,
        name: str = "lab",
        home: Path = WORK,
        cache: Path = CACHE,
        mirror: str | None = None,
        progress: Progress = lambda _: None,
    ) -> Lab:
        """Boot a collective, side by side, and run `deploy` on what has booted.

        `bundle` is the directory of hentou's bundle; without it the machines are plain Debian. A lab that
        cannot boot is taken down again; one whose `deploy` fails stays, so that one can look inside.
        """
        host.check()
        check_name(name)
        with locks.exclusive(home / name, cleanup.busy(name)):
            free(name, home)
            cleanup.sweep(name, home)
        # Sweeping removed the directory, and the lock with it.
        with locks.exclusive(home / name, cleanup.busy(name)):
            try:
                base = image.base_image(cache, mirror, progress)
                layer = image.bundle_layer(base, bundle, cache, progress) if bundle else None
                record = _Record(topology=topology(collective), base=base, layer=layer)
                (home / name / RECORD).write_text(record.model_dump_json())
                lab = cls(name, record, home)
                lab._boot(collective.tree, progress)
            except BaseException:
                cleanup.sweep(name, home)
                raise
            if deploy:
                deploy(lab)
        return lab

    def _boot(self, tree: Tree, progress: Progress) -> None:
        _copy(tree, self.repository)
        (self.work / "machines").mkdir(mode=0o700)  # the disks hold the machines' private keys
        progress(f"network: {len(self.topology.nodes)} nodes, {len(self.topology.cables)} cables")
        self.network.build()
        self._start_all(progress)

    def _start_all(self, progress: Progress) -> None:
        began = clock.monotonic()
        waiting = set(self._machines)
        progress(f"booting {', '.join(sorted(waiting))}")
        with ThreadPoolExecutor(max_workers=8) as pool:
            tasks = {pool.submit(_first_start, machine): name for name, machine in self._machines.items()}
            for task in as_completed(tasks):
                task.result()
                waiting.remove(tasks[task])
                rest = f"; waiting for {', '.join(sorted(waiting))}" if waiting else ""
                progress(f"{tasks[task]} is up after {clock.monotonic() - began:.1f} s{rest}")

    @classmethod
    def attach(cls, name: str = "lab", home: Path = WORK) -> Lab:
        """A lab that is up, found by its name."""
        check_name(name)
        try:
            record = _Record.model_validate_json((home / name / RECORD).read_bytes())
        except FileNotFoundError:
            raise _missing(name, cleanup.labs(home)) from None
        except ValueError as error:
            raise HentouError(
                f"the record of lab {name} is broken: {error}", f"hentou lab down --name {name}"
            ) from error
        return cls(name, record, home)

    def down(self) -> None:
        """Take the lab down; nothing of it stays on the host."""
        cleanup.remove(self.name, self._home)

    def __enter__(self) -> Self:
        """The lab itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the lab down."""
        self.down()

    @property
    def repository(self) -> Path:
        """The lab's own copy of the collective's repository: a Git working copy, for admins to edit."""
        return self.work / "repository"

    @cached_property
    def collective(self) -> Collective:
        """The collective as the lab's repository had it when this was first asked."""
        from hentou import compose  # noqa: PLC0415 — only here: the other verbs start without the compiler

        return compose.load(DirectoryTree(self.repository))

    def machines(self) -> list[Machine]:
        """Every machine, in the order of names."""
        return list(self._machines.values())

    def machine(self, name: str) -> Machine:
        """One machine of the collective."""
        return _one(self._machines, name, "machine")

    def laptop(self, site: str) -> HostNode:
        """A member's computer at a site."""
        found = {place.name: place.laptop.node for place in self.topology.places}
        return self._node(f"{site}/laptop", _one(found, site, "laptop at a site called"))

    @property
    def visitor(self) -> HostNode:
        """Somebody's computer, anywhere on the Internet."""
        return self._node(VISITOR, VISITOR)

    def box(self, site: str, uplink: str) -> HostNode:
        """The operator's box of one of a site's lines."""
        found = {box.line.name: box.node for box in self.topology.boxes}
        return self._node(f"{site}/{uplink}", _one(found, f"{site}/{uplink}", "box"))

    def node(self, name: str) -> Machine | HostNode:
        """Any node as people name it: `kerminy-1`, `kerminy/laptop`, `kerminy/adsl`, `visitor`."""
        hosts = {VISITOR: VISITOR} | {box.line.name: box.node for box in self.topology.boxes}
        hosts |= {place.laptop.cable.name: place.laptop.node for place in self.topology.places}
        nodes: dict[str, Machine | HostNode] = {**self._machines}
        nodes |= {host: self._node(host, node) for host, node in hosts.items()}
        return _one(nodes, name, "node")

    def _node(self, name: str, node: str) -> HostNode:
        return HostNode(self.name, name, self.network.namespace(node), self.network.directory(node))

    def cut(self, name: str) -> None:
        """Cut a cable: `kerminy/adsl`, `kerminy-1`, `kerminy/laptop`, or all lines of a site by its name."""
        for cable in self.topology.named(name):
            self.network.cut(cable)

    def heal(self, name: str) -> None:
        """Mend a cable that was cut."""
        for cable in self.topology.named(name):
            self.network.heal(cable)

    def mend(self) -> None:
        """Plug in every cable, and switch every machine on."""
        for name in self.status().cut:
            self.heal(name)
        for machine in self.machines():
            machine.start()

    def clock(self, name: str, offset: str) -> None:
        """Set a machine's clock apart from the host's, such as `+30d`; see `Machine.set_clock`."""
        self.machine(name).set_clock(offset)

    @contextmanager
    def capture(self, name: str, filters: str = "") -> Iterator[Capture]:
        """Record every packet that a node sees meanwhile; afterwards the value's `data` holds them.

        `filters` is in tcpdump's language (pcap-filter(7)).
        """
        file = self.work / f"capture-{clock.monotonic()}"
        capture = Capture()
        with recording(self.node(name), file, filters):
            yield capture
        capture.data = file.read_bytes()
        file.unlink()

    def status(self) -> Status:
        """Which machines are on, and what is cut."""
        cut = tuple(sorted(cable.name for cable in self.topology.cables if self.network.is_cut(cable)))
        return Status(self.name, tuple(_power(machine, cut) for machine in self.machines()), cut)


class Capture:
    """Recorded packets, in the format of tcpdump (pcap)."""

    data: bytes = b""


def free(name: str, home: Path = WORK) -> None:
    """HentouError unless a lab of this name could be brought up."""
    check_name(name)
    if (home / name / RECORD).exists():
        raise HentouError(f"lab {name} is up already", f"take it down first: hentou lab down --name {name}")


def _missing(name: str, others: list[str]) -> HentouError:
    if others:
        return HentouError(f"no lab called {name} is up", f"name one that is: --name {' or '.join(others)}")
    return HentouError("no lab is up", "boot one: hentou lab up DIR (or, in a checkout of hentou: make lab)")


def _one(found: Mapping[str, T], name: str, what: str) -> T:
    if name not in found:
        raise HentouError(f"no {what} {name} in this lab", f"there are: {', '.join(sorted(found)) or 'none'}")
    return found[name]


def _power(machine: Machine, cut: tuple[str, ...]) -> Power:
    spec = machine.spec
    return Power(
        name=spec.name,
        site=spec.site,
        on=machine.on,
        address=str(machine.computer.address),
        external=spec.external is not None,
        simulated=spec.arch if machine.computer.simulated else "",
        cut=spec.name in cut,
    )


def _first_start(machine: Machine) -> None:
    machine.start()
    if machine.spec.external:
        furnish(machine)


def _copy(tree: Tree, target: Path) -> None:
    """Write a tree's files as a Git working copy with one commit."""
    target.mkdir()
    for name in tree.files():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tree.read(name))
    git.init(target)
    git.commit_all(target, "The collective as the lab found it")
