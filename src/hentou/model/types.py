"""The collective as its YAML says it: sites, machines, services, people. Frozen, and free of any effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.json_schema import SkipJsonSchema

from hentou.model import derive
from hentou.model.units import Duration, Power, Rate, Size

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=30)]
"""A name that is also a DNS label and a Unix account: lower-case letters, digits and single hyphens."""

HostName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)+$", max_length=200)
]
SshKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^(ssh-ed25519|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com|"
        r"ecdsa-sha2-nistp256|ssh-rsa) [A-Za-z0-9+/]+={0,3}( [^\n]*)?$"
    ),
]
AgeKey = Annotated[str, StringConstraints(pattern=r"^age1[02-9ac-hj-np-z]{58}$")]
WireGuardKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$")]

Injected = SkipJsonSchema[str]
"""Filled in by the loader from a file's name or a mapping's key, never written by a person."""


class Audience(StrEnum):
    """Who may reach something: the site's own network, every site of the collective, or everybody."""

    LAN = "lan"
    INTRANET = "intranet"
    INTERNET = "internet"


class UplinkKind(StrEnum):
    """What carries a site's Internet access."""

    ADSL = "adsl"
    VDSL = "vdsl"
    FIBRE = "fibre"
    CELLULAR = "4g"
    DATACENTRE = "datacentre"
    OTHER = "other"


class Architecture(StrEnum):
    """Debian's name of a machine's processor architecture."""

    AMD64 = "amd64"
    ARM64 = "arm64"


class Spec(BaseModel):
    """Base of everything read from YAML: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Policies(Spec):
    """How careful the collective's machines are."""

    health_timeout: Duration = Field(
        30, description="How long a new generation has to prove healthy before it is undone."
    )
    poll: Duration = Field(
        60, description="How often a machine asks a peer whether there is something new, where no hint came."
    )
    canaries: tuple[Name, ...] = Field(
        (), description="Sites that take a change first; the others follow once it has proved healthy there."
    )
    soak: Duration = Field(600, description="How long a change must have been healthy at a canary site.")
    patience: Duration = Field(
        86400, description="How long a change waits for canary sites that nothing is heard of, before it goes on."
    )


class Group(Spec):
    """People who share a task, such as the volunteers with root on some machines."""

    name: Injected = Field(alias="$name")
    title: str = Field("", description="What people call it.")
    members: tuple[Name, ...] = Field((), description="Names of people.")


class Uplink(Spec):
    """One way from a site to the Internet, through one box."""

    name: Injected = Field(alias="$name")
    kind: UplinkKind
    down: Rate = Field(description="Bits per second towards the site.")
    up: Rate = Field(description="Bits per second from the site.")
    quota: Size | None = Field(None, description="Bytes a month, where the operator counts them.")
    box: IPv4Address | None = Field(
        None, description="The box's address on the LAN; the first host address of the subnet by default."
    )
    provider: str = Field("", description="Who sells it.")


class Lan(Spec):
    """The site's own network, as its box made it. hentou never changes the box."""

    subnet: IPv4Network = Field(description="Such as 192.168.1.0/24.")


class Public(Spec):
    """Addresses at which the whole Internet reaches a machine."""

    ipv4: IPv4Address = Field(description="Such as 203.0.113.10.")
    ipv6: IPv6Address | None = Field(None, description="Where it has one.")


class External(Spec):
    """A machine that somebody else administers (YunoHost, NethServer, Proxmox…): in mesh and names only."""

    kind: str = Field(description="What runs there, such as yunohost.")
    names: tuple[Name, ...] = Field(
        (), description="Names under the site's domain whose TLS connections are passed to it."
    )
    audience: Audience = Audience.INTERNET


