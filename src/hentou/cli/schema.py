"""`hentou schema`: the JSON Schema with which editors complete and check."""

from __future__ import annotations

from typing import Annotated

import typer

from hentou import compose
from hentou.cli.output import as_json
from hentou.model.schema import schema as json_schema


def schema(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="collective, roster, site, person or keys; all of them by default.")
    ] = "",
) -> None:
    """Print the JSON Schema of a collective's files, for editors.

    Settings of features and recipes are included.

    An editor that knows YAML schemas (with the YAML language server: Code, Neovim, Emacs, Kate…) then
    completes keys, explains them and marks mistakes while you type. Name the schema on a file's first line:
    `# yaml-language-server: $schema=../site.schema.json`.

    Example: hentou schema site > site.schema.json
    """
    as_json(json_schema(compose.FEATURE_SETTINGS, compose.RECIPE_SETTINGS, kind))
