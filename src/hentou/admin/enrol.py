"""Enrolment: a machine's public halves become `keys/MACHINE.yaml`, with a certificate, in one commit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hentou import compose
from hentou.admin import secrets
from hentou.admin.authority import FILES, authority
from hentou.admin.commits import all_or_nothing, commit
from hentou.effects import clock, web
from hentou.effects.process import harmless, run
from hentou.effects.tree import DirectoryTree
from hentou.errors import HentouError
from hentou.model.types import Collective, Keys, Machine
from hentou.model.validate import misfits
from hentou.trust import identity, pki

PORT = 8425
"""Where a machine that is not enrolled yet shows who it is, to its own network."""


def ask(source: str, read: Callable[[], bytes] | None = None) -> dict[str, object]:
    """What a machine says of itself: from a file, an http:// or ssh:// address, or from `read`. Not believed yet."""
    if read is not None:
        data = read()
    elif source.startswith("http://"):
        data = web.get(source, identity.LONGEST, default=PORT)
    elif source.startswith("ssh://"):
        data = _over_ssh(source)
    else:
        data = _from_file(Path(source))
    return parse(data, source)


def parse(data: bytes, source: str) -> dict[str, object]:
    """What `hentou identity --json` printed; HentouError, which names `source`, when it is something else."""
    try:
        said = json.loads(data) if len(data) <= identity.LONGEST else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise HentouError(f"{source} is no identity", "give what `hentou identity --json` prints on the machine")
    return said


def _from_file(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(identity.LONGEST + 1)
    except OSError as error:
        raise HentouError(
            f"{file}: {error.strerror}", "give what `hentou identity --json` prints on the machine"
        ) from error


def _over_ssh(address: str) -> bytes:
    """Ask over SSH; the code is compared all the same, so that this connection need not be trusted."""
    # Nobody knows yet who answers there: nothing of this person's, such as the agent of their keys, is forwarded.
    closed = ("ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes", "PermitLocalCommand=no", "Tunnel=no")
    options = ["-T", *(word for value in ("StrictHostKeyChecking=accept-new", *closed) for word in ("-o", value))]
    done = run(["ssh", *options, "--", address, _IDENTITY], check=False, timeout=60)
    if done.status:
        said = harmless(done.stderr).strip().splitlines()[-1:] or [f"ssh ended with status {done.status}"]
        raise HentouError(f"{address}: {said[0]}", f"try it alone: ssh {address} sudo hentou identity --json")
    return done.raw


_IDENTITY = 'if [ "$(id -u)" = 0 ]; then hentou identity --json; else sudo -n hentou identity --json; fi'


@dataclass(frozen=True)
class Enrolled:
    """What an enrolment did: its commit, whether the machine was enrolled before, and the kinds of keys then new."""

    commit: str
    code: str
    replaced: bool
    fresh: tuple[str, ...] = ()


def record(
    said: Mapping[str, object], collective: Collective, authority_key: bytes, authority_pem: bytes, now: datetime
) -> bytes:
    """The text of `keys/MACHINE.yaml` for what a machine said of itself; HentouError when it cannot be right."""
    machine = member(collective, str(said.get("machine", "")))
    identity.fingerprint(said)
    keys = {name: " ".join(str(said[name]).split()[:2]) for name in ("wireguard", "ssh_host", "journal", "age")}
    if wrong := misfits(Keys, keys):
        field = ".".join(map(str, wrong[0]["loc"]))
        raise HentouError(f"{machine.name} said no {field} that can be one", "ask it again: `hentou identity --json`")
    domain = collective.site_domain(machine.site)
    issuer = pki.sign_issuer(str(said["csr"]).encode(), domain, authority_key, authority_pem, now)
    lines = [f"{name}: {value}" for name, value in keys.items()]
    lines += ["certificate: |", *(f"  {line}" for line in issuer.decode().splitlines())]
    return ("\n".join(lines) + "\n").encode()


def member(collective: Collective, name: str) -> Machine:
    """A machine that the collective administers; HentouError when it has none of that name."""
    machine = collective.machines.get(name)
    if machine is None or machine.external is not None:
        raise compose.unknown_machine(collective, name)
    return machine


def enrol(
    repository: Path,
    machine: str,
    said: Mapping[str, object],
    *,
    replace: bool = False,
    identities: Sequence[Path] | None = None,
    now: datetime | None = None,
) -> Enrolled:
    """Write a machine's keys into a working copy and commit them, and nothing else.

    Whether `said` is that machine's own word must be known before: compare its code. With `replace`, keys that are
    there already are out. `identities` are private keys that read secrets (None: the usual ones).
    HentouError when the keys do not fit the collective, which is then left as it was.
    """
    collective = compose.load(DirectoryTree(repository))
    member(collective, machine)
    if said.get("machine") != machine:
        raise HentouError(
            f"this is the identity of {said.get('machine')!r}, not of {machine!r}",
            "enrol it under the name that it bears, or write the other one into /etc/hentou/machine there",
        )
    before = collective.keys.get(machine)
    if before is not None and not replace:
        raise HentouError(
            f"{machine} is enrolled already",
            "if it was installed anew or replaced, add --replace: its old keys are then out",
        )
    now = now or clock.now()
    name = f"keys/{machine}.yaml"
    with all_or_nothing(repository, "keys", "secrets"):
        found = authority(repository, identities, now)
        (repository / name).write_bytes(record(said, collective, found.key, found.certificate, now))
        granted = _grant(repository, collective, machine, identities)
        _check(repository, granted)
    files = (name, *FILES, *granted.files)
    code, anew = identity.code(said), before is not None
    head = commit(repository, f"Enrol {machine} {'anew ' if anew else ''}({code})", files)
    return Enrolled(head, code, anew, _fresh(before, said) if before else ())


def _fresh(before: Keys, said: Mapping[str, object]) -> tuple[str, ...]:
    """Which kinds of keys are not those that the machine had before."""
    kinds = ("wireguard", "ssh_host", "journal", "age")
    return tuple(k for k in kinds if str(getattr(before, k)).split()[:2] != str(said[k]).split()[:2])


def _grant(
    repository: Path, collective: Collective, machine: str, identities: Sequence[Path] | None
) -> secrets.Regranted:
    """Let a machine read its secrets: encrypt them for its new key."""
    if not any(machine in secret.machines for secret in collective.secrets.values()):
        return secrets.Regranted()
    return secrets.regrant(repository, identities)


def _check(repository: Path, granted: secrets.Regranted) -> None:
    """HentouError where the collective would be wrong, such as with a key that another machine has."""
    if granted.refused:
        name, why = min(granted.refused.items())
        raise HentouError(f"the secret {name} cannot be encrypted for it: {why}", "have an admin enrol it who can")
    compose.load(DirectoryTree(repository))
