"""Statements as an attacker would make them, put into a machine's inbox as somebody who got in as an admin could."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hentou.effects import sshsig
from hentou.effects.gitstore import GitStore
from hentou.effects.process import run
from hentou.lab.lab import Machine
from hentou.ledger import statements
from hentou.ledger.statements import Kept
from hentou.trust.acceptance import Trust
from hentou.trust.statement import NAMESPACE, Statement

INBOX = "var/lib/hentou/inbox.git"


class Forger:
    """Somebody with a clone of everything that a machine holds, and keys of their choice."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine = machine
        self.store = GitStore.init(folder)
        why = self.store.fetch(machine.root / "var/lib/hentou/repo.git", ["+refs/*:refs/*"], seconds=60, size=2**28)
        assert not why, why
        self.trust = Trust.parse((machine.root / "var/lib/hentou/trust.json").read_bytes())
        self.last = self.store.get(statements.REF)

    def commit(self, parent: str = "", date: str = "@0 +0000", **files: bytes) -> str:
        """A commit on the accepted head (or another parent) with some of its files replaced."""
        parent = parent or self.trust.head
        tree = self.store.git("ls-tree", "-r", "-z", parent).stdout.split("\0")[:-1]
        lines = {line.split("\t")[1]: line for line in tree}
        for name, data in files.items():
            path = name.replace("__", ".")
            blob = self.store.git("hash-object", "-w", "--stdin", stdin=data).stdout.strip()
            lines[path] = f"100644 blob {blob}\t{path}"
        index = {"GIT_INDEX_FILE": str(self.store.path / "forged-index")}
        Path(index["GIT_INDEX_FILE"]).unlink(missing_ok=True)
        entries = "".join(f"{line}\0" for line in lines.values())
        self.store.git("update-index", "-z", "--add", "--index-info", stdin=entries, env=index)
        made = self.store.git("write-tree", env=index).stdout.strip()
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in
               (("NAME", "x"), ("EMAIL", "x@x"), ("DATE", date))}  # fmt: skip
        return self.store.git("commit-tree", made, "-p", parent, stdin="forged", env=who).stdout.strip()

    def statement(self, head: str, **changes: object) -> Statement:
        """The statement that would rightly come next, changed."""
        trust = self.trust
        right = Statement(trust.repository, trust.sequence + 1, (trust.statement,), head, trust.roster.epoch)
        return replace(right, **changes)  # type: ignore[arg-type]

    def sign(
        self,
        statement: Statement,
        keys: Iterable[Path],
        namespace: str = NAMESPACE,
        data: bytes = b"",
        parents: Sequence[str] | None = None,
    ) -> Kept:
        """The statement with signatures by these keys, as a commit after the last one, or after `parents`."""
        signatures = [sshsig.sign(key, namespace, data or statement.data) for key in keys]
        after = ([self.last] if self.last else []) if parents is None else parents
        return statements.write(self.store, statement, signatures, after)

    def beside(self, head: str, keys: Iterable[Path]) -> Kept:
        """A statement for the step that is accepted already, as rightly signed, but for another head."""
        accepted = statements.read(self.store, self.last).statement
        return self.sign(replace(accepted, head=head), keys, parents=self.store.parents(self.last))

    def send(self, kept: Kept, name: str = "mallory") -> None:
        """Push it into the inbox, with the head that it speaks of if there is one."""
        refs = [f"+{kept.commit}:{statements.PROPOSALS}/{name}"]
        head = kept.statement.head
        if not self.store.git("cat-file", "-e", head, check=False).status:
            refs.append(f"+{head}:refs/hentou/heads/{head}")
        safe = ["-c", "safe.directory=*"]
        run(["git", *safe, "--git-dir", self.store.path, "push", "--quiet", self.machine.root / INBOX, *refs])
