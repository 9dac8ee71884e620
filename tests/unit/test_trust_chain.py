"""Attacks on what a machine trusts, from end to end: Git's objects and OpenSSH's keys, statements as they travel."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hentou.effects import gitstore, sshsig
from hentou.effects.gitstore import GitStore
from hentou.errors import HentouError
from hentou.ledger import statements
from hentou.ledger.statements import Kept
from hentou.trust.acceptance import RefusedError, Trust, Why
from hentou.trust.roster import Roster, fingerprint
from hentou.trust.statement import NAMESPACE, REF, Statement

pytestmark = pytest.mark.integration

REPOSITORY = "0123456789abcdef" * 2


@cache
def _folder() -> Path:
    import tempfile

    return Path(tempfile.mkdtemp(prefix="hentou-keys-"))


@cache
def key(name: str) -> Path:
    """A private key; its kind is the start of its name."""
    kind = name.split("-", maxsplit=1)[0]
    path = _folder() / name
    bits = {"rsa": ["-b", "2048"], "ecdsa": ["-b", "256"]}.get(kind, [])
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *bits, "-N", "", "-C", name, "-f", path], check=True)
    return path


def public(name: str) -> str:
    return key(name).with_suffix(".pub").read_text().strip()


YUNA, YUNA_TOO, ERWAN, MALLORY = "ed25519-yuna", "rsa-yuna", "ecdsa-erwan", "ed25519-mallory"


def roster_yaml(*, epoch: int = 1, threshold: int = 2, root: int = 2, erwan: str = ERWAN) -> bytes:
    return (
        f"epoch: {epoch}\nthreshold: {threshold}\nroot_threshold: {root}\nadmins:\n"
        f"  yuna:\n    - {public(YUNA)}\n    - {public(YUNA_TOO)}\n  erwan:\n    - {public(erwan)}\n"
    ).encode()


class World:
    """A repository of statements and heads, and what one machine has accepted of it: one step."""

    def __init__(self, path: Path) -> None:
        self.store = GitStore.init(path)
        admins = {"yuna": frozenset(map(_print, (YUNA, YUNA_TOO))), "erwan": frozenset({_print(ERWAN)})}
        self.fresh = Trust(REPOSITORY, 0, "", "", Roster(1, 2, 2, admins))
        self.trust = self.fresh
        self.head = self.commit()
        self.first = self.say(Statement(REPOSITORY, 1, (), self.head, 1))
        self.trust = self.take(self.first.commit)

    def commit(self, roster: bytes | None = None, parents: Iterable[str] = (), **files: bytes) -> str:
        everything = {"roster.yaml": roster_yaml() if roster is None else roster, **files}
        return self.store.write_commit(everything, parents)

    def next(self, **changes: Any) -> Statement:
        plain: dict[str, Any] = {
            "repository": REPOSITORY, "sequence": self.trust.sequence + 1, "previous": (self.trust.statement,),
            "head": changes.get("head") or self.commit(parents=[self.trust.head], note=b"next"), "epoch": 1,
        }  # fmt: skip
        return Statement(**{**plain, **changes})

    def say(self, made: Statement, *names: str, parents: Iterable[str] = (), namespace: str = NAMESPACE) -> Kept:
        signatures = [sshsig.sign(key(name), namespace, made.data) for name in names or (YUNA, ERWAN)]
        return statements.write(self.store, made, signatures, parents)

    def take(self, tip: str) -> Trust:
        """What would be trusted after every step up to `tip`."""
        trust = self.trust
        for kept in statements.path(self.store, trust, tip):
            trust = statements.step(trust, kept, lambda now, found: statements.head_of(self.store, now, found))
        return trust

    def refused(self, tip: str) -> Why:
        before, refs = self.trust.json, self.store.refs("refs")
        with pytest.raises(RefusedError) as error:
            self.take(tip)
        assert self.trust.json == before
        assert self.store.refs("refs") == refs
        return error.value.why


def _print(name: str) -> str:
    return fingerprint(public(name))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    # No power is cut here; flushing every object would take most of the time.
    monkeypatch.setattr(gitstore, "_DURABLE", ("-c", "core.fsync=none"))
    return World(tmp_path / "store.git")


def test_two_people_with_keys_of_any_kind_are_enough(world: World) -> None:
    for names in ((YUNA, ERWAN), (YUNA_TOO, ERWAN), (YUNA, YUNA_TOO, ERWAN, MALLORY)):
        kept = world.say(world.next(), *names, parents=[world.first.commit])
        assert world.take(kept.commit).sequence == 2


def test_real_signatures_that_are_not_enough(world: World) -> None:
    made = world.next()
    parents = [world.first.commit]
    assert world.refused(statements.write(world.store, made, [], parents).commit) is Why.UNSIGNED
    assert world.refused(world.say(made, MALLORY, parents=parents).commit) is Why.STRANGER
    assert world.refused(world.say(made, YUNA, YUNA_TOO, parents=parents).commit) is Why.WAITING
    for namespace in ("git", "file", "statement@hentou2", "STATEMENT@hentou"):
        assert world.refused(world.say(made, YUNA, ERWAN, parents=parents, namespace=namespace).commit) is Why.UNSIGNED


def test_signatures_of_another_statement_count_for_nothing(world: World) -> None:
    signatures = world.say(world.next()).signatures.values()
    made = world.next(head=world.commit(parents=[world.head], note=b"evil"))
    kept = statements.write(world.store, made, signatures, [world.first.commit])
    assert world.refused(kept.commit) is Why.UNSIGNED


def test_broken_signatures_count_for_nothing(world: World) -> None:
    made = world.next()
    good = sshsig.sign(key(YUNA), NAMESPACE, made.data)
    broken = [
        "", "x", good[:100], good.replace("SIGNATURE", "SIGNATURF"), f" {good}", good.replace("\n", ""),
        "-----BEGIN SSH SIGNATURE-----\n\0\xff\n", good[::-1],
    ]  # fmt: skip
    assert world.refused(statements.write(world.store, made, broken, [world.first.commit]).commit) is Why.UNSIGNED
    # One that is too long to be read would be kept and passed on for ever.
    long = ["-----BEGIN SSH SIGNATURE-----\n" + "A" * 20000, good]
    assert world.refused(statements.write(world.store, made, long, [world.first.commit]).commit) is Why.MALFORMED


def test_signatures_by_the_hundred_are_not_even_tried(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = statements.write(
        world.store, world.next(), [f"junk {number}" for number in range(300)], [world.first.commit]
    )
    monkeypatch.setattr(sshsig, "run", None)
    assert world.refused(kept.commit) is Why.MALFORMED


def test_replays_forks_and_gaps(world: World) -> None:
    second = world.say(world.next(), parents=[world.first.commit])
    other = world.say(world.next(head=world.commit(parents=[world.head], other=b"")), parents=[world.first.commit])
    before, world.trust = world.trust, world.take(second.commit)
    third = world.say(world.next(), parents=[second.commit])
    assert world.take(second.commit) == world.trust
    assert world.refused(world.first.commit) is Why.REPLAYED
    assert world.refused(other.commit) is Why.FORKED
    onwards = world.say(
        world.next(previous=(other.statement.digest,)), parents=[other.commit]
    )  # fmt: skip
    assert world.refused(onwards.commit) is Why.FORKED
    skipped = world.say(world.next(sequence=4), parents=[second.commit])
    assert world.refused(skipped.commit) is Why.SKIPPED
    world.trust = before
    # Whoever was away takes every step of the way, and no way round one.
    assert world.take(third.commit).sequence == 3
    assert world.refused(world.say(third.statement, parents=[]).commit) is Why.SKIPPED


def test_a_join_leads_on_from_either_branch(world: World) -> None:
    start = world.trust
    ours = world.say(world.next(), parents=[world.first.commit])
    theirs = world.say(world.next(head=world.commit(parents=[world.head], other=b"")), parents=[world.first.commit])
    merged = world.commit(parents=[ours.statement.head, theirs.statement.head])
    joined = Statement(
        REPOSITORY, 3, tuple(sorted((ours.statement.digest, theirs.statement.digest))), merged, 1
    )  # fmt: skip
    tip = world.say(joined, parents=[ours.commit, theirs.commit]).commit
    ends = []
    for before in (start, world.take(ours.commit), world.take(theirs.commit)):
        world.trust = before
        ends.append(world.take(tip))
    assert {end.json for end in ends} == {ends[0].json}
    assert ends[0].head == merged


def test_a_join_must_descend_from_what_is_followed(world: World) -> None:
    ours = world.say(world.next(), parents=[world.first.commit])
    theirs = world.say(world.next(head=world.commit(parents=[world.head], other=b"")), parents=[world.first.commit])
    world.trust = world.take(ours.commit)
    digests = tuple(sorted((ours.statement.digest, theirs.statement.digest)))
    joined = Statement(REPOSITORY, 3, digests, theirs.statement.head, 1)
    assert world.refused(world.say(joined, parents=[ours.commit, theirs.commit]).commit) is Why.NOT_DESCENDING


def test_another_collective_another_ref_another_history(world: World) -> None:
    parents = [world.first.commit]
    assert world.refused(world.say(world.next(repository="f" * 32), parents=parents).commit) is Why.ANOTHER_COLLECTIVE
    assert world.refused(world.say(world.next(ref="refs/heads/x"), parents=parents).commit) is Why.ANOTHER_REF
    assert REF == "refs/heads/main"
    orphan = world.say(world.next(head=world.commit(orphan=b"")), parents=parents)
    assert world.refused(orphan.commit) is Why.NOT_DESCENDING
    absent = world.say(world.next(head="9" * 40), parents=parents)
    assert world.refused(absent.commit) is Why.UNFETCHED


def test_a_head_that_is_no_commit_or_has_no_roster(world: World) -> None:
    parents = [world.first.commit]
    blob = world.store.git("hash-object", "-w", "--stdin", stdin="blob").stdout.strip()
    tree = world.store.git("rev-parse", f"{world.head}^{{tree}}").stdout.strip()
    for thing in (blob, tree):
        assert world.refused(world.say(world.next(head=thing), parents=parents).commit) is Why.UNFETCHED
    bare = world.store.write_commit({"README.md": b""}, [world.head])
    for head in (
        bare,
        world.commit(b"admins: [", [world.head]),
        world.commit(b"admins: {}\nthresold: 1\n", [world.head]),
        world.commit(b"\xff\xfe", [world.head]),
        world.commit(b"", [world.head]),
        world.commit(b"#" * (2**20 + 1), [world.head]),
    ):
        assert world.refused(world.say(world.next(head=head), parents=parents).commit) is Why.ROSTER


def test_a_commit_of_which_something_is_missing_is_not_accepted(world: World) -> None:
    """As after a transfer that was cut off: the commit is there, but not all that it holds."""
    big = world.commit(parents=[world.head], content=b"to be lost")
    lost = world.store.git("rev-parse", f"{big}:content").stdout.strip()
    (world.store.path / "objects" / lost[:2] / lost[2:]).unlink()
    assert world.refused(world.say(world.next(head=big), parents=[world.first.commit]).commit) is Why.UNFETCHED


@pytest.mark.parametrize("date", ["1970-01-01T00:00:00Z", "2099-12-31T23:59:59Z"])
def test_dates_of_commits_prove_nothing(world: World, date: str) -> None:
    """A commit from before or after everything else is judged as any other."""
    tree = world.store.git("rev-parse", f"{world.head}^{{tree}}").stdout.strip()
    dated = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date, **_SOMEBODY}
    follows = world.store.git("commit-tree", tree, "-p", world.head, stdin="x", env=dated).stdout.strip()
    orphan = world.store.git("commit-tree", tree, stdin="y", env=dated).stdout.strip()
    parents = [world.first.commit]
    assert world.take(world.say(world.next(head=follows), parents=parents).commit).head == follows
    assert world.refused(world.say(world.next(head=orphan), parents=parents).commit) is Why.NOT_DESCENDING
    assert world.refused(world.say(world.next(head=follows), MALLORY, parents=parents).commit) is Why.STRANGER


_SOMEBODY = {
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a"
}  # fmt: skip


def test_a_replaced_object_changes_nothing(world: World) -> None:
    """A replacement makes Git show another commit in a commit's place, to whoever does not forbid it."""
    orphan = world.commit(orphan=b"")
    fake = world.commit(parents=[world.head], orphan=b"")
    world.store.git("update-ref", f"refs/replace/{orphan}", fake)
    kept = world.say(world.next(head=orphan), parents=[world.first.commit])
    assert world.refused(kept.commit) is Why.NOT_DESCENDING


