"""`hentou cosign`: add your signature to what another admin proposes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from hentou.admin import cosign as admin
from hentou.admin import preview, signing
from hentou.admin.chain import own_branch, settle
from hentou.admin.cosign import Proposal
from hentou.admin.reach import Reach
from hentou.admin.workcopy import WorkCopy
from hentou.cli.ask import agree
from hentou.cli.output import say
from hentou.cli.publish import Fingerprint, Json, Key, NoWait, Only, Repository, Run, Verbose, Yes, remind, show
from hentou.errors import HentouError


def cosign(
    head: Annotated[str, typer.Argument(metavar="HEAD", help="The commit to sign, where several are proposed.")] = "",
    repository: Repository = Path(),
    key: Key = None,
    only: Only = None,
    no_wait: NoWait = False,
    fingerprint: Fingerprint = "",
    yes: Yes = False,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Add your signature to a change that another admin proposes.

    What is proposed is fetched from any machine that can be reached. Its commits, who signed it already, and what
    it would change on each machine are shown before you are asked. With enough signatures it is brought to the
    machines. Your own working copy stays as it is. A key that the change itself brings into the roster may sign, too.

    Exit status: as of `hentou publish`.

    Examples: hentou cosign
              hentou cosign 4f1c2a --yes
              hentou cosign --key new
    """
    copy = WorkCopy(repository)
    with Reach(repository, key=signing.ssh_key(copy, key)) as reach:
        run = Run(copy, reach, reach.collective, key, tuple(only or ()), yes=yes, verbose=verbose, json=json)
        sign(run, head, fingerprint, wait=not no_wait)


def sign(run: Run, head: str = "", fingerprint: str = "", *, wait: bool = True) -> None:
    """Look at what is proposed, sign it, deliver it; HentouError when there is nothing, or more than one."""
    copy = run.copy
    branches = run.hear(fingerprint).branches
    proposal = _choose(admin.fetch(copy, run.reach, run.only), head)
    statement = proposal.last.statement
    trust = own_branch(copy).trust
    signer = admin.choose(copy, proposal, run.key)
    preview.check(copy, statement.head)
    if not run.json:
        say(f"step {statement.sequence}: {statement.head[:12]}, signed by {', '.join(sorted(proposal.people))}", "bold")
        show(preview.preview(copy, trust.head, statement.head), branches, verbose=run.verbose)
    if admin.adds(copy, proposal, signer):
        agree(f"Sign this as {signer.person}?", yes=run.yes)
    elif not run.json:
        say(f"{signer.person} has signed it already: nothing to add")
    remind(signer)
    kept = admin.countersign(copy, proposal, signer, branches)
    run.finish(settle(copy, kept, signer.person, branches), signer.person, wait=wait)


def _choose(found: Sequence[Proposal], head: str) -> Proposal:
    if not found:
        raise HentouError("nothing is proposed on any machine that can be reached, nor here", "see `hentou log`")
    wanted = [proposal for proposal in found if proposal.last.statement.head.startswith(head)]
    if len(wanted) == 1:
        return wanted[0]
    told = "; ".join(f"{p.last.statement.head[:12]} by {', '.join(sorted(p.people))}" for p in found)
    what = f"no proposal for {head}" if head and not wanted else "several proposals"
    raise HentouError(f"{what}: {told}", "name one: `hentou cosign HEAD`")
