"""A collective while it is being read: the files that could be understood, and every problem so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from hentou.errors import Problem
from hentou.model.types import CollectiveSpec, Keys, Machine, Person, Roster, Secret, Service, Site
from hentou.model.yaml import Document

COLLECTIVE = "collective.yaml"
ROSTER = "roster.yaml"
AUTHORITY = "keys/authority.pem"


@dataclass
class Draft:
    """What was read. The parsed parts hold only what is valid; the names hold all that is written.

    A reference to something that is written, but wrong in itself, is therefore no second problem.
    """

    files: frozenset[str]
    strays: frozenset[str] = frozenset()
    documents: dict[str, Document] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    spec: CollectiveSpec | None = None
    roster: Roster | None = None
    people: dict[str, Person] = field(default_factory=dict)
    sites: dict[str, Site] = field(default_factory=dict)
    keys: dict[str, Keys] = field(default_factory=dict)
    authority: str | None = None
    secrets: dict[str, Secret] = field(default_factory=dict)

    @cached_property
    def site_documents(self) -> Mapping[str, Document]:
        """The files of sites that are YAML at all, by the site's name."""
        return {stem(file): document for file, document in self.documents.items() if file.startswith("sites/")}

    @cached_property
    def machine_sites(self) -> Mapping[str, tuple[str, ...]]:
        """Every machine that is written anywhere, with the sites where it is."""
        found: dict[str, list[str]] = {}
        for site, document in self.site_documents.items():
            for machine in document.mapping("machines"):
                found.setdefault(machine, []).append(site)
        return {machine: tuple(sites) for machine, sites in found.items()}

    @cached_property
    def all_sites_readable(self) -> bool:
        """Whether every site's file is YAML: otherwise some machines are unknown."""
        return all(file in self.documents for file in self.files | self.strays if is_file_of("sites", file))

    @cached_property
    def people_names(self) -> frozenset[str]:
        """Everybody who has a file."""
        return frozenset(stem(file) for file in self.files | self.strays if is_file_of("people", file))

    @cached_property
    def site_names(self) -> frozenset[str]:
        """Every site that has a file."""
        return frozenset(stem(file) for file in self.files | self.strays if is_file_of("sites", file))

    @cached_property
    def admin_names(self) -> frozenset[str]:
        """Everybody in the roster."""
        return frozenset(self._mapping(ROSTER, "admins"))

    @cached_property
    def group_names(self) -> frozenset[str]:
        """Every group."""
        return frozenset(self._mapping(COLLECTIVE, "groups"))

    def readable(self, *files: str) -> bool:
        """Whether these files are YAML, so that what is not in them is known to be missing."""
        return all(file in self.documents for file in files)

    def each_site(self) -> Iterator[tuple[Document, Site]]:
        """Every valid site, with its document."""
        for name, site in self.sites.items():
            yield self.site_documents[name], site

    def each_machine(self) -> Iterator[tuple[Document, Machine]]:
        """Every machine of a valid site, with its document."""
        for document, site in self.each_site():
            for machine in site.machines.values():
                yield document, machine

    def each_service(self) -> Iterator[tuple[Document, Service]]:
        """Every service of a valid site, with its document."""
        for document, site in self.each_site():
            for service in site.services.values():
                yield document, service

    def _mapping(self, file: str, key: str) -> Iterable[str]:
        document = self.documents.get(file)
        return document.mapping(key) if document else ()


def stem(file: str) -> str:
    """The name that a file's path gives to what is in it."""
    return file.rpartition("/")[2].removesuffix(".yaml")


def is_file_of(folder: str, file: str) -> bool:
    """Whether a path is a YAML file directly inside a folder."""
    return file.startswith(f"{folder}/") and file.endswith(".yaml") and file.count("/") == 1
