"""The people of a lab's roster, each with a key made here: nobody holds the private halves of an example's keys."""

from __future__ import annotations

from pathlib import Path

from hentou.effects.process import run
from hentou.effects.tree import DirectoryTree
from hentou.model.load import read_roster
from hentou.model.types import Roster


class Signers:
    """Keys of a roster's people, made when first asked for, in a directory for root alone."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def key(self, person: str, name: str = "") -> Path:
        """A person's private key; with `name`, another one of theirs. The public half lies beside it, in `.pub`."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = self.directory / (f"{person}-{name}" if name else person)
        if not key.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{key.name}@lab", "-f", key])
        return key

    def public(self, person: str, name: str = "") -> str:
        """The line for roster.yaml."""
        return self.key(person, name).with_suffix(".pub").read_text().strip()

    def adopt(self, person: str, name: str) -> None:
        """From now on a person's key is the one called so."""
        new, old = self.key(person, name), self.key(person)
        for suffix in ("", ".pub"):
            Path(f"{new}{suffix}").replace(f"{old}{suffix}")

    def take_over(self, repository: Path) -> None:
        """Give everybody of a working copy's roster their key of this lab instead of those written there."""
        old = read_roster(DirectoryTree(repository).read("roster.yaml", 2**20))
        (repository / "roster.yaml").write_text(self.roster(old))

    def roster(self, found: Roster) -> str:
        """A roster.yaml with the same people and thresholds, and this lab's keys."""
        lines = ["# The lab's own keys, in place of those that the example names.", f"epoch: {found.epoch}"]
        lines.append(f"threshold: {found.threshold}")
        if found.root_threshold:
            lines.append(f"root_threshold: {found.root_threshold}")
        lines.append("admins:")
        for person in found.admins:
            lines += [f"  {person}:", f"    - {self.public(person)}"]
        return "\n".join(lines) + "\n"
