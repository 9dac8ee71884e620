"""From what a machine is to what it should be: steps in the order they run, each with its reason. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from hentou.generation.facts import AccountFact, Adopted, Facts, PathFact, UnitFact, as_fact
from hentou.generation.fragment import Certificate, OnChange, Unit, User
from hentou.generation.generation import Entry, Manifest
from hentou.generation.step import Held, Plan, Step, StepKind

__all__ = [
    "AccountFact", "Adopted", "Facts", "Held", "PathFact", "Plan", "Step", "StepKind", "UnitFact", "plan",
]  # fmt: skip


def plan(old: Manifest | None, new: Manifest, facts: Facts) -> Plan:
    """The steps from the current generation `old` to `new` on a machine with these facts."""
    planner = _Planner(old or Manifest(new.machine), new, facts)
    return Plan(tuple(planner.steps()), tuple(planner.held()))


_UNIT_FOLDERS = ("/etc/systemd/system/", "/usr/lib/systemd/system/", "/usr/local/lib/systemd/system/")


@dataclass(frozen=True)
class _Planner:
    old: Manifest
    new: Manifest
    facts: Facts

    def steps(self) -> Iterator[Step]:
        """Every step; what left stops while its configuration is still there, the rest starts last."""
        yield from self.packages()
        yield from self.accounts()
        yield from self.clearings
        yield from self.directories()
        yield from self.stops()
        yield from self.writes
        yield from (step for step in self.removals if step not in self.clearings)
        yield from self.issues
        yield from self.daemon_reload()
        yield from self.restarts()
        yield from self.starts()

    def packages(self) -> Iterator[Step]:
        """Install what is missing, in one transaction. What left stays: others may use it."""
        missing = tuple(name for name in self.new.packages if name not in self.facts.packages)
        if missing:
            reason = "not installed" if set(missing) & set(self.old.packages) else "new"
            yield Step(StepKind.INSTALL, " ".join(missing), reason, subject=missing)

    def accounts(self) -> Iterator[Step]:
        """Create first and give groups after, for one account's group may be another new account."""
        for user in self.new.users:
            if user.name not in self.facts.accounts:
                yield Step(StepKind.CREATE_ACCOUNT, user.name, "new", subject=user)
        for user in self.new.users:
            fact = self.facts.accounts.get(user.name, AccountFact(user.uid, user.comment, user.home, user.shell))
            if differing := _account_differences(user, fact):
                yield Step(StepKind.MODIFY_ACCOUNT, user.name, f"changed: {differing}", subject=user)
            if fact.locked:
                yield Step(StepKind.UNLOCK_ACCOUNT, user.name, "locked", subject=user)
        staying = {user.name for user in self.new.users}
        for user in self.old.users:
            here = self.facts.accounts.get(user.name)
            if user.name not in staying and here and not here.locked:
                yield Step(StepKind.LOCK_ACCOUNT, user.name, "left the generation", subject=user)

    def directories(self) -> Iterator[Step]:
        """Make what is missing or has another mode or owner; parents come before what they hold."""
        known = {item.path for item in self.old.directories}
        for item in self.new.directories:
            fact = self.facts.paths.get(item.path)
            if fact is None:
                reason = "missing" if item.path in known else "new"
                yield Step(StepKind.MAKE_DIRECTORY, item.path, reason, subject=item)
            elif fact != as_fact(item):
                yield Step(StepKind.MAKE_DIRECTORY, item.path, _difference(fact, as_fact(item)), subject=item)

    @cached_property
    def writes(self) -> tuple[Step, ...]:
        """Files and links that differ on disk."""
        return tuple(self._writes())

    def _writes(self) -> Iterator[Step]:
        for entry in self.new.entries:
            fact = self.facts.paths.get(entry.path)
            if fact == as_fact(entry) or self._kept(entry, fact):
                continue
            kind = StepKind.LINK if entry.is_link else StepKind.WRITE
            yield Step(kind, entry.path, self._why(entry, fact), entry.by, entry)

    def _kept(self, entry: Entry, fact: PathFact | None, says: str | None = None) -> bool:
        """Whether an adopted edit stands at a path instead of this entry, or of what the path now `says`."""
        adopted = self.facts.adopted.get(entry.path)
        if not adopted or not fact or entry.path in self.facts.overwrite:
            return False
        return fact.digest == adopted.edited and (entry.says if says is None else says) in adopted.instead_of

    def _why(self, entry: Entry, fact: PathFact | None) -> str:
        before = self.old.by_path.get(entry.path)
        if before is None:
            return "takes the place of the one found here" if fact else "new"
        if fact is None:
            return "missing"
        if not before.same_as(entry):
            return _difference(as_fact(before), as_fact(entry))
        return f"on disk, {_difference(fact, as_fact(entry))}"

    @cached_property
    def removals(self) -> tuple[Step, ...]:
        """What left the generation: files and links, then directories, innermost first."""
        gone = [entry for entry in self.old.entries if entry.path not in self.new.by_path]
        steps = [
            Step(StepKind.REMOVE, entry.path, "left the generation", entry.by, entry)
            for entry in gone
            if (fact := self.facts.paths.get(entry.path)) and not self._kept(entry, fact, "")
        ]
        staying = {item.path for item in self.new.directories}
        steps += [
            Step(StepKind.REMOVE_DIRECTORY, item.path, "left the generation; goes if empty", subject=item)
            for item in reversed(self.old.directories)
            if item.path not in staying and item.path in self.facts.paths
        ]
        return tuple(steps)

    @cached_property
    def clearings(self) -> tuple[Step, ...]:
        """Removals that others wait for: a file where a folder comes, and what is in a folder that becomes a file."""
        if not self.removals:
            return ()
        folders = {item.path for item in self.new.directories}
        folders |= {folder for path in (*self.new.by_path, *folders) for folder in _folders_of(path)}
        files = self.new.by_path

        def in_the_way(step: Step) -> bool:
            if step.kind is StepKind.REMOVE and step.target in folders:
                return True
            return step.target in files or any(folder in files for folder in _folders_of(step.target))

        return tuple(step for step in self.removals if in_the_way(step))

    @cached_property
    def issues(self) -> tuple[Step, ...]:
        """Certificates that are missing, for other names, or due."""
        return tuple(
            Step(StepKind.ISSUE, item.directory, reason, self._unit_by(item.unit), item)
            for item in self.new.certificates
            if (reason := self.facts.certificates.get(item.directory, "missing"))
        )

    @cached_property
    def changed(self) -> Mapping[str, str]:
        """Paths that running programs may have read in another version, with how each changed.

        Also what differs between the manifests but not on disk: an interrupted activation may have written it
        without restarting anything.
        """
        found = {}
        written = {step.target for step in self.writes}
        for entry in self.new.entries:
            before = self.old.by_path.get(entry.path)
            if before is None or not before.same_as(entry):
                how = "new" if before is None else _difference(as_fact(before), as_fact(entry))
                found[entry.path] = _told(how, entry.path)
            elif entry.path in written:
                found[entry.path] = f"restored: {entry.path}"
        for entry in self.old.entries:
            if entry.path not in self.new.by_path:
                found[entry.path] = f"left the generation: {entry.path}"
        for step in self.issues:
            found[f"{step.target}/fullchain.pem"] = f"certificate {step.reason}: {step.target}"
        return found

    def stops(self) -> Iterator[Step]:
        """Units that left, while their own files are still there to stop them by."""
        staying = {unit.name for unit in self.new.units}
        for unit in self.old.units:
            fact = self.facts.units.get(unit.name)
            if unit.name not in staying and fact and fact.running:
                by = self._unit_by(unit.name)
                yield Step(StepKind.STOP, unit.name, "left the generation", by, unit)

    def daemon_reload(self) -> Iterator[Step]:
        """Let systemd read its units again when any of their files or links changed."""
        reasons = [self.changed[path] for path in sorted(self.changed) if path.startswith(_UNIT_FOLDERS)]
        if reasons:
            yield Step(StepKind.DAEMON_RELOAD, "", _several(reasons))

    def restarts(self) -> Iterator[Step]:
        """Running units of which something they read changed."""
        for unit in self.new.units:
            fact = self.facts.units.get(unit.name)
            if fact is None or not (fact.running or (fact.up and unit.wanted_by)):
                continue
            own = self._touched((f"/etc/systemd/system/{_file_of(unit)}", *_drop_ins(unit)))
            if own or (touched := self._touched(unit.triggers) + self._renewed(unit)):
                restart = own or unit.on_change is OnChange.RESTART
                kind = StepKind.RESTART if restart else StepKind.RELOAD
                yield Step(kind, unit.name, _several(own or touched), self._unit_by(unit.name), unit)

    def starts(self) -> Iterator[Step]:
        """Units that boot would start and that are not running."""
        for unit in self.new.units:
            fact = self.facts.units.get(unit.name)
            if unit.wanted_by and not (fact and fact.up):
                reason = "failed" if fact and fact.active == "failed" else "not running"
                yield Step(StepKind.START, unit.name, reason, self._unit_by(unit.name), unit)

    def _touched(self, triggers: Iterable[str]) -> list[str]:
        found = []
        for trigger in triggers:
            if trigger.endswith("/"):
                found += [self.changed[path] for path in sorted(self.changed) if path.startswith(trigger)]
            elif trigger in self.changed:
                found.append(self.changed[trigger])
        return found

    def _renewed(self, unit: Unit) -> list[str]:
        return [
            f"certificate {step.reason}: {step.target}"
            for step in self.issues
            if isinstance(step.subject, Certificate) and step.subject.unit == unit.name
        ]

    def _unit_by(self, name: str) -> str:
        """The feature of a unit, by the files that make or enable it."""
        for manifest in (self.new, self.old):
            for unit in manifest.units:
                if unit.name == name:
                    link = f"/etc/systemd/system/{unit.wanted_by}.wants/{name}"
                    for path in (f"/etc/systemd/system/{_file_of(unit)}", link):
                        if path in manifest.by_path:
                            return manifest.by_path[path].by
        return ""

    def held(self) -> Iterator[Held]:
        """Owned files that somebody edited, save those whose edit is adopted, allowed to go, or our own."""
        for entry in self.old.entries:
            fact = self.facts.paths.get(entry.path)
            after = self.new.by_path.get(entry.path)
            if fact is None or entry.path in self.facts.overwrite or _same_content(fact, entry):
                continue
            if (after and _same_content(fact, after)) or self._kept(entry, fact, after.says if after else ""):
                continue
            adopted = self.facts.adopted.get(entry.path)
            late = adopted is not None and adopted.edited == fact.digest
            yield Held(entry.path, entry.by, _why_held(late, gone=after is None))


