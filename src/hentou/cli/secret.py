"""`hentou secret`: passwords and keys, encrypted in the repository for exactly those who need them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from hentou.admin import authority, identities, secrets
from hentou.admin.commits import commit
from hentou.admin.generators import Made, make
from hentou.admin.workcopy import WorkCopy
from hentou.cli.output import as_json, note, out, say
from hentou.effects.process import interactive
from hentou.errors import HentouError
from hentou.model.draft import Draft
from hentou.model.secrets import AUTHORITY, Stale, by_note, readers, remedy, stale
from hentou.model.shape import did_you_mean
from hentou.model.types import Secret

app = typer.Typer(
    help="Keep passwords and keys, each for exactly those who need it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A secret's name.")]
Repository = Annotated[Path, typer.Option("--repository", "-C", help="The collective's working copy.")]
Key = Annotated[
    list[Path] | None, typer.Option("--key", "-i", help="A private key that reads secrets; yours by default.")
]
NoCommit = Annotated[bool, typer.Option("--no-commit", help="Write the files, and leave the commit to you.")]


@app.command("set")
def set_(
    name: Name,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What holds the value; `-` is standard input.")] = "",
    machine: Annotated[list[str] | None, typer.Option(help="A machine that needs it; once for each.")] = None,
    no_machine: Annotated[bool, typer.Option("--no-machine", help="No machine needs it any more.")] = False,
    admin: Annotated[list[str] | None, typer.Option(help="An admin who may read it; once for each.")] = None,
    no_admin: Annotated[bool, typer.Option("--no-admin", help="No admin may read it, only machines.")] = False,
    all_admins: Annotated[bool, typer.Option("--all-admins", help="All admins may read it, as at first.")] = False,
    generate: Annotated[str, typer.Option(metavar="SPEC", help="Make the value: `password 24`, `hex 32`…")] = "",
    path: Annotated[str, typer.Option(help="Where machines put it; in memory by default.")] = "",
    owner: Annotated[str, typer.Option(help="The account that may read it there.")] = "",
    group: Annotated[str, typer.Option(help="The group that may read it there, with mode 0440.")] = "",
    mode: Annotated[str, typer.Option(help="Its permissions there: 0400 or 0440.")] = "",
    unit: Annotated[str, typer.Option(help="A systemd unit to restart when it changes.")] = "",
    repository: Repository = Path(),
    key: Key = None,
    no_commit: NoCommit = False,
) -> None:
    """Make a secret, give it a new value, or change who needs it.

    The value is read from FILE, or typed without being shown, or made with --generate; never from the command
    line, which every program on this computer can see. What FILE holds is kept to the byte, a last newline too.
    Without a value, the options change an existing secret, which keeps its value.

    Generators: `password N` (letters and digits), `passphrase N` (words), `hex N` and `base64 N` (bytes),
    `ssh-ed25519`, `age` and `wireguard` (private keys; the public half is printed).

    Examples: hentou secret set wifi --machine kerminy-1 --generate "password 24"
              hentou secret set smtp --machine vps-1 --owner postfix --unit postfix.service
              pass show registrar | hentou secret set registrar - --admin yuna
    """
    terms = _terms({"generator": generate, "path": path, "owner": owner, "group": group, "mode": mode, "unit": unit})
    terms |= _lists(machine, no_machine=no_machine, admin=admin, no_admin=no_admin, all_admins=all_admins)
    _committable(repository, no_commit)
    known = name in secrets.survey(repository).secrets
    if known and terms and not (file or generate):
        files = secrets.amend(repository, name, key or None, **terms)
        _done(repository, f"Secret {name}: other terms", files, no_commit=no_commit)
        return
    made = make(generate) if generate else Made(_value(name, file))
    if name == AUTHORITY:
        authority.keep(repository, made.value)
    files = secrets.put(repository, name, made.value, identities=key or None, **terms)
    if made.public:
        say(f"public half: {made.public}")
    _done(repository, f"Secret {name}: new value", files, no_commit=no_commit)


def _terms(given: dict[str, str]) -> secrets.Terms:
    found = secrets.Terms()
    for option, value in given.items():
        if value:
            found[option] = value  # type: ignore[literal-required]
    return found


def _lists(
    machine: Sequence[str] | None, *, no_machine: bool, admin: Sequence[str] | None, no_admin: bool, all_admins: bool
) -> secrets.Terms:
    if bool(machine) + no_machine > 1 or bool(admin) + no_admin + all_admins > 1:
        raise HentouError("options that say the opposite of each other", "give one of them")
    found = secrets.Terms()
    if machine or no_machine:
        found["machines"] = tuple(machine or ())
    if admin or no_admin or all_admins:
        found["admins"] = None if all_admins else tuple(admin or ())
    return found


def _value(name: str, file: str) -> bytes:
    if not file and sys.stdin.isatty():
        typed: str = typer.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True)
        return typed.encode()
    value = sys.stdin.buffer.read() if file in ("", "-") else Path(file).read_bytes()
    if not value:
        raise HentouError(f"the value of {name} would be empty", "give a FILE, or `-` and pipe it in")
    return value


def _committable(repository: Path, no_commit: bool) -> None:
    """Before anything is written: whether it could be committed."""
    if not no_commit:
        _ = WorkCopy(repository.resolve()).store


def _done(repository: Path, message: str, files: Sequence[str], *, no_commit: bool) -> None:
    if not files:
        say("nothing to change")
    elif no_commit:
        say(f"written: {', '.join(files)}")
        say("  → next: commit these files, then `hentou publish`", "bold")
    else:
        head = commit(repository.resolve(), message, files)
        say(f"{message}: commit {head[:12]}")
        say("  → next: `hentou publish`", "bold")


@app.command()
def edit(name: Name, repository: Repository = Path(), key: Key = None, no_commit: NoCommit = False) -> None:
    """Change a secret in your editor.

    The file that $EDITOR opens is in memory, is yours alone, and is overwritten and removed after. Keep your
    editor from writing copies elsewhere. Nothing happens if you change nothing.

    Example: hentou secret edit smtp
    """
    _committable(repository, no_commit)
    if name == AUTHORITY:
        authority.keep(repository)
    files = secrets.edit(repository, name, _editor, key or None)
    _done(repository, f"Secret {name}: new value", files, no_commit=no_commit)


def _editor(file: Path) -> None:
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    if status := interactive([*command, file]):
        raise HentouError(f"{command[0]} ended with status {status}: nothing was changed", "set EDITOR to your editor")


@app.command()
def show(name: Name, repository: Repository = Path(), key: Key = None) -> None:
    """Print a secret's value, exactly as it is.

    Example: hentou secret show wifi
    """
    sys.stdout.buffer.write(secrets.read(repository, name, key or None))
    sys.stdout.buffer.flush()
    if sys.stdout.isatty():
        print()


@app.command()
def rotate(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Secrets to rotate.")] = None,
    all_stale: Annotated[bool, typer.Option("--all-stale", help="All that somebody knows who should not.")] = False,
    repository: Repository = Path(),
    no_commit: NoCommit = False,
) -> None:
    """Give secrets new values by their generators.

    A secret that somebody could read who may not any more is red until this was done: to encrypt it again does
    not make them forget. What was made elsewhere, such as a registrar's password, is changed there first, and
    then here with `hentou secret set NAME`.

    Exit status: 0 all were rotated; 1 some have no generator.

    Examples: hentou secret rotate wifi
              hentou secret rotate --all-stale
    """
    wanted = dict.fromkeys(names or ())
    red = [found.secret for found in stale(secrets.survey(repository))] if all_stale else []
    # It is no value among others: who means it names it, and is told what to do.
    wanted |= dict.fromkeys(name for name in red if name != AUTHORITY)
    if not wanted and not all_stale:
        raise HentouError("no secret is named", "name one, or give --all-stale")
    _committable(repository, no_commit)
    files: list[str] = []
    left: list[HentouError] = []
    for name in wanted:
        try:
            if name == AUTHORITY:
                authority.keep(repository)
            made, written = secrets.rotate(repository, name)
        except HentouError as error:
            left.append(error)
            continue
        files += written
        if made.public:
            say(f"{name}: new public half: {made.public}")
    rotated = [name for name in wanted if f"secrets/{name}.age" in files]
    _done(repository, f"Secrets rotated: {', '.join(rotated)}", files, no_commit=no_commit)
    for line in remedy(name for name in red if name == AUTHORITY):
        say(f"  → {line}", "yellow")
    for fault in left:
        say(fault.message, "red")
        say(f"  → {fault.hint}", "bold")
    if left:
        raise typer.Exit(1)


@app.command()
def rekey(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Secrets; all that need it.")] = None,
    repository: Repository = Path(),
    key: Key = None,
    no_commit: NoCommit = False,
) -> None:
    """Encrypt secrets again for those who may read them now.

    That is what a new machine, a new admin or a new key waits for. Machines and admins who are gone are taken out
    of the secrets' lists. Values stay the same, so that whoever could read one still knows it: see `rotate`.

    Example: hentou secret rekey
    """
    _committable(repository, no_commit)
    if names:
        files = tuple(file for name in names for file in secrets.rekey(repository, name, key or None))
        refused = {}
    else:
        done = secrets.regrant(repository, key or None)
        files, refused = done.files, dict(done.refused)
    _done(repository, "Secrets encrypted again for those who may read them", files, no_commit=no_commit)
    for name, reason in refused.items():
        say(f"{name}: {reason}", "red")
    if refused:
        raise typer.Exit(1)


@app.command()
def remove(name: Name, repository: Repository = Path(), no_commit: NoCommit = False) -> None:
    """Remove a secret: machines take it away at their next change.

    Whoever could read it still knows it, and the repository's history holds it: make it worthless where it is
    used first.

    Example: hentou secret remove wifi
    """
    _committable(repository, no_commit)
    files = secrets.remove(repository, name)
    _done(repository, f"Secret {name}: removed", files, no_commit=no_commit)


@app.command()
def key() -> None:
    """Make an age key of your own, and print its public half.

    For admins whose SSH keys cannot decrypt: keys in hardware, ECDSA, and keys that only an agent has. The private
    half stays on this computer, in ~/.config/hentou/age.key; keep a copy of it somewhere safe.

    Example: hentou secret key
    """
    public = identities.make_own()
    say(public)
    note(f"private half: {identities.own_key()}")
    note(f"  → next: write `age: [{public}]` to your file in people/, publish, and have another admin")
    note("    run `hentou secret rekey`; do it yourself if your SSH key can still read")


@app.command()
def who(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="A secret, a person or a machine; all without.")] = "",
    repository: Repository = Path(),
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show who can read what, and who ever could.

    Red is whoever could read the present value and may not any more: they left, lost the right or a key, or were
    struck out. It stays red until the secret is rotated.

    Examples: hentou secret who
              hentou secret who kerminy-1
    """
    draft = secrets.survey(repository)
    found = [secret for _, secret in sorted(draft.secrets.items()) if not what or _concerns(draft, secret, what)]
    if what and not found and what not in _names(draft):
        raise HentouError(f"no secret, admin or machine is called {what}", did_you_mean(what, _names(draft), _all()))
    red = [item for item in stale(draft) if item.secret in {secret.name for secret in found}]
    if json:
        as_json([_record(draft, secret, red) for secret in found])
        return
    if not found:
        say(_nothing(draft, what))
        return
    table = Table("secret", "since", "admins", "machines", "knew it")
    for secret in found:
        now = [(reader.kind, reader.name) for reader in readers(draft, secret)]
        knew = Text(", ".join(f"{item.who} ({item.why})" for item in red if item.secret == secret.name), "red")
        table.add_row(secret.name, secret.rotated, _of(now, "admin"), _of(now, "machine"), knew)
    out.print(table)
    for line in remedy(item.secret for item in red):
        say(f"  → next: {line}", "bold")


