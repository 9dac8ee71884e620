"""A machine that was broken into cannot write another's journal, nor make anyone do anything, and is noticed."""

from __future__ import annotations

import json

import pytest
from two_gateways import MACHINES, said

from hentou.lab.deploy import Admin
from hentou.lab.lab import Lab

pytestmark = pytest.mark.lab

_FORGE = """
set -e
cd /var/lib/hentou
G="git --git-dir repo.git"
ref=$($G for-each-ref --format='%(refname)' refs/hentou/journals/kerminy-1 | head -1)
tip=$($G rev-parse $ref)
message=$($G log -1 --format=%B $tip | sed 's/"sequence":\\([0-9]*\\),"standing"/"sequence":9\\1,"standing"/')
export GIT_AUTHOR_NAME=kerminy-1 GIT_AUTHOR_EMAIL=k@h GIT_COMMITTER_NAME=kerminy-1 GIT_COMMITTER_EMAIL=k@h
new=$(printf %s "$message" | $G -c gpg.format=ssh -c user.signingkey=/var/lib/hentou/keys/journal \\
      commit-tree -S $($G rev-parse $tip^{tree}) -p $tip)
$G update-ref $ref $new
"""


def test_a_machine_that_was_broken_into(whole: tuple[Lab, Admin]) -> None:
    lab, _ = whole
    liar, honest = lab.machine("konkarlab-1"), lab.machine("vps-1")
    tip = "git --git-dir /var/lib/hentou/repo.git for-each-ref --format='%(objectname)' refs/hentou/journals/kerminy-1"
    right = lab.machine("kerminy-1").succeed(tip)
    liar.succeed("systemctl stop hentou-agent")
    liar.succeed(_FORGE)
    forged = liar.succeed(tip)
    assert forged != right
    main = "git --git-dir /var/lib/hentou/repo.git rev-parse main"
    followed = honest.succeed(main)
    liar.succeed("cd /var/lib/hentou && G='git --git-dir repo.git' && $G update-ref refs/heads/main "
                 "$(echo forged | $G -c user.name=x -c user.email=x@x commit-tree main^{tree} -p main)")  # fmt: skip
    try:
        for name in ("vps-1", "kerminy-1"):
            lab.machine(name).succeed("hentou sync --from konkarlab-1")
            assert forged.strip() not in lab.machine(name).succeed(tip)
            assert lab.machine(name).succeed(main) == followed
        alarms = json.dumps(said(honest)["alarms"])
        assert "konkarlab-1" in alarms
        assert "kerminy-1" in alarms
    finally:
        liar.succeed(f"git --git-dir /var/lib/hentou/repo.git update-ref refs/heads/main {followed}")
        liar.succeed(f"cd /var/lib/hentou/repo.git && git update-ref $(git for-each-ref --format='%(refname)' "
                     f"refs/hentou/journals/kerminy-1 | head -1) {right.split()[0]}")  # fmt: skip
        liar.succeed("systemctl start hentou-agent")


def test_a_machine_restored_from_an_old_disk_does_not_fork_its_journal(whole: tuple[Lab, Admin]) -> None:
    lab, _ = whole
    machine, peer = lab.machine("kerminy-1"), lab.machine("vps-1")
    machine.succeed("cp -a /var/lib/hentou/repo.git /root/old.git")
    machine.succeed("hentou log kerminy-1 'written after the backup'")
    peer.wait_until_succeeds("hentou log kerminy-1 | grep -q 'written after the backup'", 60)
    machine.succeed("systemctl stop hentou-agent; cd /var/lib/hentou; rm -rf repo.git; mv /root/old.git repo.git")
    machine.crash()
    machine.start()
    machine.succeed("hentou log kerminy-1 'written after the restore'")
    for name in MACHINES:
        both = "hentou log kerminy-1 | grep -c 'written after the \\(backup\\|restore\\)' | grep -q 2"
        lab.machine(name).wait_until_succeeds(both, 60)
        assert "forked" not in json.dumps(said(lab.machine(name))["alarms"])
