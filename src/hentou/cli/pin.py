"""`hentou pin`: tell this machine which collective it follows, once."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hentou.agent.host import Host
from hentou.agent.inbox import Inbox
from hentou.agent.local import MACHINE_FILE
from hentou.agent.synced import Memory
from hentou.agent.trusted import TrustStore
from hentou.cli.output import note, say


def pin(
    machine: Annotated[str, typer.Option(help=f"Also write this machine's name to {MACHINE_FILE}.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Forget what was trusted before.")] = False,
) -> None:
    """Tell this machine whom it obeys.

    That is the trust that it starts from, as JSON on standard input: .git/hentou/trust.json of an admin's working
    copy. `hentou adopt ssh://HOST` and a bundle made for the machine do this by themselves. From then on the
    machine accepts only what enough persons of the trusted roster signed, one step after another. A machine that is
    pinned already refuses another trust, unless with --replace.

    Exit status: 0 pinned, or so already; 1 refused.

    Examples: hentou pin --machine kerminy-1 < trust.json
              ssh root@kerminy-1 hentou pin < trust.json
    """
    host = Host(tell=note)
    trusted = TrustStore(host)
    data = sys.stdin.buffer.read(2**20)
    with trusted.lock(patience=10):
        before = trusted.trust()
        trust = trusted.pin(data, replace=replace)
        Inbox(host.disk).prepare()  # so that the first push finds somewhere to go
        if before and before.repository != trust.repository:
            Memory(host.disk).forget()
    if machine:
        host.disk.make_directory(MACHINE_FILE.rpartition("/")[0])
        host.disk.replace(MACHINE_FILE, f"{machine}\n".encode())
    people = ", ".join(sorted(trust.roster.admins))
    say(f"pinned to repository {trust.repository[:8]} at step {trust.sequence}: it obeys {people}")
