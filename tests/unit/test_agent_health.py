"""Health checks against real sockets, and the words they fail with."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from agent_world import FakeSystem, file, generation, host_at, unit_state

from hentou.agent.health import wait
from hentou.effects import probe
from hentou.generation.fragment import Check, CheckKind, Unit
from hentou.trust.pki import issue_leaf


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        codes = {"site.example": 200, "login.example": 401, "broken.example": 502}
        self.send_response(codes.get(str(self.headers["Host"]), 404))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def at(server: HTTPServer) -> str:
    return f"127.0.0.1:{server.server_port}"


def test_http_reaches_one_address_under_another_name(server: HTTPServer) -> None:
    assert probe.http("http://site.example/", at(server)) == ""
    assert probe.http("http://login.example/", at(server)) == ""
    assert probe.http("http://broken.example/", at(server)) == "502 Bad Gateway"
    assert probe.http(f"http://{at(server)}/") == "404 Not Found"


def test_https_is_not_asked_for_its_papers(server: HTTPServer, tmp_path: Path) -> None:
    key, chain = issue_leaf(("site.example",), b"", None, datetime.now(UTC))
    (tmp_path / "pem").write_bytes(key + chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    assert probe.http("https://site.example/", at(server)) == ""


def test_what_does_not_answer_is_told() -> None:
    assert probe.tcp("127.0.0.1:1") == "Connection refused"
    assert probe.tcp("[::1]:1") == "Connection refused"
    assert probe.http("http://127.0.0.1:1/") == "Connection refused"


def test_every_failing_check_is_told_in_its_own_words(tmp_path: Path, server: HTTPServer) -> None:
    system = FakeSystem({"down.service": "inactive", "up.service": "active"}, failing_commands={"false"})
    checks = (
        Check("answers", CheckKind.HTTP, f"http://site.example/ via {at(server)}"),
        Check("broken page", CheckKind.HTTP, f"http://broken.example/ via {at(server)}"),
        Check("command", CheckKind.COMMAND, "false --now"),
        Check("down", CheckKind.UNIT, "down.service"),
        Check("port", CheckKind.TCP, "127.0.0.1:1"),
        Check("up", CheckKind.UNIT, "up.service"),
    )
    host = host_at(tmp_path, system)
    assert wait(host, generation(checks=checks).manifest, connected=False, started=False) == (
        f"broken page: http://broken.example/ via {at(server)}: 502 Bad Gateway",
        "command: false --now: said no",
        "down: down.service is inactive (last words of down.service)",
        "port: 127.0.0.1:1: Connection refused",
    )
    assert host.monotonic() >= 30


def test_a_slow_start_is_waited_for(tmp_path: Path) -> None:
    class Slow(FakeSystem):
        asked = 0

        def units(self, names):  # type: ignore[no-untyped-def]
            self.asked += 1
            return {name: unit_state("active" if self.asked > 5 else "activating") for name in names}

    host = host_at(tmp_path, Slow())
    manifest = generation(checks=(Check("slow", CheckKind.UNIT, "a.service"),)).manifest
    assert wait(host, manifest, connected=False, started=True) == ()
    assert host.monotonic() == pytest.approx(3.5)


def test_a_unit_that_systemd_restarts_again_and_again_is_no_success(tmp_path: Path) -> None:
    class Looping(FakeSystem):
        def units(self, names):  # type: ignore[no-untyped-def]
            return {name: unit_state("activating", sub="auto-restart") for name in names}

    manifest = generation(file("/etc/x", "x"), units=(Unit("loop.service"),)).manifest
    failed = wait(host_at(tmp_path, Looping()), manifest, connected=False, started=False)
    assert failed == ("loop.service keeps crashing (last words of loop.service)",)


def test_crashing_late_does_not_start_the_time_again(tmp_path: Path) -> None:
    class Late(FakeSystem):
        asked = 0

        def units(self, names):  # type: ignore[no-untyped-def]
            self.asked += 1
            return {name: unit_state("active" if self.asked == 50 else "failed") for name in names}

    host = host_at(tmp_path, Late())
    manifest = generation(checks=(Check("late", CheckKind.UNIT, "a.service"),)).manifest
    assert wait(host, manifest, connected=False, started=True) == ("late: a.service failed (last words of a.service)",)
    assert 30 <= host.monotonic() <= 31
