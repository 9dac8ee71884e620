"""An admin's laptop for tests: a working copy of a small collective, and machines that only have keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent_world import host_at

from hentou.agent.identity import identity
from hentou.effects import git
from hentou.effects.process import run

COLLECTIVE = {
    "collective.yaml": "name: pilot\ndomain: pilot.example\ncontact: root@pilot.example\n",
    "roster.yaml": "admins:\n  yuna:\n    - {key}\n",
    "people/yuna.yaml": "full_name: Yuna Le Gall\nemail: yuna@pilot.example\n",
    "sites/kerminy.yaml": (
        "title: Kerminy\nlan:\n  subnet: 192.168.1.0/24\n"
        "uplinks:\n  adsl:\n    kind: adsl\n    down: 8M\n    up: 800k\n"
        "machines:\n  kerminy-1:\n    address: 192.168.1.240\n  kerminy-2:\n    address: 192.168.1.241\n"
    ),
    "sites/nuage.yaml": (
        "uplinks:\n  dc:\n    kind: datacentre\n    down: 100M\n    up: 100M\n"
        "machines:\n  vps-1:\n    gateway: true\n    public:\n      ipv4: 203.0.113.10\n"
    ),
}


def ssh_key(folder: Path, name: str) -> Path:
    """A fresh key of a person's; its public half beside it."""
    key = folder / name
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key])
    return key


def working_copy(folder: Path) -> Path:
    """A collective of three machines, none enrolled, in a repository of one commit; its admin's key is beside it."""
    repository = folder / "pilot"
    key = ssh_key(folder, "yuna")
    public = key.with_suffix(".pub").read_text().strip()
    for path, text in COLLECTIVE.items():
        file = repository / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("{key}", public))
    git.init(repository)
    git.commit_all(repository, "Describe the collective")
    return repository


def machine_at(folder: Path, name: str) -> dict[str, str]:
    """What a machine whose disk is a folder says of itself."""
    (folder / "etc/ssh").mkdir(parents=True, exist_ok=True)
    if not (folder / "etc/ssh/ssh_host_ed25519_key").exists():
        # One key of the kind that counts, as Debian's package makes it; all kinds take seconds.
        ssh_key(folder / "etc/ssh", "ssh_host_ed25519_key")
    return identity(host_at(folder), name)


def told(repository: Path, *words: str) -> str:
    """What git says about a working copy."""
    command: Sequence[str | Path] = ["git", "-C", repository, *words]
    return run(command).stdout.strip()
