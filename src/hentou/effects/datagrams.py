"""Datagrams (UDP) between machines: sent without waiting, received with a time limit."""

from __future__ import annotations

import select
import socket
from contextlib import suppress

_IPV6_FREEBIND = 78
"""ipv6(7); Python has no name for it."""

_LONGEST = 2048
"""Bytes of a datagram that are looked at; what hentou sends is far shorter."""


class Datagrams:
    """A socket bound to one address of this machine, which may still be to come: that of the mesh, at boot."""

    def __init__(self, address: str, port: int) -> None:
        """Bind; OSError when the port is taken. Port 0 is any that is free."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            if family is socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
            self._socket.bind((address, port))
        except OSError:
            self._socket.close()
            raise

    @property
    def port(self) -> int:
        """The port that it is bound to."""
        return int(self._socket.getsockname()[1])

    def send(self, address: str, port: int, data: bytes) -> bool:
        """Send one datagram; False when there is no way there now. True does not mean that it arrived."""
        try:
            return self._socket.sendto(data, (address, port)) == len(data)
        except OSError:
            return False

    def receive(self, seconds: float, most: int) -> list[tuple[str, bytes]]:
        """Wait for a first datagram, then take those that are there, at most `most`: their senders' addresses too."""
        found: list[tuple[str, bytes]] = []
        if not select.select([self._socket], [], [], seconds)[0]:
            return found
        with suppress(BlockingIOError):
            while len(found) < most:
                # An earlier one of ours that was refused on arrival is reported here, instead of a datagram.
                with suppress(ConnectionError):
                    data, sender = self._socket.recvfrom(_LONGEST)
                    found.append((str(sender[0]), data))
        return found

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
