"""secrets: each machine's secrets, encrypted for it alone on disk, decrypted where programs read them."""

from __future__ import annotations

import json
from collections.abc import Iterable

from hentou.generation.contract import View
from hentou.generation.fragment import Check, CheckKind, File, Fragment, OnChange, Unit
from hentou.generation.offer import Offer
from hentou.generation.template import fill
from hentou.model.secrets import on_machine, place, value_file, yaml_file
from hentou.model.types import Pointer, Secret, Spec

UNIT = "hentou-secrets.service"
INDEX = "/etc/hentou/secrets.json"
FOLDER = "/etc/hentou/secrets/"


class Settings(Spec):
    """Nothing to choose: `secrets/NAME.yaml` says who needs what."""


def offer(view: View[Settings]) -> Iterable[Offer]:  # noqa: ARG001
    """Nothing: secrets are not served."""
    return ()


def render(view: View[Settings]) -> Fragment | None:
    """The ciphertexts, what goes where, and the unit that decrypts them; nothing for a machine without secrets."""
    found = on_machine(view.collective, view.machine.name)
    if not found:
        return None
    because = tuple(Pointer(yaml_file(secret.name)) for secret in found)
    index = json.dumps([_entry(secret) for secret in found], indent=1, sort_keys=True) + "\n"
    return Fragment(
        by="secrets",
        files=(
            *(_ciphertext(view, secret) for secret in found),
            File(INDEX, index.encode(), 0o600, because=because),
            File(f"/etc/systemd/system/{UNIT}", fill(__package__, UNIT), because=because),
        ),
        # Reloading replaces files one by one; a restart would take them all away for a moment.
        units=(Unit(UNIT, OnChange.RELOAD, (FOLDER, INDEX), "sysinit.target", because),),
        checks=(Check("secrets: decrypted", CheckKind.UNIT, UNIT, because),),
        claims=tuple((place(secret), Pointer(yaml_file(secret.name), ("path",))) for secret in found),
    )


def _ciphertext(view: View[Settings], secret: Secret) -> File:
    content = view.collective.tree.read(value_file(secret.name))
    return File(f"{FOLDER}{secret.name}.age", content, 0o600, because=(Pointer(yaml_file(secret.name)),))


def _entry(secret: Secret) -> dict[str, str]:
    return {
        "name": secret.name,
        "path": place(secret),
        "owner": secret.owner,
        "group": secret.group,
        "mode": secret.mode,
        "unit": secret.unit,
    }