def test_real_changes_of_the_roster(world: World) -> None:
    parents = [world.first.commit]
    counted = world.commit(roster_yaml(epoch=2, threshold=1, root=2), [world.head])
    uncounted = world.commit(roster_yaml(epoch=1, threshold=1, root=2), [world.head])
    skipped = world.commit(roster_yaml(epoch=3), [world.head])
    clone = world.commit(roster_yaml(epoch=2, erwan=YUNA), [world.head])
    assert world.refused(world.say(world.next(head=counted, epoch=2), YUNA, parents=parents).commit) is Why.WAITING
    assert world.refused(world.say(world.next(head=counted), parents=parents).commit) is Why.EPOCH
    assert world.refused(world.say(world.next(head=uncounted), parents=parents).commit) is Why.ROSTER
    assert world.refused(world.say(world.next(head=skipped, epoch=3), parents=parents).commit) is Why.EPOCH
    assert world.refused(world.say(world.next(head=clone, epoch=2), parents=parents).commit) is Why.ROSTER
    kept = world.say(world.next(head=counted, epoch=2), parents=parents)
    world.trust = world.take(kept.commit)
    alone = world.next(head=world.commit(roster_yaml(epoch=2, threshold=1, root=2), [counted], a=b""), epoch=2)
    assert world.take(world.say(alone, YUNA, parents=[kept.commit]).commit).sequence == 3


