"""`hentou status`: what this machine follows, what is wrong with it, and how the whole collective is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hentou.agent import synced
from hentou.agent.facts import gather
from hentou.agent.host import Host
from hentou.agent.local import MACHINE_FILE
from hentou.agent.members import members
from hentou.agent.standing import has_store, standing, store
from hentou.cli.output import as_json, note, say
from hentou.errors import HentouError
from hentou.generation.facts import Facts
from hentou.generation.plan import plan
from hentou.ledger import journals
from hentou.trust.journal import Standing, detachment, key_id, printable
from hentou.trust.overview import Known, Row, ago, rows

Directory = Annotated[
    Path, typer.Option("--directory", "-C", "--repo", metavar="DIR", help="On a laptop: the collective's working copy.")
]


Told = dict[str, tuple[Standing, str]]
"""What machines said last, and when."""


def status(
    directory: Directory = Path(),
    offline: Annotated[
        bool, typer.Option("--offline", help="On a laptop: ask no machine; tell what is known.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show how this machine and the whole collective are.

    Of this machine: what it runs, what failed last and why, hand edits, units that are down, what was refused, and
    alarms. Of the others: what their newest journal entry says, and how old that is. In a collective's working copy
    on a laptop, the journals are fetched from any machine that answers.

    Examples: hentou status
              hentou status --json
              hentou status -C ~/our-collective --offline
    """
    host = Host()
    if is_laptop(host, directory):
        _laptop(directory, offline=offline, json=json)
        return
    told, stopped = _heard(host)
    own = told.get(_name(host))
    now = standing(host, own[0] if own else None)
    record = _record(host) | _followed(host, now)
    table = _collective(host, told, stopped, now)
    if json:
        as_json(record | {"collective": [row.record for row in table]})
    else:
        _print(record)
        print_rows(table)


def is_laptop(host: Host, directory: Path) -> bool:
    """Whether the verb is asked in a working copy, and not on a machine of a collective."""
    if host.disk.stat(MACHINE_FILE) is None:
        return directory != Path() or (directory / "collective.yaml").exists()
    if directory != Path():
        # Root must not read a Git configuration of somebody else's choice.
        raise HentouError("this is a machine of a collective, which looks at its own repository", "leave -C out")
    return False


def _record(host: Host) -> dict[str, Any]:
    state = host.store.state()
    manifest = host.manifest(state.current)
    facts = gather(host, manifest, manifest) if manifest else Facts()
    # While an activation is under way, what differs on disk is its doing, not a person's.
    held = plan(manifest, manifest, facts).held if manifest and not state.pending else ()
    units = [u.name for u in manifest.units if u.wanted_by] if manifest else []
    down = {name: facts.units[name].active if name in facts.units else "unknown" for name in units}
    down = {name: active for name, active in down.items() if name not in facts.units or not facts.units[name].up}
    failure = state.last_failure
    return {
        "machine": manifest.machine if manifest else _name(host),
        "current": state.current,
        "previous": state.previous,
        "since": state.since,
        "commit": state.commit,
        "pending": state.pending.id if state.pending else None,
        "last_failure": {
            "id": failure.id,
            "at": failure.at,
            "commit": failure.commit,
            "reasons": list(failure.reasons),
        }
        if failure
        else None,
        "quarantined": dict(state.quarantined),
        "adopted": sorted(state.adopted),
        "held": [{"path": item.path, "reason": item.reason} for item in held],
        "units_down": down,
        "well": bool(manifest) and not (state.pending or held or down),
    }


def _followed(host: Host, now: Standing) -> dict[str, Any]:
    """What this machine has accepted and refused, and whether it follows."""
    remembered = synced.load(host.disk)
    return {
        "sequence": now.sequence,
        "head": now.head,
        "detached": dict(now.detached) or None,
        "refused": dict(remembered.refused) or None,
        "waiting": dict(remembered.waiting),
        "alarms": list(now.alarms),
    }


def _name(host: Host) -> str:
    data = host.disk.read_or_none(MACHINE_FILE) or b""
    return data.decode(errors="replace").strip()


def _heard(host: Host) -> tuple[Told, frozenset[str]]:
    """What the journals here say last of every machine, and whose are frozen."""
    keys = members(host.disk).journals
    if not has_store(host):
        return {}, frozenset()
    try:
        here = store(host)
        return _told(journals.newest_of(here, keys)), _frozen(journals.frozen(here), keys)
    except HentouError as error:
        # What this machine knows of itself is told nevertheless.
        note(f"the journals cannot be read: {error.message}")
        return {}, frozenset()


def _collective(host: Host, told: Told, stopped: frozenset[str], now: Standing) -> list[Row]:
    """Every enrolled machine, from the journals that are here; this one from what it knows of itself."""
    found = members(host.disk)
    known = Known(found.sites, {**told, _name(host): (now, host.moment())}, stopped, now.sequence)
    return rows(known, found.journals, host.now())


def _told(newest: Mapping[str, journals.Kept]) -> Told:
    return {machine: (kept.entry.standing, kept.entry.at) for machine, kept in newest.items()}


def _frozen(stopped: frozenset[journals.Journal], keys: Mapping[str, str]) -> frozenset[str]:
    """Machines whose present journal is frozen; an earlier one says nothing about them."""
    return frozenset(one.machine for one in stopped if one.machine in keys and one.key_id == key_id(keys[one.machine]))