class Machine(Spec):
    """One computer, or a virtual one (`guest_of`)."""

    name: Injected = Field(alias="$name")
    site: Injected = Field(alias="$site")
    title: str = Field("", description="What people call it.")
    model: str = Field("", description="What it is, for the person who stands in front of it.")
    arch: Architecture = Architecture.AMD64
    memory: Size | None = Field(None, description="Bytes of RAM.")
    disk: Size | None = Field(None, description="Bytes of storage.")
    power: Power | None = Field(None, description="Watts it draws on average.")
    address: IPv4Address | None = Field(
        None, description="A free address of the LAN outside the box's DHCP range, which this machine takes."
    )
    public: Public | None = None
    gateway: bool = Field(False, description="Relays for the sites; needs `public`.")
    guest_of: Name | None = Field(None, description="The machine that hosts this one.")
    external: External | None = None
    roles: tuple[str, ...] = Field((), description="What it is for, in the collective's own words.")
    admins: tuple[Name, ...] | None = Field(
        None,
        description="Groups or people of the roster with an account here; everyone of the roster by default.",
    )
    mesh_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,4}(:[0-9a-f]{1,4}){3}$")] | None = Field(
        None, description="Lower half of the mesh address, only to resolve a collision of derived ones."
    )


class Service(Spec):
    """A recipe in use: one website, one wiki…, on one machine, under one name."""

    key: Injected = Field(alias="$name")
    site: Injected = Field(alias="$site")
    recipe: Name = Field(description="How it is built; see the reference of recipes.")
    machine: Name = Field(description="A machine of this site.")
    name: Annotated[str, StringConstraints(pattern=r"^(@|[a-z0-9]+(-[a-z0-9]+)*)$")] | None = Field(
        None, description="Its name under the site's domain; `@` is the domain itself; the key by default."
    )
    audience: Audience = Audience.INTERNET
    settings: Mapping[str, Any] = Field(default_factory=dict, description="The recipe's own settings.")

    @property
    def label(self) -> str:
        """The DNS label under the site's domain, `@` for the domain itself."""
        return self.name or self.key

    @property
    def id(self) -> str:
        """A name unique in the collective."""
        return f"{self.site}-{self.key}"


class Site(Spec):
    """A place with its line, its machines and what they serve."""

    name: Injected = Field(alias="$name")
    title: str = Field("", description="What people call it.")
    place: str = Field("", description="Where it is, for people.")
    people: int = Field(0, ge=0, description="How many people use it.")
    referents: tuple[Name, ...] = Field((), description="Contacts on the spot, not technicians.")
    lan: Lan | None = None
    uplinks: Mapping[Name, Uplink] = Field(default_factory=dict)
    power: Power | None = Field(None, description="Watts the host agreed to.")
    agreement: str = Field("", description="The hosting agreement: a file of this repository, or an address.")
    machines: Mapping[Name, Machine] = Field(default_factory=dict)
    services: Mapping[Name, Service] = Field(default_factory=dict)
    features: Mapping[Name, Mapping[str, Any]] = Field(
        default_factory=dict, description="Settings of features for this site, over those of the collective."
    )


class Person(Spec):
    """An administrator or a référent; members live elsewhere."""

    name: Injected = Field(alias="$name")
    full_name: str = Field("", description="As the person writes it.")
    email: str = Field("", description="Where the person is written to.")
    language: Annotated[str, StringConstraints(pattern="^(fr|en)$")] = Field(
        "fr", description="`fr` or `en`: what hentou speaks to this person."
    )
    ssh: tuple[SshKey, ...] = Field(
        (), description="A référent's SSH public keys, to hold back and watch their site's machines; no admin's rights."
    )
    age: tuple[AgeKey, ...] = Field(
        (), description="Keys to read secrets with, for admins whose SSH keys cannot (hardware keys); see age(1)."
    )


class Roster(Spec):
    """The admins whose signatures count."""

    epoch: int = Field(1, ge=1, description="Counts the changes of this file; `hentou roster` keeps it.")
    threshold: int = Field(1, ge=1, description="How many people must sign a change.")
    root_threshold: int | None = Field(
        None, ge=1, description="How many people must sign a change of this file; `threshold` by default."
    )
    admins: Mapping[Name, tuple[SshKey, ...]] = Field(
        default_factory=dict, description="Each admin's SSH public keys; each has a file in people/ too."
    )

    @property
    def root(self) -> int:
        """How many people must sign a change of the roster."""
        return self.threshold if self.root_threshold is None else self.root_threshold


