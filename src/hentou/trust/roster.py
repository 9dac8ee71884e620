"""The roster as trust sees it: persons, their keys by fingerprint, and how many must sign."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from hentou.errors import HentouError

if TYPE_CHECKING:
    # A fifth of a second of pydantic, for one annotation: `hentou status` and the journals do without.
    from hentou.model import types as model


def fingerprint(key: str) -> str:
    """What OpenSSH calls a key's fingerprint, such as `SHA256:YD0Y…`, from a line `TYPE BASE64 [comment]`.

    HentouError for what is no key.
    """
    try:
        blob = base64.b64decode(key.split()[1], validate=True)
    except (IndexError, binascii.Error, ValueError) as error:
        raise HentouError(
            f"not an SSH public key: {key[:40]!r}", "give a line such as ~/.ssh/id_ed25519.pub"
        ) from error
    return "SHA256:" + base64.b64encode(sha256(blob).digest()).decode().rstrip("=")


@dataclass(frozen=True)
class Roster:
    """Who may sign, by the fingerprints of their keys, and how many persons must.

    `epoch` counts the roster's changes from 1. `root_threshold` persons must sign a change of the roster.
    """

    epoch: int
    threshold: int
    root_threshold: int
    admins: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, found: model.Roster) -> Roster:
        """The roster as roster.yaml says it."""
        admins = {person: frozenset(map(fingerprint, keys)) for person, keys in found.admins.items()}
        return cls(found.epoch, found.threshold, found.root, admins)

    @classmethod
    def parse(cls, record: Mapping[str, Any]) -> Roster:
        """A roster from its `record`; ValueError when it is none."""
        try:
            admins = {str(person): frozenset(map(str, keys)) for person, keys in record["admins"].items()}
            return cls(int(record["epoch"]), int(record["threshold"]), int(record["root_threshold"]), admins)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no roster: {error}") from error

    @property
    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "epoch": self.epoch,
            "threshold": self.threshold,
            "root_threshold": self.root_threshold,
            "admins": {person: sorted(keys) for person, keys in sorted(self.admins.items())},
        }

    def signers(self, keys: Iterable[str]) -> frozenset[str]:
        """The persons to whom these fingerprints belong: a person with two keys counts once."""
        given = frozenset(keys)
        return frozenset(person for person, own in self.admins.items() if own & given)

    @property
    def fault(self) -> str:
        """Why nobody could work with this roster; empty when they could."""
        people = len(self.admins)
        counts = Counter(key for keys in self.admins.values() for key in keys)
        if shared := [key for key, count in counts.items() if count > 1]:
            return f"the key {min(shared)} is listed for two persons"
        if idle := [person for person, keys in self.admins.items() if not keys]:
            return f"{min(idle)} has no key"
        if not 1 <= self.threshold <= self.root_threshold:
            return f"{self.root_threshold} persons may change the roster, but {self.threshold} must sign any change"
        if self.root_threshold > people:
            return f"{self.root_threshold} persons must sign a change of the roster, and it names {people}"
        return ""
