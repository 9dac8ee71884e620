"""Early at boot: an activation that a power cut interrupted is undone before any service starts.

Standard library only, for it must work when all else is broken. Run by `hentou-recover.service` as
`python -m hentou.agent.recover`.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from hentou.agent.names import fields
from hentou.agent.restore import restore
from hentou.agent.state import Failure, Pending
from hentou.agent.store import Store
from hentou.effects.disk import Disk
from hentou.errors import HentouError


def recover(store: Store, reason: str, at: str) -> list[str] | None:
    """Restore the files of the generation before a pending activation and clear the record.

    None when nothing was pending; else what could not be restored, in which case the record stays so that
    the next attempt tries again. An interruption is nobody's fault: the generation is not quarantined.
    """
    pending = store.state().pending
    if pending is None:
        return None
    problems = restore(store)
    if not problems:
        failure = Failure(pending.id, at, (reason,), pending.commit)
        store.save(replace(store.state().without_pending(), last_failure=failure))
    return problems


def expiries(store: Store, pending: Pending) -> dict[str, str]:
    """Accounts that the activation locked or made, with the expiry date that undoes it: none, or long ago."""
    locked = {row[0] for row in fields(store.disk, "/etc/shadow") if len(row) > 7 and row[7] == "1"}
    known = {row[0] for row in fields(store.disk, "/etc/shadow")}
    wanted = {user["name"] for user in store.record(pending.base).get("users", ())}
    made = {user["name"] for user in store.record(pending.id).get("users", ())} - wanted
    return dict.fromkeys(wanted & locked, "") | dict.fromkeys((made & known) - locked, "1")


def main(root: Path = Path("/")) -> int:
    """Recover this machine's files; 1 when something could not be restored."""
    from hentou.effects.clock import now  # noqa: PLC0415 (the clock may be wrong this early; it is told all the same)
    from hentou.effects.process import run  # noqa: PLC0415 (nothing to run when nothing is pending)

    store = Store(Disk(root))
    orders = [["systemctl", "daemon-reload"], ["systemctl", "start", "--no-block", "default.target"]]
    try:
        if pending := store.state().pending:
            dates = expiries(store, pending)
            orders = [["usermod", "--expiredate", date, name] for name, date in dates.items()] + orders
        problems = recover(store, "interrupted: the machine stopped during the activation", now().isoformat())
    except HentouError as error:
        problems = [error.message]
    if problems is None:
        return 0
    for problem in problems:
        print(f"hentou-recover: {problem}", file=sys.stderr)  # noqa: T201 (the journal's)
    # Units were read, and what boot starts was decided, before this ran: systemd must do both again.
    failed = [order for order in orders if run(order, check=False, timeout=30).status]
    return 1 if failed or problems else 0


if __name__ == "__main__":
    sys.exit(main())