class Keys(Spec):
    """Public halves of what a machine made at its enrolment; the private halves never leave it."""

    wireguard: WireGuardKey = Field(description="The key of its mesh interface.")
    ssh_host: SshKey | None = Field(None, description="The key of its SSH server.")
    journal: SshKey | None = Field(None, description="The key that signs its journal.")
    age: AgeKey | None = Field(None, description="The key that its secrets are encrypted for.")
    certificate: str | None = Field(
        None, description="PEM of the machine's own certificate authority, signed by the collective's."
    )


class Secret(Spec):
    """`secrets/NAME.yaml`: who may read a secret, and where it is put. `secrets/NAME.age` holds it, encrypted."""

    name: Injected = Field(alias="$name")
    machines: tuple[Name, ...] = Field((), description="Machines that need it.")
    admins: tuple[Name, ...] | None = Field(
        None, description="People of the roster who may read it; everyone of the roster by default."
    )
    generator: str = Field("", description="How a new value is made: `password 24`, `hex 32`, `passphrase 6`…")
    path: Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9._-]+)+$")] | None = Field(
        None, description="Where machines put it; /run/hentou/secrets/NAME, in memory, by default."
    )
    owner: str = Field("root", description="The account that may read it on a machine.")
    group: str = Field("root", description="The group that may read it on a machine.")
    mode: Annotated[str, StringConstraints(pattern=r"^0[4-7][04][0]$")] = Field(
        "0400", description="Its permissions: `0400` for the owner, `0440` for the group too."
    )
    unit: str = Field("", description="A systemd unit to restart when the secret changes.")
    rotated: str = Field("", description="When its value was made; written by `hentou secret`.")
    read_by: tuple[str, ...] = Field(
        (), description="Everyone for whom the present value was ever encrypted; written by `hentou secret`."
    )


class CollectiveSpec(Spec):
    """`collective.yaml`: what holds for all."""

    name: Name = Field(description="A short name, for commands and files.")
    title: str = Field("", description="What people call it.")
    domain: HostName = Field(description="Under which every name of the collective is, such as collective.example.")
    contact: str = Field(description="Where people write to the collective.")
    language: Annotated[str, StringConstraints(pattern="^(fr|en)$")] = Field(
        "fr", description="`fr` or `en`: what hentou speaks where it knows no person."
    )
    policies: Policies = Policies()
    groups: Mapping[Name, Group] = Field(default_factory=dict)
    features: Mapping[Name, Mapping[str, Any]] = Field(
        default_factory=dict, description="Settings of features, by the feature's name."
    )


@dataclass(frozen=True, slots=True)
class Pointer:
    """A place in the repository: a file, and the path of keys inside it when it is YAML.

    It holds no line, so that a comment added above changes no generation; `Collective.line` finds it.
    """

    file: str
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As people read it: `sites/kerminy.yaml: machines.kerminy-1`."""
        return f"{self.file}: {'.'.join(self.keys)}" if self.keys else self.file


class Tree(Protocol):
    """A repository's files at one moment: a directory, a Git commit or, in tests, a mapping."""

    def files(self) -> Iterator[str]:
        """Every regular file's path, with `/`, sorted."""

    def strays(self) -> Iterator[tuple[str, str]]:
        """What is there but no regular file: its path, and what it is (`a symbolic link`), sorted."""

    def read(self, path: str, limit: int | None = None) -> bytes:
        """One file's bytes; HentouError when it is absent, no regular file, or longer than `limit`."""