def _folders_of(path: str) -> Iterator[str]:
    """The folders that hold a path, without the root."""
    while path := path.rpartition("/")[0]:
        yield path


def _why_held(adopted: bool, *, gone: bool) -> str:
    what = "an adopted edit" if adopted else "edited by hand"
    if gone:
        return f"{what}, and the new generation no longer has this file"
    return f"{what}, and the repository now says something else" if adopted else what


def _same_content(fact: PathFact, entry: Entry) -> bool:
    expected = as_fact(entry)
    return (fact.kind, fact.digest, fact.target) == (expected.kind, expected.digest, expected.target)


def _difference(before: PathFact, after: PathFact) -> str:
    if before.kind != after.kind:
        return f"a {before.kind} becomes a {after.kind}"
    parts = []
    if before.digest != after.digest:
        parts.append("content")
    if before.mode != after.mode:
        parts.append(f"mode {before.mode:o} → {after.mode:o}")
    if (before.owner, before.group) != (after.owner, after.group):
        parts.append(f"owner {before.owner}:{before.group} → {after.owner}:{after.group}")
    if before.target != after.target:
        parts.append(f"target {before.target} → {after.target}")
    return "changed: " + ", ".join(parts)


def _account_differences(user: User, fact: AccountFact) -> str:
    pairs = {
        "uid": (fact.uid, user.uid),
        "comment": (fact.comment, user.comment),
        "home": (fact.home, user.home),
        "shell": (fact.shell, user.shell),
        "groups": (fact.groups, frozenset(user.groups)),
    }
    return ", ".join(name for name, (before, after) in pairs.items() if before != after)


def _told(how: str, path: str) -> str:
    return f"{how} of {path}" if how == "changed: content" else f"{how}: {path}"


def _several(reasons: list[str]) -> str:
    return reasons[0] if len(reasons) == 1 else f"{reasons[0]} and {len(reasons) - 1} more"


def _file_of(unit: Unit) -> str:
    name, at, rest = unit.name.partition("@")
    return f"{name}@.{rest.rpartition('.')[2]}" if at else unit.name


def _drop_ins(unit: Unit) -> tuple[str, ...]:
    names = dict.fromkeys((unit.name, _file_of(unit)))
    return tuple(f"/etc/systemd/system/{name}.d/" for name in names)
