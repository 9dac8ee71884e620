"""What is installed on every machine, in the lab as in life: Debian packages, as data."""

from __future__ import annotations

RELEASE = "trixie"
"""Debian 13."""

SYSTEM = (
    "systemd", "systemd-sysv", "systemd-timesyncd", "libpam-systemd", "dbus", "udev", "netbase",
    "ca-certificates", "unattended-upgrades",
)  # fmt: skip
"""What makes it a machine."""

TOOLS = (
    "sudo",
    "git",
    "curl",
    "openssl",
    "less",
    "nano",
    "bash-completion",
    "iputils-ping",
    "python3",
    "python3-venv",
)
"""What its administrators and hentou work with."""

SERVERS = (
    "nftables", "iproute2", "openssh-server", "nginx-light", "haproxy", "knot", "unbound",
    "dns-root-data",
    "wireguard-tools", "wireguard-go", "hugo",
)  # fmt: skip
"""What the features and recipes configure; a generation installs them where an image has not."""

LAB = ("tcpdump", "faketime")
"""What only the lab needs."""

IMAGE = (*SYSTEM, *TOOLS, *SERVERS, *LAB)
"""Everything in the lab's base image."""
