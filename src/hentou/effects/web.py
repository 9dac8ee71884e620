"""One page on a local network, for whoever stands beside the machine; and how to read it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import urlsplit

from hentou.errors import HentouError

JSON = "application/json"
_PATIENCE = 5.0
"""Seconds that a visitor may take to ask."""

_VISITORS = 8
"""At once; more are turned away."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Connection": "close",
}


def get(url: str, limit: int, timeout: float = 10.0, default: int = 80) -> bytes:
    """What an http:// address answers to whoever asks for JSON; HentouError when that fails or is longer than `limit`.

    No proxy is asked, for the address is on this network, and nothing is followed elsewhere. `default` is the port
    where the address names none.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise HentouError(f"{url} is no http:// address", "give the address that the machine shows")
    try:
        connection = HTTPConnection(parts.hostname, parts.port or default, timeout=timeout)
        with closing(connection):
            connection.request("GET", parts.path or "/", headers={"Accept": JSON})
            answer = connection.getresponse()
            data = answer.read(limit + 1)
    except (OSError, HTTPException, ValueError) as failed:
        hint = "is the machine on this network, and not enrolled yet?"
        raise HentouError(f"{url} does not answer: {failed}", hint) from failed
    if answer.status != HTTPStatus.OK:
        raise HentouError(f"{url} answers {answer.status}", "is that the address the machine shows?")
    if len(data) > limit:
        raise HentouError(f"{url} answers with more than {limit} bytes", "is that the address the machine shows?")
    return data


class Page:
    """A server of one page, at `/` only and to GET and HEAD only; `pages` gives its bytes by media type."""

    def __init__(self, pages: Callable[[], Mapping[str, bytes]], port: int, address: str = "::") -> None:
        self._server = _Server((address, port), _handler(pages))

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def serve(self) -> None:
        """Answer until `close` is called from another thread."""
        self._server.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """Answers a few visitors at once, over IPv4 too where the address is an IPv6 one."""

    daemon_threads = True
    request_queue_size = _VISITORS

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._room = BoundedSemaphore(_VISITORS)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Listen; without the look-up of the own name that the library does, which waits for a name server."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "hentou", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if there is room."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, then make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A visitor who goes away is no event."""


def _handler(pages: Callable[[], Mapping[str, bytes]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE
        server_version, sys_version = "hentou", ""

        def do_GET(self) -> None:
            found = pages() if self.path == "/" else {}
            wanted = next((kind for kind in found if kind in self.headers.get("Accept", "")), next(iter(found), ""))
            self._answer(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND, wanted, found.get(wanted, b""))

        do_HEAD = do_GET  # noqa: N815 - the library's own name

        def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            for name, value in _HEADERS.items():
                self.send_header(name, value)
            if kind:
                self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's own name
            """Say nothing: who looks at a page is nobody's business."""

    return Handler
