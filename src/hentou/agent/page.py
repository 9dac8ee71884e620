"""The page on which a machine that is not enrolled yet shows who it is. Standard library only.

Run by `hentou-welcome-page.service`, as nobody in particular: it reads two public files and knows nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from hentou.effects.web import JSON, Page

FOLDER = Path("/run/hentou-welcome")
FILES = {"text/html; charset=utf-8": "page.html", JSON: "identity.json"}
PORT = 8425


def pages(folder: Path = FOLDER) -> Mapping[str, bytes]:
    """The page and the identity as they are now, by media type; nothing while they are not written."""
    return {kind: (folder / name).read_bytes() for kind, name in FILES.items() if (folder / name).is_file()}


if __name__ == "__main__":
    Page(pages, PORT).serve()
    sys.exit(0)
