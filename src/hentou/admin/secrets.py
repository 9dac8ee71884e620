"""Secrets in an admin's working copy: written, read, rotated, and encrypted again when who may read them changes.

Plaintext is held in memory only. Encrypting again is not rotating: history stays readable to whoever could read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypedDict, Unpack

from hentou.admin import flat
from hentou.admin.generators import Made, make
from hentou.admin.identities import decrypt, encrypt
from hentou.effects import clock
from hentou.effects.disk import Disk
from hentou.effects.plaintext import in_memory
from hentou.effects.tree import DirectoryTree
from hentou.errors import HentouError, InvalidCollectiveError, Problem
from hentou.model import secret_rules
from hentou.model.draft import Draft
from hentou.model.load import is_name
from hentou.model.load import read as read_draft
from hentou.model.secrets import FOLDER, departed, missing, readers, value_file, yaml_file
from hentou.model.shape import did_you_mean
from hentou.model.types import Secret
from hentou.model.validate import inject, validated
from hentou.model.yaml import parse

LONGEST = 100_000
"""Bytes of a value: keys and passwords need less."""

_STANZAS = (b"-> X25519 ", b"-> ssh-ed25519 ", b"-> ssh-rsa ")
_DEFAULTS = {"owner": "root", "group": "root", "mode": "0400", "unit": "", "generator": ""}


class Terms(TypedDict, total=False):
    """What `secrets/NAME.yaml` says; what is left out stays as it is. None is the model's default."""

    machines: tuple[str, ...]
    admins: tuple[str, ...] | None
    generator: str
    path: str | None
    owner: str
    group: str
    mode: str
    unit: str


@dataclass(frozen=True)
class Regranted:
    """What `regrant` did: files written, and secrets that it could not encrypt again, each with why."""

    files: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


def put(
    repository: Path,
    name: str,
    value: bytes,
    *,
    identities: Sequence[Path] | None = (),
    now: datetime | None = None,
    **terms: Unpack[Terms],
) -> tuple[str, ...]:
    """Give a secret a new value, encrypted for all who may read it; the files written, which wait for a commit.

    The value counts as new, and everybody who could read the former one is forgotten, unless `identities` can read
    that and it is the same. HentouError where the terms make no sense or nobody could read it.
    """
    if len(value) > LONGEST:
        raise HentouError(f"the value of {name} has more than {LONGEST:,} bytes", "keep data in a service, not here")
    draft = survey(repository)
    former = draft.secrets.get(name)
    data = (repository / yaml_file(name)).read_bytes() if former else b""
    secret, data = _agreed(draft, name, flat.edit(yaml_file(name), data, _changes(terms, former)))
    same = former is not None and _is(repository, name, value, identities)
    moment = former.rotated if same and former else f"{now or clock.now():%Y-%m-%dT%H:%MZ}"
    ever = former.read_by if same and former else ()
    return _write(repository, draft, _dated(secret, moment, ever), data, value)


def read(repository: Path, name: str, identities: Sequence[Path] | None = None) -> bytes:
    """A secret's value, by private keys in these files (None: the usual ones); HentouError when none can read it."""
    secret = _known(survey(repository), name)
    return decrypt(name, _ciphertext(repository, name), identities, repository, secret.read_by)


def amend(
    repository: Path, name: str, identities: Sequence[Path] | None = None, **terms: Unpack[Terms]
) -> tuple[str, ...]:
    """Change the terms of a secret, and encrypt its value for all who may read it then; the files written."""
    return put(repository, name, read(repository, name, identities), identities=identities, **terms)


def edit(
    repository: Path, name: str, editor: Callable[[Path], None], identities: Sequence[Path] | None = None
) -> tuple[str, ...]:
    """Have a person change a secret in a file that is in memory; the files written, none when it stayed the same."""
    value = read(repository, name, identities)
    with in_memory(value, name) as file:
        editor(file)
        new = file.read_bytes()
    if new == value:
        return ()
    return put(repository, name, new)


