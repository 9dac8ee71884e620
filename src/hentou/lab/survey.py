"""Look at a running collective as its people do: open every URL from everywhere it should open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hentou.lab.lab import Lab, MachineFailed
from hentou.model.types import Audience, Collective

VISITOR = "visitor"


@dataclass(frozen=True, slots=True)
class Look:
    """One URL to open from one place: a site's laptop, or the visitor on the Internet."""

    place: str
    url: str
    external: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen: whether the page opened, and in words how or why not."""

    look: Look
    good: bool
    said: str


def looks(collective: Collective) -> tuple[Look, ...]:
    """Every URL with every place from which its audience reaches it."""
    return tuple(_looks(collective))


def _looks(collective: Collective) -> Iterator[Look]:
    for service in collective.services:
        url = f"https://{collective.service_name(service)}/"
        for place in _places(collective, service.site, service.audience):
            yield Look(place, url)
    for machine in collective.machines.values():
        if machine.external is not None:
            for name in machine.external.names:
                url = f"https://{name}.{collective.site_domain(machine.site)}/"
                for place in _places(collective, machine.site, machine.external.audience):
                    yield Look(place, url, external=True)


def _places(collective: Collective, site: str, audience: Audience) -> Iterator[str]:
    for name, other in collective.sites.items():
        if other.lan is not None and (name == site or audience is not Audience.LAN):
            yield name
    if audience is Audience.INTERNET:
        yield VISITOR


def survey(
    lab: Lab,
    collective: Collective,
    authority: Path,
    patience: float,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Sight, ...]:
    """Open everything, side by side; each look is tried again for `patience` seconds.

    `authority` is the certificate to trust. What an external machine serves is under a
    certificate of its own, which is not judged here.
    """

    def one(look: Look) -> Sight:
        node = lab.visitor if look.place == VISITOR else lab.laptop(look.place)
        trust = "--insecure" if look.external else f"--cacert {authority}"
        command = f"curl --silent --show-error --fail --max-time 8 {trust} --output /dev/null {look.url}"
        try:
            said = node.wait_until_succeeds(f"{command} --write-out '%{{http_code}} in %{{time_total}} s'", patience)
        except MachineFailed as failure:
            lines = failure.output.strip().splitlines()
            return Sight(look, False, lines[-1] if lines else f"did not open within {patience:g} s")
        progress(f"{look.url} opens from {look.place}")
        return Sight(look, True, said.strip())

    with ThreadPoolExecutor(max_workers=8) as pool:
        return tuple(pool.map(one, looks(collective)))
