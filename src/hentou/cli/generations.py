"""`hentou generations`: what this machine can go back to."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hentou.agent.host import Host
from hentou.agent.state import State
from hentou.cli.output import as_json, say


def generations(json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """List the generations kept on this machine, newest first.

    Example: hentou generations
    """
    host = Host()
    state = host.store.state()
    found = [_record(host, state, name) for name in host.store.generations()]
    if json:
        as_json(found)
        return
    for item in found:
        say(f"{item['id'][:12]}  {item['at'] or '-':<25}  {item['commit'][:12] or '-':<12}  {item['standing']}")
    if not found:
        say("none yet: run `hentou converge`")


def _record(host: Host, state: State, name: str) -> dict[str, Any]:
    about = host.store.about(name)
    standings = {state.previous: "previous", state.current: "current"}
    standing = standings.get(name, "")
    if name in state.quarantined and not standing:
        standing = f"quarantined: {state.quarantined[name][:80]}"
    return {"id": name, "at": about.get("at", ""), "commit": about.get("commit", ""), "standing": standing}
