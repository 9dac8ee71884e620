"""The command line: one verb a file; argv, printing and exit codes are nowhere else."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `hentou`; problems are told without a traceback unless `--debug` is given."""
    # Imported here so that `python -m hentou.agent.recover` never pays for, or breaks with, the CLI.
    from hentou.cli.app import app  # noqa: PLC0415
    from hentou.cli.output import report  # noqa: PLC0415
    from hentou.errors import HentouError  # noqa: PLC0415

    debug = "--debug" in sys.argv
    try:
        app()
    except HentouError as error:
        if debug:
            raise
        report(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
