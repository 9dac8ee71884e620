"""What publishing HEAD would change, machine by machine, against what is accepted now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hentou import compose
from hentou.admin.workcopy import WorkCopy
from hentou.errors import HentouError, InvalidCollectiveError
from hentou.generation.generation import Manifest
from hentou.generation.plan import Facts, Plan
from hentou.generation.plan import plan as make_plan
from hentou.model.types import Collective
from hentou.trust.roster import Roster


@dataclass(frozen=True)
class Preview:
    """The steps by machine, machines that leave the collective, the commits that are new and what changes in the
    roster, one line each.
    """

    plans: Mapping[str, Plan]
    gone: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    roster: tuple[str, ...] = ()


def preview(copy: WorkCopy, before: str, after: str) -> Preview:
    """What happens where between two commits; `before` is empty for bare machines.

    InvalidCollectiveError when the new one is not right.
    """
    old = _manifests(copy, before)
    new = compose.compiler(copy.collective(after))
    plans: dict[str, Plan] = {}
    for machine in new.collective.managed:
        wanted, had = new.generation(machine).manifest, old.pop(machine.name, None)
        plans[machine.name] = make_plan(had, wanted, Facts.assumed(had, wanted))
    changes = tuple(roster_changes(copy.roster_at(before), copy.roster_at(after))) if before else ()
    return Preview(plans, tuple(old), log(copy, before, after), changes)


def roster_changes(old: Roster, new: Roster) -> Iterator[str]:
    """What is different between two rosters, one line each."""
    if old.threshold != new.threshold or old.root_threshold != new.root_threshold:
        was, now = (f"{r.threshold} for a change, {r.root_threshold} for the roster" for r in (old, new))
        yield f"who must sign: {now}; it was {was}"
    for person in sorted(old.admins.keys() | new.admins.keys()):
        had, has = old.admins.get(person, frozenset()), new.admins.get(person, frozenset())
        yield from (f"{person} may sign with {key}" for key in sorted(has - had))
        yield from (f"{person} may sign no more with {key}" for key in sorted(had - has))


def check(copy: WorkCopy, commit: str) -> Collective:
    """The collective at a commit, wholly checked and compiled, as `hentou check` does; InvalidCollectiveError."""
    collective = copy.collective(commit)
    if problems := compose.compiler(collective).problems():
        raise InvalidCollectiveError(problems)
    return collective


def log(copy: WorkCopy, before: str, after: str) -> tuple[str, ...]:
    """The commits of `after` that `before` has not, one line each, newest first; twenty at most."""
    span = f"{before}..{after}" if before else after
    lines = copy.git("log", "--format=%h %an: %s", "--max-count=21", span, "--").splitlines()
    return (*lines[:20], "…") if len(lines) > 20 else tuple(lines)


def summary(plan: Plan) -> str:
    """A plan in a few words: `3 steps: install 1, write 2`."""
    counts = Counter(str(step.kind) for step in plan.steps)
    total = len(plan.steps)
    return f"{total} step{'' if total == 1 else 's'}: {', '.join(f'{kind} {n}' for kind, n in counts.items())}"


def _manifests(copy: WorkCopy, commit: str) -> dict[str, Manifest]:
    if not commit:
        return {}
    try:
        compiler = compose.compiler(copy.collective(commit))
    except HentouError:
        # What is accepted may be broken, and is to be mended: then everything counts as new.
        return {}
    return {machine.name: compiler.generation(machine).manifest for machine in compiler.collective.managed}
