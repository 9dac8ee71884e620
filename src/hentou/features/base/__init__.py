"""base: what every machine has whatever it serves — name, time, journal, firewall, updates, trust."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import Field, StringConstraints

from hentou.features.base.firewall import ruleset
from hentou.generation.contract import View
from hentou.generation.fragment import Check, CheckKind, Directory, File, Fragment, OnChange, Symlink, Unit
from hentou.generation.offer import Offer
from hentou.generation.template import fill
from hentou.model.types import HostName, Pointer, Spec
from hentou.model.units import Size

_AUTHORITY = Pointer("keys/authority.pem")
_TRUSTED = "/usr/local/share/ca-certificates/hentou.crt"
_MEBIBYTE = 2**20

TimeZone = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z]+(/[A-Za-z0-9_+-]+)*$")]


class Settings(Spec):
    """What may differ from site to site."""

    timezone: TimeZone = Field("Europe/Paris", description="Time zone, as in the IANA database.")
    time_servers: tuple[HostName, ...] = Field(
        ("0.debian.pool.ntp.org", "1.debian.pool.ntp.org", "2.debian.pool.ntp.org"),
        description="NTP servers.",
    )
    journal: Size = Field(500_000_000, description="Most bytes of disk that the journal may take.")


def offer(view: View[Settings]) -> Iterable[Offer]:  # noqa: ARG001
    """Nothing: base serves nobody, it opens what the others offer."""
    return ()


def render(view: View[Settings]) -> Fragment:
    """Name, time, journal, firewall, updates, LAN address and the collective's authority."""
    return Fragment(
        by="base",
        packages=(
            "ca-certificates", "nftables", "systemd-timesyncd", "tzdata", "unattended-upgrades",
        ),
        # Services keep their data below it: they may pass through, not look around.
        directories=(Directory("/var/lib/hentou", 0o711, because=(view.here,)),),
        files=(*_identity(view), *_upkeep(view), *_network(view), *_trust(view)),
        symlinks=(
            Symlink("/etc/localtime", f"/usr/share/zoneinfo/{view.settings.timezone}", _settings(view)),
        ),
        units=tuple(_units(view)),
        checks=(Check("base: firewall", CheckKind.UNIT, "nftables.service", (view.here,)),),
    )  # fmt: skip


def _settings(view: View[Settings]) -> tuple[Pointer, ...]:
    return (
        Pointer("collective.yaml", ("features", "base")),
        Pointer(f"sites/{view.site.name}.yaml", ("features", "base")),
    )


def _file(view: View[Settings], path: str, template: str, **values: object) -> File:
    return File(path, fill(__package__, template, **values), because=(view.here,))


def _identity(view: View[Settings]) -> Iterator[File]:
    name = view.machine.name
    yield _file(view, "/etc/hostname", "hostname", name=name)
    yield _file(view, "/etc/hosts", "hosts", name=name, full=view.collective.machine_name(view.machine))
    yield _file(view, "/etc/locale.conf", "locale.conf")
    yield _file(view, "/etc/hentou/exposure", "exposure")


def _upkeep(view: View[Settings]) -> Iterator[File]:
    settings = view.settings
    yield File(
        "/etc/systemd/timesyncd.conf.d/hentou.conf",
        fill(__package__, "timesyncd.conf", servers=settings.time_servers),
        because=_settings(view),
    )
    yield File(
        "/etc/systemd/journald.conf.d/hentou.conf",
        fill(__package__, "journald.conf", mebibytes=max(16, settings.journal // _MEBIBYTE)),
        because=_settings(view),
    )
    yield _file(view, "/etc/apt/apt.conf.d/52hentou", "apt.conf")
    yield _file(view, "/etc/systemd/system/nftables.service.d/hentou.conf", "nftables.service.conf")


def _network(view: View[Settings]) -> Iterator[File]:
    yield ruleset(view.collective, view.machine, view.offers)
    yield _file(view, "/etc/sysctl.d/70-hentou.conf", "sysctl.conf", gateway=view.machine.gateway)
    yield _file(
        view,
        "/etc/systemd/system/systemd-networkd-wait-online.service.d/hentou.conf",
        "wait-online.conf",
    )
    lan = view.site.lan
    if view.machine.address and lan:
        address = f"{view.machine.address}/{lan.subnet.prefixlen}"
        yield _file(view, "/etc/systemd/network/70-hentou.network", "lan.network", address=address)


def _trust(view: View[Settings]) -> Iterator[File]:
    if view.collective.authority:
        authority = view.collective.authority.encode()
        yield File("/etc/hentou/authority.pem", authority, because=(_AUTHORITY,))
        yield File(_TRUSTED, authority, because=(_AUTHORITY,))
        unit = fill(__package__, "hentou-trust.service", certificate=_TRUSTED)
        yield File("/etc/systemd/system/hentou-trust.service", unit, because=(_AUTHORITY,))
    keys = view.collective.keys.get(view.machine.name)
    if keys and keys.certificate:
        because = (Pointer(f"keys/{view.machine.name}.yaml", ("certificate",)),)
        yield File("/etc/hentou/issuer.pem", keys.certificate.encode(), because=because)


def _units(view: View[Settings]) -> Iterator[Unit]:
    here = (view.here,)
    yield Unit("nftables.service", OnChange.RELOAD, ("/etc/nftables.conf",), "sysinit.target", here)
    yield Unit("systemd-sysctl.service", triggers=("/etc/sysctl.d/",), wanted_by="", because=here)
    yield Unit("systemd-journald.service", triggers=("/etc/systemd/journald.conf.d/",), wanted_by="", because=here)
    yield Unit(
        "systemd-timesyncd.service",
        triggers=("/etc/systemd/timesyncd.conf.d/",),
        wanted_by="sysinit.target",
        because=here,
    )
    for timer in ("apt-daily.timer", "apt-daily-upgrade.timer"):
        yield Unit(timer, wanted_by="timers.target", because=here)
    if view.machine.address and view.site.lan:
        yield Unit("systemd-networkd.service", OnChange.RELOAD, ("/etc/systemd/network/",), because=here)
    if view.collective.authority:
        yield Unit("hentou-trust.service", triggers=(_TRUSTED,), because=(_AUTHORITY,))
