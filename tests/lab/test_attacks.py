"""What a machine refuses, each with its reason and nothing changed: on a real machine, through its real inbox."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from forge import Forger

from hentou.lab.deploy import Admin
from hentou.lab.lab import Lab, Machine
from hentou.ledger.statements import Kept

pytestmark = pytest.mark.lab


def state(machine: Machine) -> str:
    """All that acceptance decides on a machine, as one digest."""
    text = machine.succeed("cat /var/lib/hentou/trust.json; git --git-dir /var/lib/hentou/repo.git show-ref "
                           "refs/heads/main refs/hentou/statements")  # fmt: skip
    return sha256(text.encode()).hexdigest()


def a_page(forger: Forger) -> str:
    return forger.commit(**{"content/kerminy/forged.md": b"---\ntitle: Forged\n---\n"})


def unsigned(forger: Forger, admin: Admin) -> Kept:
    return forger.sign(forger.statement(a_page(forger)), [])


def wrong_key(forger: Forger, admin: Admin) -> Kept:
    return forger.sign(forger.statement(a_page(forger)), [admin.signers.key("mallory")])


def for_another_purpose(forger: Forger, admin: Admin) -> Kept:
    return forger.sign(forger.statement(a_page(forger)), [admin.signers.key("yuna")], namespace="file")


def other_bytes(forger: Forger, admin: Admin) -> Kept:
    return forger.sign(forger.statement(a_page(forger)), [admin.signers.key("yuna")], data=b"{}")


def skipped(forger: Forger, admin: Admin) -> Kept:
    statement = forger.statement(a_page(forger))
    return forger.sign(replace(statement, sequence=statement.sequence + 1), [admin.signers.key("yuna")])


def forked(forger: Forger, admin: Admin) -> Kept:
    keys = [admin.signers.key("yuna")]
    other = forger.beside(a_page(forger), keys)
    head = forger.commit(other.statement.head)
    return forger.sign(forger.statement(head, previous=(other.statement.digest,)), keys, parents=[other.commit])


def same_step_again(forger: Forger, admin: Admin) -> Kept:
    return forger.beside(a_page(forger), [admin.signers.key("yuna")])


def another_ref(forger: Forger, admin: Admin) -> Kept:
    return forger.sign(forger.statement(a_page(forger), ref="refs/heads/other"), [admin.signers.key("yuna")])


def another_collective(forger: Forger, admin: Admin) -> Kept:
    return forger.sign(forger.statement(a_page(forger), repository="f" * 32), [admin.signers.key("yuna")])


def not_descending(forger: Forger, admin: Admin) -> Kept:
    root = forger.store.git("rev-list", "--max-parents=0", forger.trust.head).stdout.split()[0]
    return forger.sign(forger.statement(forger.commit(root)), [admin.signers.key("yuna")])


def roster_shrunk(forger: Forger, admin: Admin) -> Kept:
    alone = f"epoch: 2\nthreshold: 1\nadmins:\n  yuna:\n    - {admin.signers.public('yuna')}\n"
    head = forger.commit(roster__yaml=alone.encode())
    return forger.sign(forger.statement(head, epoch=2), [admin.signers.key("yuna")])


def roster_in_silence(forger: Forger, admin: Admin) -> Kept:
    alone = f"epoch: 1\nthreshold: 1\nadmins:\n  yuna:\n    - {admin.signers.public('yuna')}\n"
    head = forger.commit(roster__yaml=alone.encode())
    return forger.sign(forger.statement(head), [admin.signers.key("yuna")])


def one_person_with_two_keys(forger: Forger, admin: Admin) -> Kept:
    alone = f"epoch: 2\nthreshold: 1\nadmins:\n  yuna:\n    - {admin.signers.public('yuna')}\n"
    head = forger.commit(roster__yaml=alone.encode())
    keys = [admin.signers.key("yuna"), admin.signers.key("yuna", "spare")]
    return forger.sign(forger.statement(head, epoch=2), keys)


ATTACKS = {
    unsigned: "unsigned",
    wrong_key: "stranger",
    for_another_purpose: "unsigned",
    other_bytes: "unsigned",
    skipped: "skipped",
    forked: "forked",
    same_step_again: "forked",
    another_ref: "another-ref",
    another_collective: "another-collective",
    not_descending: "not-descending",
    roster_shrunk: "of the 2 persons",
    roster_in_silence: "roster",
    one_person_with_two_keys: "of the 2 persons",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_refused(pair: tuple[Lab, Admin], attack: Callable[[Forger, Admin], Kept], tmp_path: Path) -> None:
    lab, admin = pair
    machine = lab.machine("konkarlab-1")
    machine.succeed("hentou sync --inbox-only --no-converge")
    forger = Forger(machine, tmp_path / "forger")
    before = state(machine)
    forger.send(attack(forger, admin))
    machine.execute("hentou sync --inbox-only")
    assert state(machine) == before
    told = json.loads(machine.succeed("hentou status --json 2>/dev/null"))
    assert ATTACKS[attack] in json.dumps([told["refused"], told["waiting"]]), told
