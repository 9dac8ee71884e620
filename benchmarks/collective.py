"""A collective of any size, written as YAML: sites of one machine with a page each, and two gateways."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPjcpqZwPZ9Lvwn9cBjjdQ2v1dN3XhWiyvV0ddjGos3m admin@example"


def write(directory: Path, sites: int) -> None:
    """Write the repository of a collective with so many sites and two gateways, in place of what is there."""
    shutil.rmtree(directory, ignore_errors=True)
    files = {
        "collective.yaml": "name: bench\ndomain: bench.example\ncontact: contact@bench.example\n",
        "roster.yaml": f"admins:\n  yuna:\n    - {KEY}\n",
        "people/yuna.yaml": "full_name: Yuna\n",
    }
    for number in range(2):
        files[f"sites/gateway-{number}.yaml"] = (
            "uplinks:\n  fibre: {kind: datacentre, down: 100M, up: 100M}\n"
            f"machines:\n  vps-{number}:\n    gateway: true\n    public: {{ipv4: 203.0.113.{10 + number}}}\n"
        )
        files[f"keys/vps-{number}.yaml"] = f"wireguard: {_key(10**6 + number)}\n"
    for number in range(sites):
        name = f"site-{number}"
        files[f"sites/{name}.yaml"] = (
            f"title: Site {number}\npeople: 10\npower: 40 W\nlan: {{subnet: 192.168.1.0/24}}\n"
            "uplinks:\n  adsl: {kind: adsl, down: 8M, up: 800k}\n"
            f"machines:\n  box-{number}: {{memory: 8G, disk: 240G, power: 12 W, address: 192.168.1.240}}\n"
            f"services:\n  home: {{recipe: website, machine: box-{number}, name: '@',"
            f" settings: {{source: content/{name}}}}}\n"
        )
        files[f"keys/box-{number}.yaml"] = f"wireguard: {_key(number)}\n"
        files[f"content/{name}/_index.md"] = f"---\ntitle: Site {number}\n---\nBienvenue au site {number}.\n"
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)


def _key(number: int) -> str:
    """A well-formed WireGuard key for a number; nobody holds its private half."""
    return base64.b64encode(number.to_bytes(32)).decode()
