"""Ask a server whether it answers, over HTTP or plain TCP."""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import urlsplit


class _Via(HTTPConnection):
    """HTTP to a given address, whatever the URL's host name resolves to; TLS with that name if wanted."""

    def __init__(self, name: str, address: tuple[str, int], *, tls: bool, timeout: float) -> None:
        super().__init__(name, timeout=timeout)
        self._address = address
        self._tls = tls

    def connect(self) -> None:
        """Open the connection. Certificates are not judged here: a check asks whether the server works."""
        self.sock = socket.create_connection(self._address, self.timeout)
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


def http(url: str, via: str = "", timeout: float = 5) -> str:
    """Empty when a GET is answered below 400 or with 401 (it asks who we are); else what went wrong.

    `via` is an `address:port` to connect to instead of the URL's own host.
    """
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    host = parts.hostname or ""
    address = _address(via) if via else (host, parts.port or (443 if tls else 80))
    connection = _Via(host, address, tls=tls, timeout=timeout)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"Host": parts.netloc, "User-Agent": "hentou"})
        response: HTTPResponse = connection.getresponse()
    except (OSError, HTTPException) as failed:
        return f"{failed.strerror or failed}" if isinstance(failed, OSError) else repr(failed)
    finally:
        connection.close()
    return "" if response.status < 400 or response.status == 401 else f"{response.status} {response.reason}"


def tcp(target: str, timeout: float = 5) -> str:
    """Empty when `host:port` accepts a connection; else what went wrong."""
    try:
        socket.create_connection(_address(target), timeout).close()
    except OSError as failed:
        return failed.strerror or str(failed)
    return ""


def _address(target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    return host.strip("[]"), int(port)
