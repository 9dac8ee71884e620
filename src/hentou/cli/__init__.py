"""The command line: one verb a file; argv, printing and exit codes are nowhere else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hentou.errors import HentouError


def main() -> None:
    """Run `hentou`; problems are told without a traceback unless `--debug` is given."""
    # Imported here so that `python -m hentou.agent.recover` never pays for, or breaks with, the CLI.
    from hentou.cli.app import app  # noqa: PLC0415
    from hentou.cli.output import report  # noqa: PLC0415
    from hentou.errors import HentouError  # noqa: PLC0415

    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        # Rich is not brought in by a run that has nothing to complain of.
        from hentou.cli.output import report  # noqa: PLC0415

        report(error if isinstance(error, HentouError) else _told(error))
        sys.exit(1)


def _told(error: Exception) -> HentouError:
    """What no part of hentou foresaw, for people: what the system refused, or a fault of hentou's own."""
    from hentou.errors import HentouError  # noqa: PLC0415

    if isinstance(error, PermissionError):
        return HentouError(f"{error.filename}: {error.strerror}", "choose a place that is yours, or run it with sudo")
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return HentouError(f"{where}{error.strerror or error}", "correct the path or free some space, and run it again")
    what = f"{type(error).__name__}: {error}"
    return HentouError(f"hentou itself failed: {what}", "report it with what `hentou --debug …` prints")
