"""Which machines belong to the collective, by the accepted head: who may write which journal.

/var/lib/hentou/members.json (root, 0600):
    {"head": COMMIT, "journals": {MACHINE: "ssh-ed25519 AAAA…"}, "sites": {MACHINE: SITE},
     "policies": {"canaries": [SITE, …], "soak": SECONDS, "patience": SECONDS}}
Derived from keys/*.yaml, sites/*.yaml and collective.yaml at each acceptance. A head in which they cannot be
read leaves the old one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hentou.agent.store import BASE
from hentou.effects.disk import Disk
from hentou.effects.gitstore import GitStore
from hentou.errors import HentouError

MEMBERS = f"{BASE}/members.json"


@dataclass(frozen=True)
class Members:
    """The machines of one accepted head: their journal keys, and the site of each; and how a change spreads."""

    head: str = ""
    journals: Mapping[str, str] = field(default_factory=dict)
    sites: Mapping[str, str] = field(default_factory=dict)
    policies: Mapping[str, Any] = field(default_factory=dict)

    @property
    def json(self) -> bytes:
        """For the file."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes) -> Members:
        """From the file; ValueError when it is something else."""
        record: Any = json.loads(data)
        try:
            return cls(str(record["head"]), dict(record["journals"]), dict(record["sites"]), dict(record["policies"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"no members: {error}") from error


def members(disk: Disk) -> Members:
    """The members as last derived; none where that never was."""
    try:
        return Members.parse(disk.read_or_none(MEMBERS) or b"null")
    except ValueError:
        return Members()


def derive(disk: Disk, repo: GitStore, head: str) -> bool:
    """Derive the members from an accepted head, unless they are its own already; whether the file is right now."""
    before = members(disk)
    if before.head == head:
        return True
    found = _read(repo, head)
    if found is not None:
        disk.replace(MEMBERS, found.json, 0o600)
    return found is not None


def _read(repo: GitStore, head: str) -> Members | None:
    # The model comes with YAML and types: only where a head is really new.
    from hentou.effects.tree import GitTree  # noqa: PLC0415
    from hentou.model.load import read  # noqa: PLC0415

    try:
        draft = read(GitTree(repo.path, head))
    except HentouError:
        return None
    if draft.spec is None or any(problem.path.startswith(("keys/", "sites/")) for problem in draft.problems):
        return None
    machines = [(m.name, site.name) for site in draft.sites.values() for m in site.machines.values()]
    sites = dict(sorted(machines))
    journals = {name: keys.journal for name, keys in sorted(draft.keys.items()) if keys.journal and name in sites}
    policies = draft.spec.policies
    spread = {"canaries": list(policies.canaries), "soak": policies.soak, "patience": policies.patience}
    return Members(head, journals, sites, spread)
