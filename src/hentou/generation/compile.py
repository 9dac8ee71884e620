"""Compile a collective: offers of all machines first, then each machine's fragments, merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from pydantic import BaseModel

from hentou.errors import InvalidCollectiveError, Problem
from hentou.generation.contract import Feature, Recipe, ServiceView, View
from hentou.generation.fragment import Fragment
from hentou.generation.generation import Generation
from hentou.generation.merge import merge
from hentou.generation.offer import Offer, Offers, Port
from hentou.generation.override import by_machine, override
from hentou.model.types import Collective, Machine, Service


@dataclass(frozen=True)
class Compiler:
    """A collective with the features and recipes that build it."""

    collective: Collective
    features: Mapping[str, Feature]
    recipes: Mapping[str, Recipe]

    @cached_property
    def offers(self) -> Offers:
        """What every machine offers, external ones included."""
        return Offers(offer for machine in self.collective.machines.values() for offer in self._offers_of(machine))

    def _offers_of(self, machine: Machine) -> Iterator[Offer]:
        nothing = Offers(())
        for name, feature in self.features.items():
            yield from feature.offer(self._view(name, feature, machine, nothing))
        for service in self.collective.services_on(machine):
            recipe = self.recipes[service.recipe]
            yield from recipe.offer(self._service_view(recipe, service, machine, nothing))

    def _view(self, name: str, feature: Feature, machine: Machine, offers: Offers) -> View[Any]:
        settings = feature.Settings(**self.collective.settings_of(name, machine.site))
        return View(self.collective, machine, settings, offers)

    def _service_view(self, recipe: Recipe, service: Service, machine: Machine, offers: Offers) -> ServiceView[Any]:
        settings: BaseModel = recipe.Settings(**service.settings)
        return ServiceView(self.collective, machine, settings, offers, service)

    def fragments(self, machine: Machine) -> tuple[Fragment, ...]:
        """What each feature and recipe wants on one machine; InvalidCollectiveError with all that cannot be."""
        wanted: list[Fragment] = []
        problems: list[Problem] = []
        for render in self._renders(machine):
            try:
                if fragment := render():
                    wanted.append(fragment)
            except InvalidCollectiveError as invalid:
                problems += invalid.problems
        if problems:
            raise InvalidCollectiveError(tuple(problems))
        overrides = self._overrides.get(machine.name)
        return override(self.collective.tree, overrides, wanted) if overrides else tuple(wanted)

    def _renders(self, machine: Machine) -> Iterator[Callable[[], Fragment | None]]:
        for name, feature in self.features.items():
            yield partial(feature.render, self._view(name, feature, machine, self.offers))
        for service in self.collective.services_on(machine):
            recipe = self.recipes[service.recipe]
            yield partial(recipe.render, self._service_view(recipe, service, machine, self.offers))

    @cached_property
    def _overrides(self) -> Mapping[str, tuple[str, ...]]:
        return by_machine(self.collective.tree)

    def generation(self, machine: Machine) -> Generation:
        """One machine's generation; InvalidCollectiveError where fragments collide."""
        return merge(self.collective, machine, self.fragments(machine), self.offers.on(Port, machine.name))

    def generations(self) -> Iterator[Generation]:
        """Every managed machine's generation, one at a time to keep memory flat."""
        for machine in self.collective.managed:
            yield self.generation(machine)

    def problems(self) -> tuple[Problem, ...]:
        """What stops machines from being compiled, on every machine: conflicts, pages that are not there."""
        found: set[Problem] = set()
        for machine in self.collective.managed:
            try:
                self.generation(machine)
            except InvalidCollectiveError as invalid:
                found.update(invalid.problems)
        return tuple(sorted(found))
