"""Which accepted head goes, which waits and for what: a table, and what holds for every case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hentou.model.types import Policies
from hentou.trust.choice import Accepted, Canary, Choice, Here, choose
from hentou.trust.journal import Standing

NOON = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


def policies(soak: int = 600, patience: int = 86400, canaries: tuple[str, ...] = ("konkarlab",)) -> Policies:
    """In seconds."""
    return Policies.model_validate({"canaries": canaries, "soak": f"{soak}s", "patience": f"{patience}s"})


POLICIES = policies()


def ago(minutes: float) -> datetime:
    return NOON - timedelta(minutes=minutes)


def head(sequence: int) -> str:
    return f"{sequence:040d}"


def accepted(**minutes: float) -> tuple[Accepted, ...]:
    """Steps, each accepted so many minutes ago."""
    return tuple(Accepted(int(name[1:]), head(int(name[1:])), ago(value)) for name, value in minutes.items())


def canary(
    sequence: int,
    since: float,
    *,
    heard: float = 0,
    failed: Mapping[str, str] | None = None,
    undone: str = "",
    detached: bool = False,
    name: str = "konkarlab-1",
) -> Canary:
    """A machine of a canary site, active on a step since so many minutes."""
    standing = Standing(
        active_sequence=sequence,
        active=head(sequence),
        since=ago(since).isoformat(),
        failed=failed or {},
        undone=undone,
        detached={"by": "maiwenn", "why": "festival"} if detached else {},
    )
    return Canary(name, name.rpartition("-")[0], standing, ago(heard))


@dataclass(frozen=True)
class Case:
    expected: int
    why: str
    accepted: tuple[Accepted, ...]
    here: Here = Here("kerminy", 4)  # noqa: RUF009 - frozen
    canaries: Iterable[Canary] = ()
    policies: Policies = POLICIES
    until: datetime | None = None


AFTER = ago(5) + timedelta(days=1)
CASES = {
    "nothing newer": Case(0, "nothing newer was accepted", accepted(s3=50, s4=40)),
    "nothing at all": Case(0, "nothing newer was accepted", ()),
    "no canary sites: at once": Case(5, "the newest", accepted(s4=9, s5=0), policies=Policies()),
    "the newest of several": Case(7, "the newest", accepted(s5=2, s7=0, s6=1), policies=Policies()),
    "a canary site: at once": Case(5, "konkarlab is a canary site", accepted(s5=0), Here("konkarlab", 4)),
    "detached": Case(0, "this machine is detached", accepted(s5=5), Here("kerminy", 4, detached=True)),
    "detached, without canary sites": Case(
        0, "this machine is detached", accepted(s5=5), Here("kerminy", 4, detached=True), policies=Policies()
    ),
    "nothing heard": Case(
        0, "nothing is heard of step 5 from the canary sites: konkarlab", accepted(s5=5), until=AFTER
    ),
    "heard, but not active": Case(
        0, "step 5 is not active on konkarlab-1 yet", accepted(s5=5), canaries=[canary(4, 99)], until=AFTER
    ),
    "heard before only": Case(
        0, "nothing is heard of step 5 from the canary sites: konkarlab", accepted(s5=5),
        canaries=[canary(4, 99, heard=6)], until=AFTER,
    ),
    "soaking": Case(
        0, "step 5 proves itself on konkarlab-1", accepted(s5=5), canaries=[canary(5, 4)],
        until=NOON + timedelta(minutes=6),
    ),
    "soaked": Case(
        5, "proved at a canary site, or waited for long enough", accepted(s5=11), canaries=[canary(5, 10)]
    ),
    "soaked on one of two": Case(
        5, "proved at a canary site, or waited for long enough", accepted(s5=11),
        canaries=[canary(4, 99), canary(5, 10, name="konkarlab-2")],
    ),
    "soaked on a later step": Case(
        5, "a newer one waits: step 6 is not active on konkarlab-1 yet", accepted(s5=11, s6=5),
        canaries=[canary(5, 10)], until=AFTER,
    ),
    "the later step proves the earlier": Case(
        6, "proved at a canary site, or waited for long enough", accepted(s5=30, s6=20), canaries=[canary(6, 15)]
    ),
    "a canary that is further": Case(
        5, "proved at a canary site, or waited for long enough", accepted(s5=11), canaries=[canary(9, 10)]
    ),
    "a canary of no canary site proves nothing": Case(
        0, "nothing is heard of step 5 from the canary sites: konkarlab", accepted(s5=5),
        canaries=[canary(5, 99, name="elsewhere-1")], until=AFTER,
    ),
    "a detached canary proves nothing": Case(
        0, "nothing is heard of step 5 from the canary sites: konkarlab", accepted(s5=5),
        canaries=[canary(5, 99, detached=True)], until=AFTER,
    ),
    "patience is over": Case(5, "proved at a canary site, or waited for long enough", accepted(s5=1440)),
    "patience is over, the canary is behind": Case(
        5, "proved at a canary site, or waited for long enough", accepted(s5=1440), canaries=[canary(4, 9999)]
    ),
    "patience ends before the soak": Case(
        0, "step 5 proves itself on konkarlab-1", accepted(s5=1435), canaries=[canary(5, 1)],
        until=NOON + timedelta(minutes=5),
    ),
    "failed here": Case(
        0, "step 5 failed here: nginx is down", accepted(s5=0), Here("kerminy", 4, {head(5): "nginx is down"}),
        policies=Policies(),
    ),
    "failed here, a newer one is tried": Case(
        6, "the newest", accepted(s5=9, s6=0), Here("kerminy", 4, {head(5): "nginx is down"}), policies=Policies()
    ),
    "the newest failed here, the one before is tried": Case(
        5, "a newer one is passed over: step 6 failed here: nginx is down", accepted(s5=9, s6=0),
        Here("kerminy", 4, {head(6): "nginx is down"}), policies=Policies(),
    ),
    "the newest failed here: never back behind what is active": Case(
        0, "step 5 failed here: nginx is down", accepted(s3=9, s4=8, s5=0),
        Here("kerminy", 4, {head(5): "nginx is down"}), policies=Policies(),
    ),
    "failed here, although this is a canary site": Case(
        0, "step 5 failed here: nginx is down", accepted(s5=0), Here("konkarlab", 4, {head(5): "nginx is down"})
    ),
    "failed on a canary, also when patience is over": Case(
        0, "step 5 failed on konkarlab-1: nginx is down", accepted(s5=9999),
        canaries=[canary(4, 9999, failed={head(5): "nginx is down"})],
    ),
    "failed on a canary that was detached then": Case(
        0, "step 5 failed on konkarlab-1: nginx is down", accepted(s5=9999),
        canaries=[canary(4, 9999, failed={head(5): "nginx is down"}, detached=True)],
    ),
    "undone on a canary": Case(
        0, "step 5 was undone on konkarlab-1", accepted(s5=9999), canaries=[canary(4, 9999, undone=head(5))]
    ),
    "failed on one canary, healthy on another": Case(
        0, "step 5 failed on konkarlab-2: no", accepted(s5=99),
        canaries=[canary(5, 99), canary(4, 99, failed={head(5): "no"}, name="konkarlab-2")],
    ),
    "failed on a canary: the one before goes on": Case(
        5, "a newer one is passed over: step 6 failed on konkarlab-1: no", accepted(s5=99, s6=50),
        canaries=[canary(5, 40, failed={head(6): "no"})],
    ),
    "failed on a canary: a newer one goes on": Case(
        6, "proved at a canary site, or waited for long enough", accepted(s5=99, s6=50),
        canaries=[canary(6, 40, failed={head(5): "no"})],
    ),
    "failures elsewhere are no business of a canary": Case(
        5, "konkarlab is a canary site", accepted(s5=0), Here("konkarlab", 4),
        canaries=[canary(4, 9, failed={head(5): "no"}, name="konkarlab-2")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_choice(name: str) -> None:
    case = CASES[name]
    found = choose(case.accepted, case.here, case.policies, case.canaries, NOON)
    if case.expected:
        assert found == Choice(head(case.expected), case.expected, case.why, case.until)
    else:
        newest = max((one.sequence for one in case.accepted if one.sequence > case.here.active), default=4)
        assert found == Choice("", newest, case.why, case.until)


@pytest.mark.parametrize("since", ["", "yesterday", "2027-13-01T00:00:00Z", "12"])
def test_a_canary_that_tells_nonsense_proves_nothing(since: str) -> None:
    told = Canary("konkarlab-1", "konkarlab", Standing(active_sequence=5, since=since), NOON)
    assert choose(accepted(s5=5), Here("kerminy", 4), POLICIES, [told], NOON).commit == ""


def test_a_time_without_zone_is_utc() -> None:
    told = Canary("konkarlab-1", "konkarlab", Standing(active_sequence=5, since="2027-03-01T11:50:00"), NOON)
    assert choose(accepted(s5=5), Here("kerminy", 4), POLICIES, [told], NOON).sequence == 5


def test_a_patience_without_end_ends_nowhere() -> None:
    found = choose(accepted(s5=5), Here("kerminy", 4), policies(patience=10**12), (), NOON)
    assert (found.commit, found.until) == ("", datetime.max.replace(tzinfo=UTC))


SEQUENCES = st.integers(1, 8)
MINUTES = st.integers(-30, 3000)
CANARIES = st.lists(
    st.builds(
        lambda sequence, since, heard, failed, detached, number: canary(
            sequence, since, heard=heard, failed={head(one): "no" for one in failed}, detached=detached,
            name=f"konkarlab-{number}",
        ),
        SEQUENCES, MINUTES, MINUTES, st.frozensets(SEQUENCES, max_size=2), st.booleans(), st.integers(1, 3),
    ),
    max_size=3,
)  # fmt: skip
ACCEPTED = st.dictionaries(SEQUENCES, MINUTES, max_size=8).map(
    lambda found: tuple(Accepted(sequence, head(sequence), ago(at)) for sequence, at in found.items())
)
HERE = st.builds(
    Here,
    st.sampled_from(["kerminy", "konkarlab"]),
    st.integers(0, 8),
    st.frozensets(SEQUENCES, max_size=3).map(lambda failed: {head(one): "no" for one in failed}),
    st.booleans(),
)
RULES = st.builds(policies, st.integers(0, 7200), st.integers(0, 10**5), st.sampled_from([(), ("konkarlab",)]))


@given(ACCEPTED, HERE, RULES, CANARIES)
def test_only_forwards_only_accepted_and_never_what_failed(
    steps: tuple[Accepted, ...], here: Here, told: Policies, canaries: list[Canary]
) -> None:
    found = choose(steps, here, told, canaries, NOON)
    assert found.why
    if not found.commit:
        return
    assert (found.sequence, found.commit) in {(one.sequence, one.head) for one in steps}
    assert found.sequence > here.active
    assert not here.detached
    assert found.commit not in (here.failed or {})
    if told.canaries and here.site not in told.canaries:
        assert not any(found.commit in one.standing.failed for one in canaries)


@given(ACCEPTED, HERE, RULES, CANARIES, st.randoms(use_true_random=False))
def test_the_order_of_what_is_known_does_not_matter(
    steps: tuple[Accepted, ...], here: Here, told: Policies, canaries: list[Canary], chance: object
) -> None:
    found = choose(steps, here, told, canaries, NOON)
    shuffled = list(steps)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    again = choose(shuffled, here, told, canaries, NOON)
    assert (again.commit, again.sequence, again.until) == (found.commit, found.sequence, found.until)


@given(ACCEPTED, HERE, RULES, CANARIES)
def test_nothing_waits_for_ever(
    steps: tuple[Accepted, ...], here: Here, told: Policies, canaries: list[Canary]
) -> None:
    """Asked again at the time that it told, it has something to say: the newest that failed nowhere goes in the end."""
    now = NOON
    for _ in range(20):
        found = choose(steps, here, told, canaries, now)
        if found.until is None:
            break
        assert found.until > now
        now = found.until
    assert found.until is None
    bad = {*(here.failed or {})}
    if told.canaries and here.site not in told.canaries:
        bad |= {one for other in canaries for one in other.standing.failed}
    left = [one.sequence for one in steps if one.sequence > here.active and one.head not in bad]
    if left and not here.detached:
        assert found.sequence == max(left)


@given(ACCEPTED, HERE, RULES, CANARIES)
def test_without_canary_sites_nothing_is_waited_for(
    steps: tuple[Accepted, ...], here: Here, told: Policies, canaries: list[Canary]
) -> None:
    plain = told.model_copy(update={"canaries": ()})
    assert choose(steps, here, plain, canaries, NOON).until is None