def rotate(repository: Path, name: str, now: datetime | None = None) -> tuple[Made, tuple[str, ...]]:
    """Give a secret a new value by its generator: the value, and the files written. Nobody needs to read the old one.

    HentouError when it has no generator.
    """
    secret = _known(survey(repository), name)
    if not secret.generator:
        raise HentouError(f"{name} has no generator", f"give it a new value: `hentou secret set {name}`")
    made = make(secret.generator)
    return made, put(repository, name, made.value, now=now)


def rekey(repository: Path, name: str, identities: Sequence[Path] | None = None) -> tuple[str, ...]:
    """Encrypt the present value for all who may read it now; the files written. `read_by` only grows by it."""
    draft = survey(repository)
    secret = _known(draft, name)
    value = read(repository, name, identities)
    data = flat.edit(yaml_file(name), (repository / yaml_file(name)).read_bytes(), _present(draft, secret))
    secret, data = _agreed(draft, name, data)
    return _write(repository, draft, secret, data, value)


def regrant(repository: Path, identities: Sequence[Path] | None = None) -> Regranted:
    """Encrypt again every secret whose recipients are not those who may read it now.

    Machines and admins who are gone are taken out of the secrets' lists. One secret that fails stops no other.
    """
    draft = survey(repository)
    files: list[str] = []
    refused: dict[str, str] = {}
    for name in sorted(draft.secrets):
        if not needs_rekey(repository, draft, name):
            continue
        try:
            files += rekey(repository, name, identities)
        except HentouError as error:
            refused[name] = error.message
            files += _without_gone(repository, name)
    return Regranted(tuple(files), refused)


def _without_gone(repository: Path, name: str) -> tuple[str, ...]:
    """Take who is gone out of a secret's lists alone: somebody may be struck out by whoever cannot read it."""
    draft = survey(repository)
    if not (changes := _present(draft, draft.secrets[name])):
        return ()
    file = repository.resolve() / yaml_file(name)
    owner = file.stat()
    Disk().replace(str(file), flat.edit(yaml_file(name), file.read_bytes(), changes), 0o644, owner.st_uid, owner.st_gid)
    return (yaml_file(name),)


def remove(repository: Path, name: str) -> tuple[str, ...]:
    """Remove a secret; the files that are gone. Who could read it still knows it, and history holds it."""
    _known(survey(repository), name)
    for file in (found := (value_file(name), yaml_file(name))):
        (repository / file).unlink(missing_ok=True)
    return found


def needs_rekey(repository: Path, draft: Draft, name: str) -> bool:
    """Whether a secret may be encrypted for others than those who may read it."""
    secret = draft.secrets[name]
    if missing(draft, secret) or departed(draft, secret) or _present(draft, secret):
        return True
    file = repository / value_file(name)
    # X25519 hides for whom: how many there are is all that a header tells, and enough after the above.
    header = file.read_bytes().partition(b"\n--- ")[0] if file.is_file() else b""
    return sum(line.startswith(_STANZAS) for line in header.splitlines()) != len(readers(draft, secret))


def _dated(secret: Secret, rotated: str, read_by: tuple[str, ...]) -> Secret:
    """A secret with another moment and other readers of its value."""
    return secret.model_copy(update={"rotated": rotated, "read_by": read_by})


def survey(repository: Path) -> Draft:
    """All that tells who may read what, also while something else in the repository is wrong."""
    draft = read_draft(DirectoryTree(repository))
    # A value that is damaged is mended by a new one.
    problems = {problem for problem in draft.problems if not problem.path.endswith(".age")}
    if problems or draft.roster is None:
        raise InvalidCollectiveError(tuple(sorted(problems)))
    return draft


def _known(draft: Draft, name: str) -> Secret:
    if name not in draft.secrets:
        names = sorted(draft.secrets)
        otherwise = f"there are: {', '.join(names)}" if names else f"make it: `hentou secret set {name}`"
        raise HentouError(f"no secret is called {name}", did_you_mean(name, names, otherwise))
    return draft.secrets[name]


