"""Which commit `hentou converge` activates on a machine that follows the collective."""

from __future__ import annotations

from hentou.agent import detached
from hentou.agent.host import Host
from hentou.agent.sync import take_in_inbox
from hentou.agent.trusted import TrustStore
from hentou.effects.disk import LockedError
from hentou.effects.git import resolve
from hentou.errors import HentouError


def accepted_commit(host: Host, rev: str = "", *, look: bool = False) -> str:
    """The newest accepted head, after a look at the inbox; or the commit of `rev`, if it or a later one was accepted.

    Only to `look` at it, nothing is taken in, and a detached machine does. HentouError where this machine is not
    pinned, is detached, or has accepted no such thing.
    """
    trusted = TrustStore(host)
    trusted.pinned()
    if not look and (found := detached.current(host)):
        until = f" until {found.until}" if found.until else ""
        raise HentouError(
            f"this machine is detached{until} ({found.by or 'nobody said who'}: {found.why})",
            "`hentou attach` makes it follow again",
        )
    if not rev and not look:
        try:
            take_in_inbox(host)
        except LockedError as taken:
            host.tell(f"{taken.message}; what is accepted already is activated")
    head = trusted.pinned().head
    if not head or not trusted.complete():
        raise HentouError("nothing was accepted here yet", "publish with `hentou publish`, then run `hentou sync`")
    commit = resolve(trusted.repo.path, rev) if rev else head
    if not trusted.repo.is_ancestor(commit, head):
        raise HentouError(f"{commit[:12]} was never accepted here", "see `hentou log`; --repo takes any repository")
    return commit
