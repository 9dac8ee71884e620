"""What a feature or a recipe is, to the compiler. `features/hello` is the worked example."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

from hentou.generation.fragment import Fragment
from hentou.generation.offer import Offer, Offers
from hentou.model.types import Collective, Machine, Pointer, Service, Site

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True)
class View(Generic[S]):
    """What a feature sees: one machine, the whole model, its own settings, and what all offer.

    While offers are being collected, `offers` is empty.
    """

    collective: Collective
    machine: Machine
    settings: S
    offers: Offers

    @property
    def site(self) -> Site:
        """The site where the machine stands."""
        return self.collective.site_of(self.machine)

    @property
    def here(self) -> Pointer:
        """Where the machine is written."""
        return self.collective.pointer(self.machine)


@dataclass(frozen=True)
class ServiceView(View[S]):
    """What a recipe sees: a feature's view, and the service to build."""

    service: Service

    @property
    def name(self) -> str:
        """The host name in the service's URL."""
        return self.collective.service_name(self.service)

    @property
    def here(self) -> Pointer:
        """Where the service is written."""
        return self.collective.pointer(self.service)


class Feature(Protocol):
    """A module that gives every machine something. Stateless: two pure functions and a settings model."""

    Settings: type[BaseModel]

    def offer(self, view: View[Any]) -> Iterable[Offer]:
        """What this machine offers the others through this feature."""

    def render(self, view: View[Any]) -> Fragment | None:
        """What this feature wants on this machine; None for nothing."""


class Recipe(Protocol):
    """A module that knows how one kind of service is built."""

    Settings: type[BaseModel]

    def offer(self, view: ServiceView[Any]) -> Iterable[Offer]:
        """Names, ports and data of this service."""

    def render(self, view: ServiceView[Any]) -> Fragment:
        """What this service wants on its machine."""
