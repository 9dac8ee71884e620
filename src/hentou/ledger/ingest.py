"""Taking in other machines' journals: only what their machines signed, and only what continues what is here.

A journal only ever grows. Two tips of which neither descends from the other freeze it: ours stays, both are kept
under `refs/hentou/forks`, and nothing more is taken in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from hentou.effects import sshsig
from hentou.effects.gitstore import GitStore
from hentou.errors import HentouError
from hentou.ledger.entries import Journal, frozen, frozen_text, tips
from hentou.ledger.objects import copy, read_many, sizes
from hentou.trust.journal import LONGEST, NAMESPACE, BadEntryError, Entry, SignedCommit, entry_of, key_id, take_apart
from hentou.trust.roster import fingerprint

MOST_ENTRIES = 50_000
"""Entries of one journal that are taken in in one go; the rest comes with the next."""

MOST_BYTES = 64 * 2**20
_LONGEST_COMMIT = LONGEST + sshsig.LONGEST + 4096
_MISCOUNTED = "a number is missing or given twice"


class Fault(StrEnum):
    """What is wrong with a journal that was served."""

    FORGED = "forged"
    BROKEN = "broken"
    FORKED = "forked"


@dataclass(frozen=True)
class Alarm:
    """Something that somebody must look at; `what` completes the fault where it needs more words."""

    machine: str
    fault: Fault
    what: str = ""

    def text(self, peer: str) -> str:
        """In a line, with the name of the peer that served it; always the same for the same fault."""
        match self.fault:
            case Fault.FORGED:
                return f"{peer} serves entries in the journal of {self.machine} that {self.machine} did not sign"
            case Fault.BROKEN:
                return f"{peer} serves entries signed by {self.machine} that cannot be right: {self.what}"
            case Fault.FORKED:
                return frozen_text(self.machine)


@dataclass(frozen=True)
class Ingested:
    """What became of journals that were offered: entries taken in by machine, and alarms; how many bytes these entries
    have, and whose journals have more than there was room for.
    """

    new: Mapping[str, int] = field(default_factory=dict)
    alarms: tuple[Alarm, ...] = ()
    grown: Mapping[str, int] = field(default_factory=dict, compare=False)
    cut: tuple[str, ...] = field(default=(), compare=False)


def ingest(target: GitStore, source: GitStore, ref: str, key: str) -> Ingested:
    """Take in one journal, which is at `ref` in the source, and which `key` must have signed: see `ingest_all`."""
    journal, tip = Journal.of(ref), source.get(ref)
    if journal is None or not tip:
        return Ingested()
    return ingest_all(target, source, {journal: tip}, {journal.machine: key})


class _Offer(NamedTuple):
    """A tip that is new here."""

    journal: Journal
    key: str
    theirs: str
    ours: str
    room: int


def ingest_all(
    target: GitStore,
    source: GitStore,
    offers: Mapping[Journal, str],
    keys: Mapping[str, str],
    room: Mapping[str, int] | None = None,
) -> Ingested:
    """Take in journals whose tips were fetched into `source`: only what continues ours, signed by the machine's key.

    `keys` are the journal keys of the machines that belong to the collective: no other journal takes entries. The
    signature of the tip covers the chain, so that it alone is checked; every new entry's form and number are. The
    source may borrow its objects from the target, or be the target itself. `room` is how many bytes may be taken in of
    a machine's journal, where that is less than usual.
    """
    stopped, here, less = frozen(target), tips(target), room or {}
    wanted = {machine: key_id(key) for machine, key in keys.items()}
    new = [
        _Offer(journal, keys[journal.machine], tip, here.get(journal, ""), less.get(journal.machine, MOST_BYTES))
        for journal, tip in sorted(offers.items())
        if wanted.get(journal.machine) == journal.key_id and journal not in stopped and here.get(journal) != tip
    ]
    # A blob of zeros is small on its way here, and of any size where it is read.
    lengths = sizes(source, [offer.theirs for offer in new]) if new else []
    alarms = [Alarm(o.journal.machine, Fault.FORGED) for o, n in zip(new, lengths, strict=True) if n > _LONGEST_COMMIT]
    new = [offer for offer, length in zip(new, lengths, strict=True) if length <= _LONGEST_COMMIT]
    chains = _chains(source, new, here.values())
    news: dict[_Offer, list[str]] = {}
    cut: list[str] = []
    forks: list[_Offer] = []
    for offer, data in zip(new, read_many(source, [offer.theirs for offer in new]), strict=True):
        try:
            taken = _examined(target, source, offer, data or b"", chains.get(offer.theirs, []))
        except _AlarmError as raised:
            alarms.append(raised.alarm)
            forks += [offer] if raised.alarm.fault is Fault.FORKED else []
            continue
        if taken:
            news[offer] = taken
        cut += [offer.journal.machine] if _is_cut(offer, taken, chains.get(offer.theirs, [])) else []
    grown = {offer.journal.machine: sum(sizes(source, taken)) for offer, taken in news.items()}
    _keep(target, source, {offer: taken[-1] for offer, taken in news.items()}, forks, here.values())
    return Ingested({o.journal.machine: len(taken) for o, taken in news.items()}, tuple(alarms), grown, tuple(cut))


def _is_cut(offer: _Offer, taken: Sequence[str], chain: Sequence[str]) -> bool:
    """Whether there is more that continues ours than was taken."""
    return len(taken) < len(chain) - 1 and chain[-1] == offer.ours


class _AlarmError(Exception):
    """A journal that must not be taken in."""

    def __init__(self, offer: _Offer, fault: Fault, what: str = "") -> None:
        super().__init__(what)
        self.alarm = Alarm(offer.journal.machine, fault, what)


def _chains(source: GitStore, offers: Sequence[_Offer], known: Collection[str]) -> dict[str, list[str]]:
    """For every tip, the commits that are new, newest first, and then the one that they continue (empty for none)."""
    if not offers:
        return {}
    asked = "".join([*(f"{offer.theirs}\n" for offer in offers), *(f"^{tip}\n" for tip in known)])
    words = ("rev-list", "--first-parent", "--parents", "--ignore-missing", "--stdin")
    done = source.git(*words, stdin=asked, check=False)
    if done.status:
        # One of them has holes: it must not keep the others out.
        known = list(known)
        return (
            {} if len(offers) == 1 else {k: v for offer in offers for k, v in _chains(source, [offer], known).items()}
        )
    lines = (line.split() for line in done.stdout.splitlines())
    before = {words[0]: words[1] if len(words) > 1 else "" for words in lines}
    return {offer.theirs: _chain(offer.theirs, before) for offer in offers}


def _chain(tip: str, before: Mapping[str, str]) -> list[str]:
    chain = [tip]
    while chain[-1] in before:
        chain.append(before[chain[-1]])
    return chain


def _examined(target: GitStore, source: GitStore, offer: _Offer, tip: bytes, chain: Sequence[str]) -> list[str]:
    """The new commits that may be taken in, oldest first: none when the peer is behind. `_AlarmError` for the rest."""
    signed, last = _tip(offer, tip)
    if len(chain) < 2:
        # Nothing new: an entry of ours from earlier, or one that could not be followed.
        return []
    good = sshsig.good_keys(signed.payload, [signed.signature], NAMESPACE)
    if fingerprint(offer.key) not in good:
        raise _AlarmError(offer, Fault.FORGED)
    new, base = list(chain[-2::-1]), chain[-1]
    if offer.ours and base != offer.ours:
        # A source that borrows nothing from the target does not know ours: only the target can say that it is older.
        if sizes(target, [offer.theirs])[0] and target.is_ancestor(offer.theirs, offer.ours):
            return []
        # Both ends are kept, on every machine: what hangs on theirs must be a journal's entries, too.
        if len(_numbered(source, offer._replace(ours=base), new, last.sequence - len(new))) < len(new):
            raise _AlarmError(offer, Fault.BROKEN, "another end, of more entries than are kept")
        raise _AlarmError(offer, Fault.FORKED)
    if base != offer.ours:
        raise _AlarmError(offer, Fault.BROKEN, "the first one continues an entry of another journal")
    return _numbered(source, offer, new, last.sequence - len(new))


def _tip(offer: _Offer, tip: bytes) -> tuple[SignedCommit, Entry]:
    try:
        signed = take_apart(tip[:_LONGEST_COMMIT])
        return signed, entry_of(signed, offer.journal.machine)
    except BadEntryError:
        # Before a signature is known to be good, nothing that it says can be held against the machine.
        raise _AlarmError(offer, Fault.FORGED) from None


def _numbered(source: GitStore, offer: _Offer, new: list[str], before: int) -> list[str]:
    """As many of the new commits as fit into one go, each an entry with the next number after `before`."""
    within, total = 0, 0
    for size in sizes(source, new[:MOST_ENTRIES]):
        total += size
        if size > _LONGEST_COMMIT:
            raise _AlarmError(offer, Fault.BROKEN, "an entry that is too long")
        within += total <= offer.room
    # The entry that they continue is read with them: it has the number before theirs.
    base = [offer.ours] if offer.ours else []
    numbers = range(before if base else before + 1, before + 1 + within)
    try:
        if not base and before:
            raise BadEntryError(_MISCOUNTED)  # noqa: TRY301 - told like the others
        for number, data in zip(numbers, read_many(source, [*base, *new[:within]]), strict=True):
            if entry_of(take_apart(data or b""), offer.journal.machine).sequence != number:
                raise BadEntryError(_MISCOUNTED)  # noqa: TRY301
    except BadEntryError as error:
        raise _AlarmError(offer, Fault.BROKEN, error.message) from error
    return new[:within]


def _keep(
    target: GitStore, source: GitStore, news: Mapping[_Offer, str], forks: Collection[_Offer], here: Iterable[str]
) -> None:
    """Bring the objects, durably; then move the refs."""
    changes = {offer.journal.ref: (tip, offer.ours) for offer, tip in news.items()}
    for offer in forks:
        changes[f"{offer.journal.forks}/theirs"] = (offer.theirs, "")
        changes[f"{offer.journal.forks}/ours"] = (offer.ours, "")
    if not changes:
        return
    if target.path != source.path:
        copy(target, source, [*news.values(), *(offer.theirs for offer in forks)], here)
    try:
        target.update({ref: new for ref, (new, _) in changes.items()}, {ref: old for ref, (_, old) in changes.items()})
    except HentouError:
        # One of them moved meanwhile, such as our own: the others need not wait for it.
        for ref, (new, old) in changes.items():
            target.git("update-ref", ref, new, old or "0" * 40, check=False)
