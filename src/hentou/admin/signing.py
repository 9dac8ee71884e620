"""Which key an admin signs with, whose it is, and signatures made with it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hentou.admin.workcopy import WorkCopy
from hentou.effects import sshsig
from hentou.effects.process import run
from hentou.errors import HentouError
from hentou.trust.roster import Roster, fingerprint
from hentou.trust.statement import NAMESPACE, Statement

_USUAL = ("id_ed25519.pub", "id_ed25519_sk.pub", "id_ecdsa_sk.pub", "id_ecdsa.pub", "id_rsa.pub")


@dataclass(frozen=True)
class Signer:
    """A key that the roster knows: `file` is what OpenSSH is given, a private key or an agent's public one."""

    person: str
    file: Path
    fingerprint: str
    public: str = ""

    def sign(self, statement: Statement) -> str:
        """The armoured signature of a statement; HentouError when OpenSSH refuses."""
        return sshsig.sign(self.file, NAMESPACE, statement.data)


def choose(
    copy: WorkCopy,
    roster: Roster,
    key: Path | None = None,
    coming: Roster | None = None,
    signed: frozenset[str] = frozenset(),
) -> Signer:
    """The key to sign with: `key`, else git's `user.signingkey`, else one of the agent's or ~/.ssh that the roster
    knows, or the roster that is `coming`. HentouError that says which were looked at.

    One that adds a person to those who `signed` goes first, then one of the present roster.
    """
    tried: list[str] = []
    rosters = (roster, coming) if coming else (roster,)
    useless: Signer | None = None
    later: Signer | None = None
    for name, file, public in _candidates(copy, key):
        if not public:
            tried.append(f"{name} (no public key there)")
            continue
        print_ = fingerprint(public)
        whose = next((people for r in rosters if (people := r.signers({print_}))), None)
        if not whose:
            tried.append(f"{name} ({print_})")
            continue
        signer = Signer(min(whose), file or _kept(copy, public, print_), print_, public)
        if not adds(rosters, signed, print_):
            useless = useless or signer
        elif roster.signers({print_}):
            return signer
        else:
            later = later or signer
    if found := later or useless:
        return found
    looked = f"looked at {'; '.join(tried)}" if tried else "there is none in ~/.ssh, and no agent holds one"
    hint = "give one with --key FILE, or set it: git config user.signingkey ~/.ssh/id_ed25519.pub"
    raise HentouError(f"no key of the roster to sign with: {looked}", hint)


def adds(rosters: Iterable[Roster], signed: Iterable[str], key: str) -> bool:
    """Whether a key's signature adds a person, by any of these rosters, to those whose keys signed."""
    before = frozenset(signed)
    return any(roster.signers({key}) - roster.signers(before) for roster in rosters)


def ssh_key(copy: WorkCopy, key: Path | None) -> Path | None:
    """The key to show to machines where a person signs with `key`: one that only comes opens none of them yet."""
    if key is None:
        return None
    trust = copy.trust
    public = _from_file(key.expanduser().absolute())[2]
    print_ = fingerprint(public) if public else ""
    return key if trust is None or trust.roster.signers({print_}) else None


def _candidates(copy: WorkCopy, key: Path | None) -> Iterator[tuple[str, Path | None, str]]:
    """Keys in their order: what people call each, the file that OpenSSH is given, and the public key."""
    if key is not None:
        yield _from_file(key.expanduser().absolute())
        return
    if noted := copy.setting("user.signingkey"):
        if noted.startswith(("ssh-", "ecdsa-", "sk-", "key::")):
            yield "git's user.signingkey", None, noted.removeprefix("key::")
        else:
            yield _from_file(Path(noted).expanduser())
    listed = run(["ssh-add", "-L"], check=False, timeout=10) if "SSH_AUTH_SOCK" in os.environ else None
    for line in listed.stdout.splitlines() if listed and not listed.status else ():
        yield "the agent's key", None, line
    for name in _USUAL:
        if (file := Path.home() / ".ssh" / name).exists():
            yield _from_file(file)


def _from_file(file: Path) -> tuple[str, Path, str]:
    """A private key, or a public one beside which the private one may be."""
    private = file.with_suffix("") if file.suffix == ".pub" else file
    public = file if file.suffix == ".pub" else Path(f"{file}.pub")
    text = ""
    if public.exists():
        text = public.read_text(errors="replace").strip()
    elif private.exists():
        # One with a passphrase keeps its public half to itself: that needs the file beside it.
        told = run(["ssh-keygen", "-y", "-P", "", "-f", private], check=False, timeout=10)
        text = told.stdout.strip()
    return str(file), private if private.exists() else public, text


def _kept(copy: WorkCopy, public: str, print_: str) -> Path:
    """A file with a public key that only the agent has: ssh-keygen asks for one."""
    name = f"hentou/{print_.removeprefix('SHA256:').replace('/', '_').replace('+', '-')}.pub"
    copy.write(name, f"{public}\n".encode())
    return Path(copy.file(name))
