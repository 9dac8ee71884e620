"""The Debian packages the lab needs on its host; `python3 -m hentou.lab.requirements` prints them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from shutil import which

PACKAGES = {
    "systemd-container": "systemd-nspawn",
    "mmdebstrap": "mmdebstrap",
    "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "nftables": "nft",
    "iproute2": "ip",
    "dnsmasq-base": "dnsmasq",
    "tcpdump": "tcpdump",
    "curl": "curl",
    "wireguard-tools": "wg",
    "microsocks": "microsocks",
    "socat": "socat",
    "ethtool": "ethtool",
    "bind9-dnsutils": "dig",
    "iputils-ping": "ping",
    "openssh-client": "ssh-keygen",
}
"""Each package, and a program or file that shows it is installed. None of them starts a service on the host."""

FOR_TESTS = {"nmap": "nmap"}
"""What only the lab's scenarios need."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing(wanted: Mapping[str, str] = PACKAGES) -> Iterator[str]:
    """The packages that are not installed."""
    for package, proof in wanted.items():
        found = Path(proof).exists() if proof.startswith("/") else which(proof, path=_PATH)
        if not found:
            yield package


def main() -> None:
    """Print every package, a line each: `--missing` only those not installed, `--tests` also what tests need."""
    wanted = {**PACKAGES, **FOR_TESTS} if "--tests" in sys.argv[1:] else PACKAGES
    found = missing(wanted) if "--missing" in sys.argv[1:] else wanted
    sys.stdout.writelines(f"{package}\n" for package in found)


if __name__ == "__main__":
    main()
