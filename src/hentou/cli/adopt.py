"""`hentou adopt`: keep a hand edit on a machine; or, from an admin's laptop, take a whole machine in."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hentou.agent.edits import adopt as keep
from hentou.agent.edits import chosen
from hentou.agent.host import Host
from hentou.agent.local import machines_only
from hentou.cli.output import as_json, note, say
from hentou.errors import HentouError

if TYPE_CHECKING:
    from hentou.admin.adopt import Address

_LET_GO = "the repository no longer has it: after `hentou converge` it is nobody's but yours"


def adopt(
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATH|ssh://HOST", help="Edited files, all by default; or a machine.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the patch to this file.")] = None,
    machine: Annotated[str, typer.Option("--as", metavar="MACHINE", help="Which machine this is to be.")] = "",
    fingerprint: Annotated[
        str, typer.Option(metavar="SHA256:…", help="Of its SSH host key, as you know it; asked for without it.")
    ] = "",
    replace: Annotated[bool, typer.Option("--replace", help="It was enrolled before: those keys are out.")] = False,
    repository: Annotated[Path, typer.Option("--repository", "-C", help="The collective's working copy.")] = Path(),
    key: Annotated[Path | None, typer.Option("--key", "-i", help="A private key, for SSH and for secrets.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="A bundle to install, in place of a new one.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Take in hand edits, or a machine that is reached by SSH.

    On a machine: keep hand edits, and print the patch for the repository. A file that copies one of the repository
    changes that one; any other becomes overrides/MACHINE/PATH. From now on converging leaves the edited files
    alone, until the repository has them.

    On an admin's laptop, with ssh://[USER@]HOST[:PORT]: install hentou on a machine that runs Debian 13, tell it
    whom it obeys, and enrol its keys in one commit. USER is root by default, or somebody whom sudo asks no
    password. The machine's SSH host key vouches for it: compare its fingerprint with what the machine or its
    provider shows. Running it again updates hentou there.

    Examples: hentou adopt /etc/motd | ssh laptop 'cd pilot && git apply'
              hentou adopt -o edits.patch
              hentou adopt ssh://root@192.168.1.63 --as kerminy-1
              hentou adopt ssh://debian@203.0.113.10 --as vps-1 --fingerprint SHA256:YD0Y…
    """
    given = paths or []
    if any(path.startswith("ssh://") for path in given):
        if len(given) != 1 or not machine:
            raise HentouError(
                "one machine is adopted at a time, under the name that the collective has for it",
                "hentou adopt ssh://root@HOST --as MACHINE",
            )
        _machine(given[0], machine, repository.resolve(), fingerprint, key, bundle, replace=replace, json=json)
    else:
        _edits(given, output)


def _edits(paths: list[str], output: Path | None) -> None:
    host = Host()
    machines_only(host.disk)
    with host.store.lock():
        entries = chosen(host, tuple(paths))
        patches = {entry.path: keep(host, entry) for entry in entries}
    patch = "".join(patches.values())
    if output:
        output.write_text(patch)
    else:
        typer.echo(patch, nl=False)
    for path, found in patches.items():
        note(f"{path}: kept; {'apply the patch in the repository, commit and push' if found else _LET_GO}")
    if not entries:
        note("nothing was edited by hand")


def _machine(
    text: str,
    machine: str,
    repository: Path,
    fingerprint: str,
    key: Path | None,
    bundle: Path | None,
    *,
    replace: bool,
    json: bool,
) -> None:
    # Only an admin's laptop has what follows.
    from hentou.admin.adopt import Address, Adoption, host_key, root_on  # noqa: PLC0415
    from hentou.lab.bundle import build_bundle, source_root  # noqa: PLC0415

    address = Address.parse(text)
    shown = host_key(address)
    _believe(address, shown, fingerprint)
    own = key or _own_key(repository)
    with root_on(address, machine, shown, own, interactive=sys.stdin.isatty()) as root:
        adoption = Adoption(repository, machine, root, note)
        newcomer = adoption.examine()
        built = bundle or build_bundle(source_root() / "build" / f"bundle-{newcomer.arch}", newcomer.arch, note)
        adoption.install(built, newcomer)
        done = adoption.enrol(shown, replace=replace, identities=[key] if key else None)
    adoption.note(address)
    if json:
        commit = done.enrolled.commit if done.enrolled else ""
        as_json({"machine": machine, "commit": commit, "step": done.step})
        return
    if done.enrolled is None:
        say(f"{machine} has this hentou now, and was enrolled before")
        return
    from hentou.cli.enrol import tell  # noqa: PLC0415

    tell(machine, done.enrolled)


def _own_key(repository: Path) -> Path | None:
    """The key that this admin signs with, which is likely the one that was given to the provider; None for none."""
    from hentou.admin.signing import choose  # noqa: PLC0415
    from hentou.admin.workcopy import WorkCopy  # noqa: PLC0415

    copy = WorkCopy(repository)
    with suppress(HentouError):
        return choose(copy, copy.roster_at(copy.head)).file
    return None


def _believe(address: Address, key: str, wanted: str) -> None:
    """Go on only if the host key is the machine's: by a fingerprint that was given, by known_hosts, or by a person."""
    from hentou.admin.adopt import check_key, known  # noqa: PLC0415
    from hentou.trust.roster import fingerprint  # noqa: PLC0415

    note(f"{address.host} has the SSH host key {fingerprint(key)}")
    if wanted:
        check_key(key, wanted)
    elif known(address, key):
        note("it is in your known_hosts")
    elif not sys.stdin.isatty():
        raise HentouError(
            f"nobody has compared the host key of {address.host}",
            "give the fingerprint that it shows on its own screen: --fingerprint SHA256:…",
        )
    elif not typer.confirm("Is that what the machine, or its provider, shows?", err=True):
        raise HentouError("then it is another machine", "find out who answers at that address")
