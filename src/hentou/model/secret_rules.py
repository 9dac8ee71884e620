"""Secrets that nobody could read, that could not be put anywhere, or whose file is no encrypted one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from hentou.errors import HentouError, Problem
from hentou.model.draft import ROSTER, Draft
from hentou.model.secrets import (
    FOLDER,
    HEADER,
    NOTE,
    PLACE,
    admins,
    generator,
    keys_of,
    missing,
    place,
    value_file,
    yaml_file,
)  # fmt: skip
from hentou.model.shape import did_you_mean
from hentou.model.types import Secret, Tree
from hentou.model.yaml import Document

LARGEST = 262_144
"""Bytes of one encrypted value: secrets are keys and passwords; more belongs into a service's data."""

_UNIT = re.compile(r"[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?\.(service|socket|timer|path|target|mount)")
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_UNDER = ("/etc/", "/run/", "/var/lib/")
_NEVER = (
    "/etc/hentou", "/run/hentou", "/run/systemd", "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow",
    "/etc/sudoers", "/etc/sudoers.d", "/etc/ssh/authorized_keys.d", "/etc/systemd", "/var/lib/dpkg",
    "/var/lib/systemd",
    *(
        f"/var/lib/hentou/{name}"
        for name in ("generations", "repo.git", "inbox.git", "incoming.git", "keys", "outbox", "certificates")
    ),
)  # fmt: skip
"""Where the system and hentou keep what decides about everything else."""


def _each(draft: Draft) -> Iterator[tuple[Document, Secret]]:
    for name, secret in sorted(draft.secrets.items()):
        yield draft.documents[yaml_file(name)], secret


def values(tree: Tree, files: frozenset[str]) -> Iterator[Problem]:
    """Values that are no age files, whose secrets could not be read by anybody."""
    for file in sorted(files):
        if not file.startswith(f"{FOLDER}/") or not file.endswith(".age"):
            continue
        name = file.removeprefix(f"{FOLDER}/").removesuffix(".age")
        try:
            encrypted = tree.read(file, LARGEST).startswith(HEADER)
        except HentouError as error:
            yield Problem(file, 0, 0, error.message.removeprefix(f"{file} "), error.hint)
            continue
        if not encrypted:
            hint = f"write it with `hentou secret set {name}`; if this is the value itself, it is known now: rotate it"
            yield Problem(file, 0, 0, "not encrypted: no file of the age format, in its binary form", hint)


def pairs(draft: Draft) -> Iterator[Problem]:
    """Values without a word on who reads them, and the reverse."""
    for file in sorted(draft.files):
        folder, _, name = file.rpartition("/")
        if folder != FOLDER:
            continue
        bare = name.rpartition(".")[0]
        if name.endswith(".age") and yaml_file(bare) not in draft.files:
            message = f"{yaml_file(bare)} is missing: nobody knows who may read this"
            yield Problem(file, 0, 0, message, "write it, or remove this file")
        elif name.endswith(".yaml") and value_file(bare) not in draft.files:
            hint = f"give it one: `hentou secret set {bare}`"
            yield Problem(file, 0, 0, f"{value_file(bare)} is missing: the secret has no value", hint)


def machines(draft: Draft) -> Iterator[Problem]:
    """Machines that do not exist, belong to somebody else, or have no key that anything could be encrypted for."""
    external = {machine.name for _, machine in draft.each_machine() if machine.external is not None}
    for document, secret in _each(draft):
        for index, name in enumerate(secret.machines):
            path = ("machines", str(index))
            if name not in draft.machine_sites:
                if draft.all_sites_readable:
                    hint = did_you_mean(name, sorted(draft.machine_sites), "`hentou secret rekey` takes it out")
                    yield document.value(path, f"no machine is called {name}", hint)
            elif name in external:
                message = f"{name} is external: hentou never puts a secret there"
                yield document.value(path, message, "choose another machine, or remove its `external`")
            elif name in draft.keys and draft.keys[name].age is None:
                message = f"{name} has no age key, so that nothing can be encrypted for it"
                yield document.value(path, message, f"enrol it again: `hentou enrol {name}`")


