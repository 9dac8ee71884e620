"""How the command line speaks: errors, progress and tables, plain where no terminal listens."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from hentou.errors import HentouError, InvalidCollectiveError

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def program() -> str:
    """What a person types to run hentou again as this time: `hentou`, or with its path and sudo."""
    typed = Path(sys.argv[0])
    if typed.name != "hentou" or str(typed.parent) in os.environ.get("PATH", "").split(":"):
        return "hentou"
    return f"sudo {typed}" if "SUDO_USER" in os.environ else str(typed)


def caller() -> str:
    """The person behind sudo, whose account bears their name; else root."""
    return os.environ.get("SUDO_USER") or "root"


def report(error: HentouError) -> None:
    """Tell an error on standard error: what, then the one next action."""
    if isinstance(error, InvalidCollectiveError):
        err.print(Text(error.message))
    else:
        err.print(Text.assemble(("error: ", "bold red"), error.message))
    if error.hint:
        err.print(Text.assemble(("  → ", "bold"), error.hint))


def say(text: str, style: str = "") -> None:
    """Print one line on standard output, taken literally."""
    out.print(Text(text, style=style))


def note(text: str) -> None:
    """Print one line of progress on standard error."""
    err.print(Text(text, style="dim"))


def as_json(value: Any) -> None:
    """Print a value for scripts."""
    print(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str))