def _ciphertext(repository: Path, name: str) -> bytes:
    try:
        return (repository / value_file(name)).read_bytes()
    except FileNotFoundError:
        hint = f"give it a value: `hentou secret set {name}`"
        raise HentouError(f"{value_file(name)} is missing: the secret has no value", hint) from None


def _is(repository: Path, name: str, value: bytes, identities: Sequence[Path] | None) -> bool:
    """Whether the present value is this one, as far as can be known here."""
    if identities == ():
        return False
    try:
        return read(repository, name, identities) == value
    except HentouError:
        return False


def _changes(terms: Terms, former: Secret | None) -> dict[str, flat.Value]:
    """What the terms change in the file. Defaults that nobody wrote stay unwritten."""
    changes: dict[str, flat.Value] = {}
    for key, value in terms.items():
        wanted = tuple(dict.fromkeys(value)) if isinstance(value, tuple) else value
        default = _DEFAULTS.get(key)
        if former is None and (wanted == default or wanted is None):
            continue
        changes[key] = None if wanted == default else wanted  # type: ignore[assignment]
    return changes


def _present(draft: Draft, secret: Secret) -> dict[str, flat.Value]:
    """The secret's lists without machines and admins who are gone, where that is a change."""
    roster = draft.roster.admins if draft.roster else {}
    machines = tuple(name for name in secret.machines if name in draft.machine_sites)
    admins = None if secret.admins is None else tuple(name for name in secret.admins if name in roster)
    changes: dict[str, flat.Value] = {}
    if machines != secret.machines:
        changes["machines"] = machines
    if admins != secret.admins:
        changes["admins"] = admins
    return changes


def _agreed(draft: Draft, name: str, data: bytes) -> tuple[Secret, bytes]:
    """The secret that a file's bytes describe, if it makes sense beside all else; the draft holds it then."""
    if not is_name(name):
        hint = "use lower-case letters, digits and single hyphens, a letter first; at most 30"
        raise HentouError(f"{name!r} is not a name", hint)
    file, problems = yaml_file(name), list[Problem]()
    document = parse(file, data, problems)
    secret = validated(Secret, inject(Secret, document.data, name), document, problems) if document else None
    if secret and document and not problems:
        draft.documents[file], draft.secrets[name] = document, secret
        draft.files |= {file, value_file(name)}
        found = [problem for rule in secret_rules.TERMS for problem in rule(draft)]
        problems += [problem for problem in found if problem.path == file]
    if problems or secret is None:
        raise _unfit(problems)
    return secret, data


def _unfit(problems: Iterable[Problem]) -> HentouError:
    """The first problem of terms that were given on a command line, where no file shows them."""
    first = next(iter(sorted(problems)))
    return HentouError(first.message, first.hint)


def _write(repository: Path, draft: Draft, secret: Secret, data: bytes, value: bytes) -> tuple[str, ...]:
    found = readers(draft, secret)
    if not found:
        hint = "name a machine that is enrolled, or an admin with an age key or an SSH key that age can use"
        raise HentouError(f"nobody could read {secret.name}", hint)
    notes = tuple(dict.fromkeys((*secret.read_by, *(reader.note for reader in found))))
    data = flat.edit(yaml_file(secret.name), data, {"rotated": secret.rotated or None, "read_by": notes})
    ciphertext = encrypt(value, [reader.key for reader in found])
    top = repository.resolve()
    folder = top / FOLDER
    folder.mkdir(exist_ok=True)
    owner = top.stat()
    disk = Disk()
    for file, content in ((value_file(secret.name), ciphertext), (yaml_file(secret.name), data)):
        disk.replace(str(top / file), content, 0o644, owner.st_uid, owner.st_gid)
    return value_file(secret.name), yaml_file(secret.name)