def test_a_lost_key_signs_nothing_after_its_rotation(world: World) -> None:
    rotated = world.commit(roster_yaml(epoch=2, erwan=MALLORY), [world.head])
    kept = world.say(world.next(head=rotated, epoch=2), YUNA, ERWAN, MALLORY, parents=[world.first.commit])
    world.trust = world.take(kept.commit)
    after = world.next(head=world.commit(roster_yaml(epoch=2, erwan=MALLORY), [rotated], a=b""), epoch=2)
    assert world.refused(world.say(after, YUNA, ERWAN, parents=[kept.commit]).commit) is Why.WAITING
    assert world.take(world.say(after, YUNA, MALLORY, parents=[kept.commit]).commit).sequence == 3


def test_commits_that_hold_no_statement(world: World) -> None:
    made = world.next()
    data = made.data
    signatures = {f"signatures/{name}": text.encode() for name, text in world.say(made).signatures.items()}
    write = world.store.write_commit
    for files in (
        {},
        {"statement.json": b""},
        {"statement.json": data + b"\n"},
        {"statement.json": data.replace(b'"epoch":1', b'"epoch":1.0')},
        {"statement.json": b"[" * 4000},
        {"statement.json": b"9" * 4000},
        {"statement.json": data + b" " * 2**20},
        {"statement.yaml": data},
        {"folder/statement.json": data},
        {"statement.json": data, "more": b"kept and passed on by everybody, for ever"},
        {"statement.json": data, "signatures/0123456789abcdef.sig.bak": b"x"},
        {"statement.json": data, "signatures/0.sig": b"x"},
    ):
        tip = write({**signatures, **files}, [world.first.commit])
        assert world.refused(tip) is Why.MALFORMED, files
    for name in ("no commit", "0" * 40, world.store.git("hash-object", "-w", "--stdin", stdin="x").stdout.strip()):
        assert world.refused(name) is Why.MALFORMED
    assert world.take(write({**signatures, "statement.json": data}, [world.first.commit])).sequence == 2