@dataclass(frozen=True)
class Collective:
    """The whole model, once every reference in it is known to hold."""

    spec: CollectiveSpec
    roster: Roster
    people: Mapping[str, Person]
    sites: Mapping[str, Site]
    keys: Mapping[str, Keys]
    authority: str | None
    tree: Tree
    positions: Mapping[Pointer, tuple[int, int]] = field(default_factory=dict, repr=False)
    secrets: Mapping[str, Secret] = field(default_factory=dict)

    @property
    def domain(self) -> str:
        """The collective's domain."""
        return self.spec.domain

    @cached_property
    def machines(self) -> Mapping[str, Machine]:
        """Every machine, in the order of names."""
        found = {m.name: m for site in self.sites.values() for m in site.machines.values()}
        return dict(sorted(found.items()))

    @cached_property
    def services(self) -> tuple[Service, ...]:
        """Every service, by site and key."""
        return tuple(s for _, site in sorted(self.sites.items()) for _, s in sorted(site.services.items()))

    @cached_property
    def gateways(self) -> tuple[Machine, ...]:
        """Machines that relay for the sites, in the order of names."""
        return tuple(m for m in self.machines.values() if m.gateway)

    @cached_property
    def managed(self) -> tuple[Machine, ...]:
        """Machines that follow this repository: all but the external ones."""
        return tuple(m for m in self.machines.values() if m.external is None)

    @cached_property
    def _services_by_machine(self) -> Mapping[str, tuple[Service, ...]]:
        found: dict[str, list[Service]] = {}
        for service in self.services:
            found.setdefault(service.machine, []).append(service)
        return {name: tuple(services) for name, services in found.items()}

    def services_on(self, machine: Machine) -> tuple[Service, ...]:
        """The services that one machine runs."""
        return self._services_by_machine.get(machine.name, ())

    def site_of(self, member: Machine | Service) -> Site:
        """The site where a machine stands or a service lives."""
        return self.sites[member.site]

    def site_domain(self, site: str) -> str:
        """The domain of one site."""
        return f"{site}.{self.domain}"

    def service_name(self, service: Service) -> str:
        """The host name in a service's URL."""
        base = self.site_domain(service.site)
        return base if service.label == "@" else f"{service.label}.{base}"

    def machine_name(self, machine: Machine) -> str:
        """A machine's own host name, fully qualified."""
        return f"{machine.name}.{self.site_domain(machine.site)}"

    @cached_property
    def mesh_prefix(self) -> str:
        """The /64 of the mesh, such as `fd12:3456:789a:1`."""
        return derive.mesh_prefix(self.domain)

    def mesh_address(self, machine: Machine) -> IPv6Address:
        """A machine's address in the mesh, from its name alone."""
        return IPv6Address(f"{self.mesh_prefix}:{machine.mesh_id or derive.mesh_id(machine.name)}")

    def settings_of(self, feature: str, site: str) -> Mapping[str, Any]:
        """What the YAML says to one feature at one site: the site's words over the collective's."""
        return {**self.spec.features.get(feature, {}), **self.sites[site].features.get(feature, {})}

    def pointer(self, thing: Machine | Service | Site | Person) -> Pointer:
        """Where a thing is written."""
        match thing:
            case Site():
                return Pointer(f"sites/{thing.name}.yaml")
            case Machine():
                return Pointer(f"sites/{thing.site}.yaml", ("machines", thing.name))
            case Service():
                return Pointer(f"sites/{thing.site}.yaml", ("services", thing.key))
            case Person():
                return Pointer(f"people/{thing.name}.yaml")

    def source(self, pointer: Pointer) -> str:
        """The line of the repository that a pointer means, as it is written."""
        lines = self.tree.read(pointer.file).decode(errors="replace").splitlines()
        number = self.line(pointer)
        return lines[number - 1] if number <= len(lines) else ""

    def line(self, pointer: Pointer) -> int:
        """The line of a pointer, from 1; that of the nearest enclosing key that is written."""
        keys = pointer.keys
        while keys and Pointer(pointer.file, keys) not in self.positions:
            keys = keys[:-1]
        return self.positions.get(Pointer(pointer.file, keys), (1, 1))[0]