def _concerns(draft: Draft, secret: Secret, what: str) -> bool:
    now = {reader.name for reader in readers(draft, secret)}
    return what == secret.name or what in now or what in {name for _, name in by_note(secret.read_by)}


def _nothing(draft: Draft, what: str) -> str:
    """What to say of whoever reads no secret."""
    if waiting := sorted(secret.name for secret in draft.secrets.values() if what and what in secret.machines):
        return f"{what} can read {', '.join(waiting)} once it is enrolled and `hentou secret rekey` was run"
    return f"{what} can read no secret, and never could" if what else "no secrets"


def _names(draft: Draft) -> list[str]:
    return sorted({*draft.secrets, *draft.admin_names, *draft.people_names, *draft.machine_sites})


def _all() -> str:
    return "`hentou secret who` shows all"


def _of(readers_now: Sequence[tuple[str, str]], kind: str) -> str:
    return ", ".join(dict.fromkeys(name for its_kind, name in readers_now if its_kind == kind))


def _record(draft: Draft, secret: Secret, red: Sequence[Stale]) -> dict[str, object]:
    now = [(reader.kind, reader.name) for reader in readers(draft, secret)]
    return {
        "name": secret.name,
        "rotated": secret.rotated,
        "generator": secret.generator,
        "readers": [f"{kind} {name}" for kind, name in dict.fromkeys(now)],
        "ever": [f"{kind} {name}" for kind, name in by_note(secret.read_by)],
        "stale": [{"who": item.who, "why": item.why} for item in red if item.secret == secret.name],
    }
