"""website: a Hugo site from the repository's own pages, built on the machine that publishes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Annotated

from pydantic import Field, StringConstraints

from hentou.generation.contract import ServiceView
from hentou.generation.fragment import Check, CheckKind, Directory, File, Fragment, Unit, User
from hentou.generation.offer import Offer, Port, Reach, Route
from hentou.generation.template import fill
from hentou.model import derive
from hentou.model.types import Spec
from hentou.recipes.website import source

_ROOT = "/var/lib/hentou/website"
_ACCOUNT = 32
"""Longest name of an account that Linux takes."""


class Settings(Spec):
    """What makes one site differ from another."""

    source: Annotated[str, StringConstraints(pattern=r"^content(/[A-Za-z0-9._-]+)+$")] | None = Field(
        None, description="Folder of the repository that holds its pages; content/KEY by default."
    )
    title: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]*$")] = Field(
        "", description="Its title; the site's own by default."
    )


def offer(view: ServiceView[Settings]) -> Iterable[Offer]:
    """A name, and the loopback port behind it. No data: pages are in the repository already."""
    service, here = view.service, (view.here,)
    port = derive.port(service.id)
    yield Route(service.machine, service.id, view.name, service.audience, port, here)
    yield Port(service.machine, service.id, "tcp", port, Reach.LOCAL, f"pages of {view.name}", here)


def account(service_id: str) -> str:
    """The account that builds a site: readable, unique, and short enough for Linux."""
    name = f"web-{service_id}"
    if len(name) <= _ACCOUNT:
        return name
    return f"{name[: _ACCOUNT - 9]}-{sha256(service_id.encode()).hexdigest()[:8]}"


def render(view: ServiceView[Settings]) -> Fragment:
    """Pages, the job that builds them, and the server that hands them out on loopback."""
    service, here = view.service, (view.here,)
    user = account(service.id)
    folder = f"{_ROOT}/{service.id}"
    unit = f"hentou-website-{service.id}.service"
    port = derive.port(service.id)
    return Fragment(
        by=service.id,
        packages=("hugo", "nginx-light"),
        users=(User(user, derive.uid(user), f"builds {view.name}", because=here),),
        directories=(Directory(f"{folder}/site", 0o755, user, user, here),),
        files=(*_built(view, folder, user, unit, port), *_pages(view, folder)),
        units=(Unit(unit, triggers=(f"{folder}/source/", f"{folder}/build"), because=here),),
        checks=(
            Check(f"{service.id}: built", CheckKind.UNIT, unit, here),
            Check(f"{service.id}: served", CheckKind.HTTP, f"http://127.0.0.1:{port}/", here),
        ),
    )


def _built(view: ServiceView[Settings], folder: str, user: str, unit: str, port: int) -> Iterator[File]:
    values = {"name": view.name, "folder": folder, "user": user, "port": port}
    here = (view.here,)
    yield File(f"{folder}/build", fill(__package__, "build", **values), 0o755, because=here)
    yield File(f"/etc/systemd/system/{unit}", fill(__package__, "website.service", **values), because=here)
    configuration = fill(__package__, "nginx.conf", **values)
    yield File(f"/etc/nginx/conf.d/{view.service.id}.conf", configuration, because=here)


def _pages(view: ServiceView[Settings], folder: str) -> Iterator[File]:
    wanted = view.settings.source or f"content/{view.service.key}"
    title = view.settings.title or view.site.title or view.name
    for page in source.tree(view, wanted, title):
        yield File(
            f"{folder}/source/{page.path}",
            page.content,
            because=(view.here, *page.because),
            copied_from=page.copied_from,
        )
