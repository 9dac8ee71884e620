"""Names of accounts and groups to numbers and back, from the machine's own files. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hentou.effects.disk import Disk
from hentou.errors import HentouError


@dataclass(frozen=True)
class Names:
    """Accounts and groups of a machine at one moment."""

    users: Mapping[str, int]
    groups: Mapping[str, int]

    @classmethod
    def read(cls, disk: Disk) -> Names:
        """From /etc/passwd and /etc/group; root alone where they are missing."""
        return cls(_numbers(disk, "/etc/passwd"), _numbers(disk, "/etc/group"))

    def ids(self, path: str, owner: str, group: str) -> tuple[int, int]:
        """The numbers of an owner and group of a path; HentouError for a name that is not there."""
        if owner not in self.users:
            raise HentouError(f"{path} belongs to {owner}, an account this machine does not have")
        if group not in self.groups:
            raise HentouError(f"{path} belongs to group {group}, which this machine does not have")
        return self.users[owner], self.groups[group]


def fields(disk: Disk, path: str) -> list[list[str]]:
    """The lines of a file of colon-separated fields; none where it is missing."""
    data = disk.read_or_none(path) or b""
    return [line.split(":") for line in data.decode(errors="replace").splitlines() if ":" in line]


def _numbers(disk: Disk, path: str) -> dict[str, int]:
    found = {row[0]: int(row[2]) for row in fields(disk, path) if len(row) > 2 and row[2].isdigit()}
    return found or {"root": 0}
