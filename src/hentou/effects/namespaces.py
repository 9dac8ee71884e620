"""Network namespaces, and what stands in them: links, addresses, rates, packet filters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from hentou.effects import process

DIRECTORY = Path("/run/netns")
"""Where iproute2 keeps the names of network namespaces (ip-netns(8))."""

_OFFLOADS = ("rx", "tx", "sg", "tso", "gso", "gro")


def path(name: str) -> Path:
    """The file that stands for a namespace."""
    return DIRECTORY / name


def names(prefix: str = "") -> list[str]:
    """The namespaces that exist, in the order of names."""
    if not DIRECTORY.is_dir():
        return []
    return sorted(entry.name for entry in DIRECTORY.iterdir() if entry.name.startswith(prefix))


def create(name: str) -> None:
    """Make a namespace whose loopback interface is up; nothing happens when it exists."""
    if not path(name).exists():
        process.run(["ip", "netns", "add", name])
        links(name, ["link set lo up"])


def delete(name: str) -> None:
    """Remove a namespace with its links; nothing happens when it is absent."""
    if path(name).exists():
        process.run(["ip", "netns", "delete", name])


def inside(name: str, command: Iterable[str | Path]) -> list[str | Path]:
    """The command line that runs a program of the host in a namespace."""
    return ["nsenter", f"--net={path(name)}", "--", *command]


def links(name: str | None, lines: Iterable[str]) -> None:
    """Run lines of ip(8) in a namespace, in one process; None is the host's own."""
    _batch("ip", name, lines)


def rates(name: str, lines: Iterable[str]) -> None:
    """Run lines of tc(8) in a namespace, in one process."""
    _batch("tc", name, lines)


def _batch(program: str, name: str | None, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    if text:
        where = [] if name is None else ["-n", name]
        process.run([program, *where, "-batch", "-"], stdin=text)


def rules(name: str, ruleset: str) -> None:
    """Load a packet filter in the syntax of nft(8)."""
    process.run(inside(name, ["nft", "-f", "-"]), stdin=ruleset)


def settings(name: str, values: Mapping[str, int]) -> None:
    """Set kernel parameters such as `net.ipv4.ip_forward` in a namespace only."""
    words = [f"{key}={value}" for key, value in values.items()]
    process.run(inside(name, ["sysctl", "-q", "-w", *words]))


def wire_size(name: str, interface: str) -> None:
    """Make an interface carry packets as a real wire does: whole checksums, none longer than its MTU."""
    words = [word for feature in _OFFLOADS for word in (feature, "off")]
    process.run(inside(name, ["ethtool", "-K", interface, *words]))


def processes(wanted: Iterable[str]) -> Iterator[int]:
    """Every process that runs in one of the namespaces."""
    inodes = {path(name).stat().st_ino for name in wanted if path(name).exists()}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _inode(entry / "ns/net") in inodes:
            yield int(entry.name)


def _inode(link: Path) -> int:
    try:
        return link.stat().st_ino
    except OSError:  # it ended meanwhile, or is a zombie
        return 0
