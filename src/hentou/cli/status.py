"""`hentou status`: what this machine follows, and what is wrong with it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hentou.agent.facts import gather
from hentou.agent.host import Host
from hentou.cli.output import as_json, say
from hentou.generation.facts import Facts
from hentou.generation.plan import plan


def status(json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Show what this machine runs, since when, and what is wrong.

    That is: what failed last and why, hand edits, and units that are down.

    Example: hentou status
    """
    record = _record(Host())
    if json:
        as_json(record)
    else:
        _print(record)


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


def _name(host: Host) -> str:
    data = host.disk.read_or_none("/etc/hentou/machine") or b""
    return data.decode(errors="replace").strip()


def _print(record: dict[str, Any]) -> None:
    if record["current"] is None:
        say(f"{record['machine'] or 'this machine'}: no generation yet; run `hentou converge`")
    else:
        commit = f", commit {record['commit'][:12]}" if record["commit"] else ""
        say(
            f"{record['machine']}: generation {record['current'][:12]} since {record['since']}{commit}",
            "bold",
        )
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
    if record["well"]:
        say("all is well", "green")