def _laptop(directory: Path, *, offline: bool, json: bool) -> None:
    # Only a laptop reads the collective itself, and goes to machines.
    from hentou.admin.workcopy import WorkCopy  # noqa: PLC0415
    from hentou.effects import clock  # noqa: PLC0415
    from hentou.effects.tree import GitTree  # noqa: PLC0415
    from hentou.model.load import read  # noqa: PLC0415
    from hentou.model.secrets import stale  # noqa: PLC0415

    copy = WorkCopy(directory)
    source = "" if offline else refresh(copy)
    trust = copy.trust
    # File by file, so that a head which this laptop's hentou cannot compile is no reason to know nothing.
    draft = read(GitTree(copy.store.path, trust.head if trust and trust.head else copy.head))
    keys = {name: own.journal for name, own in sorted(draft.keys.items()) if own.journal}
    sites = {machine: site.name for site in draft.sites.values() for machine in site.machines}
    told = _told(journals.newest_of(copy.store, keys))
    stopped = _frozen(journals.frozen(copy.store), keys)
    sequence = trust.sequence if trust else 0
    table = rows(Known(sites, told, stopped, sequence), keys, clock.now())
    rotate = [str(item) for item in stale(draft)]
    if json:
        record = {"sequence": sequence, "head": trust.head if trust else "", "from": source, "rotate": rotate}
        as_json(record | {"collective": [row.record for row in table]})
        return
    accepted = f"step {sequence}, commit {trust.head[:12]}" if trust and sequence else "nothing is published yet"
    name = (draft.spec.title or draft.spec.name) if draft.spec else "the collective"
    say(f"{name}: {accepted}", "bold")
    for line in rotate:
        say(f"to be rotated: {line}", "yellow")
    print_rows(table)


def refresh(copy: Any) -> str:
    """Bring the journals from the first machine that answers into a working copy; its name, empty when none does."""
    from hentou.admin import gather as admin  # noqa: PLC0415
    from hentou.admin.reach import Reach, UnreachableError  # noqa: PLC0415

    with Reach(copy.directory) as reach:
        try:
            machine = reach.any().machine
        except UnreachableError as error:
            note(f"{error.message}; this is what was last known")
            return ""
        gathered = admin.fetch(copy, reach, [machine])
    for alarm in gathered.alarms:
        note(printable(alarm))
    return machine


def _print(record: dict[str, Any]) -> None:
    if record["current"] is None:
        say(f"{record['machine'] or 'this machine'}: no generation yet; run `hentou converge`")
    else:
        commit = f", commit {record['commit'][:12]}" if record["commit"] else ""
        say(
            f"{record['machine']}: generation {record['current'][:12]} since {record['since']}{commit}",
            "bold",
        )
    _print_followed(record)
    if record["pending"]:
        say(f"under way: {record['pending'][:12]}", "yellow")
    failure = record["last_failure"]
    if failure and failure["at"] >= record["since"]:
        say(f"last failure: {failure['id'][:12]} at {failure['at']}", "yellow")
        for reason in failure["reasons"]:
            say(f"  {reason}")
    for name, reason in record["quarantined"].items():
        told = failure and failure["id"] == name
        say(f"quarantined: {name[:12]}" + ("" if told else f"  {reason}"), "yellow")
    for item in record["held"]:
        say(f"{item['path']}: {item['reason']}", "yellow")
    for path in record["adopted"]:
        say(f"{path}: adopted here, waiting for the repository")
    for unit, active in record["units_down"].items():
        say(f"{unit} is {active}", "red")
    if record["well"] and not (record["alarms"] or record["refused"]):
        say("all is well", "green")


def _print_followed(record: dict[str, Any]) -> None:
    if record["sequence"]:
        say(f"accepted: step {record['sequence']}, commit {record['head'][:12]}")
    if record["detached"]:
        say(f"detached {printable(detachment(record['detached']))}", "yellow")
        say("  → it follows again with `hentou attach`", "bold")
    if refused := record["refused"]:
        words = f"{refused.get('message', '')} (from {refused.get('from', 'somebody')}, {refused.get('at', '')})"
        say(f"refused: {printable(words)}", "yellow")
    for person, why in record["waiting"].items():
        say(f"proposed by {printable(person)}: {printable(why)}", "yellow")
    for alarm in record["alarms"]:
        say(f"alarm: {printable(alarm)}", "red")


_HEADER = ("machine", "site", "runs", "since", "heard", "state")


def print_rows(table: Sequence[Row]) -> None:
    """The collective as a table: a line for each machine, more where more than one thing is to be said."""
    if not table:
        return
    cells = [_HEADER, *(_cells(row) for row in table)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADER) - 1)]
    say("")
    for number, line in enumerate(cells):
        row = table[number - 1] if number else None
        start = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False))
        say(f"{start}  {line[-1]}", "" if row and row.well else "yellow" if row else "dim")
        for more in row.state[1:] if row else ():
            say(f"{' ' * len(start)}  {more}", "yellow")


def _cells(row: Row) -> tuple[str, ...]:
    since = row.standing.since[:16].replace("T", " ")
    return tuple(map(printable, (row.machine, row.site, row.runs, since, ago(row.age), row.state[0])))
