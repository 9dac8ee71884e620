"""What a feature or service tells the others, so that no feature need know another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TypeVar

from hentou.model.types import Audience, Pointer


class Reach(StrEnum):
    """From where a port may be reached. Wider than an audience: features also talk among machines."""

    LOCAL = "local"
    LAN = "lan"
    MESH = "mesh"
    MACHINES = "machines"
    GATEWAYS = "gateways"
    INTRANET = "intranet"
    INTERNET = "internet"


@dataclass(frozen=True, slots=True)
class Port:
    """`by` listens on this port of `machine`, for those within `reach`.

    LOCAL is claimed but never opened; MESH is every machine of the mesh; MACHINES only those that are managed and
    enrolled, GATEWAYS only gateways, both over the mesh; INTRANET the site's LAN and the mesh; INTERNET everybody.
    """

    machine: str
    by: str
    protocol: str
    number: int
    reach: Reach
    why: str
    because: tuple[Pointer, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """`name` is answered on `machine`: HTTP on a loopback `port`, TLS being added in front.

    `passthrough` means that the machine ends TLS itself on its own 443 and knows no PROXY protocol.
    """

    machine: str
    by: str
    name: str
    audience: Audience
    port: int
    because: tuple[Pointer, ...] = ()
    passthrough: bool = False
    health_path: str = "/"


@dataclass(frozen=True, slots=True)
class Dataset:
    """These paths are `by`'s data on `machine`; run `quiesce` before copying and `resume` after."""

    machine: str
    by: str
    paths: tuple[str, ...]
    quiesce: tuple[str, ...] = ()
    resume: tuple[str, ...] = ()


Offer = Port | Route | Dataset
Kind = TypeVar("Kind", Port, Route, Dataset)


class Offers:
    """Every offer of a collective, by kind and by machine."""

    def __init__(self, offers: Iterable[Offer]) -> None:
        self._all = tuple(offers)

    @cached_property
    def _by_kind(self) -> dict[type, dict[str, list[Offer]]]:
        found: dict[type, dict[str, list[Offer]]] = {Port: {}, Route: {}, Dataset: {}}
        for offer in self._all:
            found[type(offer)].setdefault(offer.machine, []).append(offer)
        return found

    def on(self, kind: type[Kind], machine: str) -> tuple[Kind, ...]:
        """Offers of one kind from one machine."""
        return tuple(o for o in self._by_kind[kind].get(machine, ()) if isinstance(o, kind))

    def all(self, kind: type[Kind]) -> tuple[Kind, ...]:
        """Offers of one kind from every machine."""
        return tuple(o for o in self._all if isinstance(o, kind))
