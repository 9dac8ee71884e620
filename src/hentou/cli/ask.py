"""How the command line asks a person before it does what cannot be taken back."""

from __future__ import annotations

import sys

import typer

from hentou.errors import HentouError


def agree(question: str, *, yes: bool) -> None:
    """Return when the person agrees, or did so with --yes; otherwise end the command, with status 1.

    HentouError where nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise HentouError(f"nobody is here to be asked: {question}", "agree beforehand with --yes")
    if not typer.confirm(question, default=False, err=True):
        raise HentouError("nothing was done")
