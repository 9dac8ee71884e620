"""Look at a running collective: ask every machine how it is, open every URL from everywhere it should open."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hentou.lab.lab import Lab, Machine, MachineFailed
from hentou.model.types import Audience, Collective

VISITOR = "visitor"
_FROM_CURL = re.compile(r"^curl: \(\d+\) ")


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


@dataclass(frozen=True, slots=True)
class Health:
    """How one machine is, by its own word: whether nothing needs a person, and in words."""

    machine: str
    good: bool
    said: str


def health(lab: Lab) -> tuple[Health, ...]:
    """What `hentou status` says on every machine, side by side."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        return tuple(pool.map(_health, lab.machines()))


def _health(machine: Machine) -> Health:
    if not machine.on:
        return Health(machine.name, False, "off")
    if machine.spec.external is not None:
        return Health(machine.name, True, "on; somebody else's")
    try:
        found = json.loads(machine.succeed("hentou status --json 2>/dev/null"))
    except (MachineFailed, ValueError):
        return Health(machine.name, False, "on; without a generation")
    down = ", ".join(found["units_down"])
    wrong = [f"down: {down}"] if down else []
    wrong += [f"edited by hand: {item['path']}" for item in found["held"]]
    wrong += ["an activation is pending"] if found["pending"] else []
    generation = (found["current"] or "nothing yet")[:12]
    return Health(machine.name, bool(found["well"]), f"{generation}: {'; '.join(wrong) or 'all is well'}")


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


def start_page(collective: Collective, place: str) -> str:
    """The page to open first from a place (`kerminy/laptop`, `visitor`): its site's own; empty without any."""
    site = place.partition("/")[0]
    seen = [look.url for look in looks(collective) if look.place == site and not look.external]
    home = collective.site_domain(site) if site in collective.sites else ""
    own = [url for url in seen if home and url.endswith(f"{home}/")]
    return min(own or seen, key=len, default="")


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
            complaints = [line for line in failure.output.splitlines() if line.startswith("curl:")]
            return Sight(
                look, False, _FROM_CURL.sub("", complaints[-1]) if complaints else f"did not open within {patience:g} s"
            )
        progress(f"{look.url} opens from {look.place}")
        return Sight(look, True, said.strip())

    with ThreadPoolExecutor(max_workers=8) as pool:
        return tuple(pool.map(one, looks(collective)))