def people(draft: Draft) -> Iterator[Problem]:
    """Admins who are not in the roster, or have no key that anything could be encrypted for."""
    if draft.roster is None:
        return
    told: set[str] = set()
    for document, secret in _each(draft):
        for index, name in enumerate(secret.admins or ()):
            if name not in draft.roster.admins:
                hint = did_you_mean(name, sorted(draft.admin_names), "`hentou secret rekey` takes them out")
                yield document.value(("admins", str(index)), f"{name} is not in the roster", hint)
        for name in admins(draft, secret):
            if draft.roster.admins[name] and not keys_of(draft, name) and name not in told:
                told.add(name)
                message = f"{name} may read secrets, but has no key for it: age cannot use hardware keys, nor ECDSA"
                hint = f"add `age:` to people/{name}.yaml; `hentou secret key` makes one"
                yield draft.documents[ROSTER].key(("admins", name), message, hint)


def nobody(draft: Draft) -> Iterator[Problem]:
    """Secrets that no admin and no machine may read."""
    for document, secret in _each(draft):
        if secret.admins == () and not secret.machines:
            yield document.key(
                ("admins",), f"nobody may read {secret.name}", "name an admin or a machine, or remove it"
            )


def encrypted(draft: Draft) -> Iterator[Problem]:
    """Machines that need a secret which is not encrypted for them: their next generation would fail."""
    for document, secret in _each(draft):
        for reader in missing(draft, secret):
            if reader.kind == "machine" and value_file(secret.name) in draft.files:
                message = f"{value_file(secret.name)} is not encrypted for {reader.name}"
                hint = f"somebody who can read it runs `hentou secret rekey {secret.name}`"
                yield document.value(("machines", str(secret.machines.index(reader.name))), message, hint)


def words(draft: Draft) -> Iterator[Problem]:
    """Generators, units, accounts and entries of `read_by` that are none."""
    for document, secret in _each(draft):
        if secret.generator:
            try:
                generator(secret.generator)
            except HentouError as error:
                yield document.value(("generator",), error.message, error.hint)
        if secret.unit and not _UNIT.fullmatch(secret.unit):
            hint = "write its whole name, such as postfix.service"
            yield document.value(("unit",), f"{secret.unit!r} is no systemd unit", hint)
        for key, name in (("owner", secret.owner), ("group", secret.group)):
            if not _ACCOUNT.fullmatch(name):
                yield document.value((key,), f"{name!r} is no account's name", "write one such as www-data")
        for index, note in enumerate(secret.read_by):
            if not NOTE.fullmatch(note):
                hint = f"remove it, then run `hentou secret rekey {secret.name}`: hentou writes this list"
                yield document.value(("read_by", str(index)), f"{note!r} tells nobody's key", hint)


def paths(draft: Draft) -> Iterator[Problem]:
    """Places where a secret would be in the way of the system, of hentou, or of another secret."""
    for document, secret in _each(draft):
        if secret.path and (fault := _fault(secret.path, secret.name)):
            yield document.value(("path",), *fault)
    for machine in sorted(draft.machine_sites):
        here = sorted(
            (place(secret).split("/"), secret.name) for _, secret in _each(draft) if machine in secret.machines
        )
        for (first, one), (second, other) in pairwise(here):
            if second[: len(first)] == first:
                message = f"{other} and {one} would be at one place on {machine}, {'/'.join(first)}"
                yield draft.documents[yaml_file(other)].value(("path",), message, "give each its own path")


def _fault(path: str, name: str) -> tuple[str, str] | None:
    away = "choose another path, or none: it is in memory then"
    if {".", ".."} & set(path.split("/")):
        return f"{path} leads elsewhere than it says", "write it without . and .."
    if path == f"{PLACE}/{name}":
        return None
    if not path.startswith(_UNDER) or path.count("/") < 2:
        return f"{path} is not under /run, /etc or /var/lib", away
    if path.startswith("/var/lib/hentou/") and path.count("/") < 5:
        return f"{path} is hentou's own", away
    for never in _NEVER:
        if path == never or path.startswith(f"{never}/"):
            return f"{path} is in the way of what is at {never}", away
    return None


Rule = Callable[[Draft], Iterator[Problem]]
RULES: tuple[Rule, ...] = (pairs, machines, people, words, paths, encrypted)

TERMS: tuple[Rule, ...] = (machines, people, nobody, words, paths)
"""What can be wrong with the terms that somebody gives a secret, whether it has a value yet or not.

Where everybody who could read it is gone, that is no problem of the files: it must hold up nobody's removal.
"""