def test_a_statement_brings_no_other_history_with_it(world: World) -> None:
    junk = world.store.write_commit({"junk": b"for everybody to keep"})
    assert world.refused(world.say(world.next(), parents=[world.first.commit, junk]).commit) is Why.MALFORMED


def test_links_are_no_files(world: World) -> None:
    """A symbolic link called statement.json is a blob with the link's target as its bytes."""
    made = world.next()
    kept = world.say(made, parents=[world.first.commit])
    blob = world.store.git("rev-parse", f"{kept.commit}:statement.json").stdout.strip()
    signatures = world.store.git("rev-parse", f"{kept.commit}:signatures").stdout.strip()
    listing = f"160000 commit {kept.commit}\tstatement.json\n040000 tree {signatures}\tsignatures\n"
    tree = world.store.git("mktree", "--missing", stdin=listing).stdout.strip()
    tip = world.store.git("commit-tree", tree, stdin="", env=_SOMEBODY).stdout.strip()
    assert blob
    assert world.refused(tip) is Why.MALFORMED


def test_a_chain_that_leads_nowhere_is_refused_before_it_is_walked(world: World) -> None:
    far = world.say(world.next(sequence=2 + statements.MOST_STEPS), parents=[world.first.commit])
    assert world.refused(far.commit) is Why.SKIPPED


def test_nothing_of_the_callers_environment_decides(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = World(world.store.path.parent / "evil.git")
    monkeypatch.setenv("GIT_DIR", os.fspath(evil.store.path))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", os.fspath(evil.store.path / "objects"))
    assert world.take(world.say(world.next(), parents=[world.first.commit]).commit).sequence == 2


def test_fingerprints_are_those_of_openssh(tmp_path: Path) -> None:
    public = key("ed25519").with_suffix(".pub")
    told = subprocess.run(["ssh-keygen", "-lf", public], capture_output=True, text=True, check=True).stdout
    assert fingerprint(public.read_text()) == told.split()[1]
    for bad in ("", "ssh-ed25519", "ssh-ed25519 ???", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI\u00e9"):
        with pytest.raises(HentouError):
            fingerprint(bad)
