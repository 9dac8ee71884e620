"""Features: what every machine gets, one folder each. None imports another; they meet in offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from hentou.features import access, base, edge, hello, mesh, names, secrets, sync
from hentou.generation.contract import Feature

FEATURES: Mapping[str, Feature] = {
    module.__name__.rpartition(".")[2]: cast("Feature", module)
    for module in (access, base, edge, hello, mesh, names, secrets, sync)
}
"""Every feature by name, which is also its key under `features:` in YAML."""
