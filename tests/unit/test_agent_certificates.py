"""Certificates that a machine makes for itself, its keys, and their renewal."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from agent_world import NOW, FakeSystem, file, generation, host_at
from cryptography import x509

from hentou.agent.activate import Exit, Options, activate, preview
from hentou.agent.certificates import ISSUER, ISSUER_KEY
from hentou.agent.host import Host
from hentou.agent.identity import identity
from hentou.effects import process
from hentou.effects.process import Result
from hentou.generation.fragment import Certificate, OnChange, Unit
from hentou.generation.generation import Generation
from hentou.trust import pki

PLACE = "/var/lib/hentou/certificates/site"
NAME = "site.kerminy.pilot.example"
NGINX = Unit("nginx.service", OnChange.RELOAD)


def serving(*names: str, issuer: bytes | None = None) -> Generation:
    files = [file(ISSUER, issuer.decode())] if issuer else []
    certificates = (Certificate(PLACE, names, unit="nginx.service"),)
    return generation(*files, file("/etc/x", "x"), units=(NGINX,), certificates=certificates)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return host_at(tmp_path, FakeSystem())


def steps(host: Host, wanted: Generation, options: Options | None = None) -> list[str]:
    return [str(step) for step in preview(host, wanted, options).steps]


def leaf(root: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificates((root / PLACE[1:] / "fullchain.pem").read_bytes())[0]


def test_before_enrolment_it_signs_itself_and_after_it_speaks_for_the_collective(tmp_path: Path, host: Host) -> None:
    assert activate(host, serving(NAME)).exit is Exit.ACTIVE
    assert leaf(tmp_path).issuer == leaf(tmp_path).subject
    assert (tmp_path / PLACE[1:] / "key.pem").stat().st_mode & 0o777 == 0o640
    assert steps(host, serving(NAME)) == []

    key, authority_key = pki.new_key(), pki.new_key()
    authority = pki.new_authority("pilot", authority_key, NOW)
    issuer = pki.sign_issuer(pki.request(key, "kerminy-1"), "kerminy.pilot.example", authority_key, authority, NOW)
    (tmp_path / ISSUER_KEY[1:]).parent.mkdir()
    (tmp_path / ISSUER_KEY[1:]).write_bytes(key)
    enrolled = serving(NAME, issuer=issuer)
    assert steps(host, enrolled) == [
        f"write {ISSUER}  (new; base)",
        f"issue certificate {PLACE}  (from another issuer)",
        f"reload nginx.service  (certificate from another issuer: {PLACE})",
    ]
    assert activate(host, enrolled).exit is Exit.ACTIVE
    assert steps(host, enrolled) == [], "once is enough"
    leaf(tmp_path).verify_directly_issued_by(x509.load_pem_x509_certificate(issuer))


def test_an_undo_brings_certificate_and_key_back_together(tmp_path: Path, host: Host) -> None:
    activate(host, serving(NAME))
    before = [(tmp_path / PLACE[1:] / name).read_bytes() for name in ("fullchain.pem", "key.pem")]
    system = host.system
    assert isinstance(system, FakeSystem)
    system.refused = {"nginx.service"}
    assert activate(host, serving(NAME, f"b.{NAME}")).exit is Exit.UNDONE
    assert [(tmp_path / PLACE[1:] / name).read_bytes() for name in ("fullchain.pem", "key.pem")] == before


def test_renewal_touches_certificates_only(tmp_path: Path, host: Host) -> None:
    wanted = serving(NAME)
    activate(host, wanted)
    (tmp_path / "etc/x").unlink()
    only = Options(certificates_only=True)
    assert steps(host, wanted, only) == []
    assert activate(host, wanted, only).message.endswith("nothing to do")
    host.now = lambda: NOW + timedelta(days=30)
    assert steps(host, wanted, only) == [
        f"issue certificate {PLACE}  (half of its life is gone)",
        f"reload nginx.service  (certificate half of its life is gone: {PLACE})",
    ]
    old = leaf(tmp_path).serial_number
    assert activate(host, wanted, only).exit is Exit.ACTIVE
    assert leaf(tmp_path).serial_number != old
    assert not (tmp_path / "etc/x").exists()


def test_a_renewal_that_is_undone_leaves_hand_edits(tmp_path: Path, host: Host) -> None:
    wanted = serving(NAME)
    activate(host, wanted)
    (tmp_path / "etc/x").write_text("edited by hand")
    host.now = lambda: NOW + timedelta(days=30)
    system = host.system
    assert isinstance(system, FakeSystem)
    system.refused = {"nginx.service"}
    outcome = activate(host, wanted, Options(certificates_only=True))
    assert outcome.exit is Exit.UNDONE, "an edit does not hold a renewal"
    assert (tmp_path / "etc/x").read_text() == "edited by hand"


def test_private_copies_kept_for_an_undo_do_not_stay(tmp_path: Path, host: Host) -> None:
    activate(host, serving(NAME))
    activate(host, serving(NAME, f"b.{NAME}"))
    assert list((tmp_path / "var/lib/hentou/originals").iterdir()) == []


def test_identity_is_made_once(tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def run(command: list[str], *, stdin: bytes = b"", timeout: float) -> Result:
        asked.append(command[:2])
        if "-t" in command:
            return process.run(command, stdin=stdin or None, timeout=timeout)
        if command[0] == "ssh-keygen":
            (tmp_path / "etc/ssh").mkdir()
            (tmp_path / "etc/ssh/ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAA root@host\n")
        return Result(tuple(command), 0, f"public half of {stdin.decode()}" if stdin else "private", "")

    monkeypatch.setattr("hentou.agent.identity.run", run)
    first = identity(host, "kerminy-1")
    asked.clear()
    assert identity(host, "kerminy-1") | {"csr": ""} == first | {"csr": ""}
    assert asked == [["wg", "pubkey"]]
    assert sorted(first) == ["age", "code", "csr", "fingerprint", "journal", "machine", "ssh_host", "wireguard"]
    assert (first["wireguard"], first["ssh_host"]) == ("public half of private", "ssh-ed25519 AAAA")
    assert x509.load_pem_x509_csr(first["csr"].encode()).is_signature_valid
    key = tmp_path / "var/lib/hentou/keys/wireguard.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.parent.stat().st_mode & 0o777 == 0o700
