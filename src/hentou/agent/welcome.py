"""The first hours of a machine that was installed from a bundle: it says who it is, and calls home, until enrolled.

Run by `hentou-welcome.service` as `python -m hentou.agent.welcome`, as long as there is /var/lib/hentou/waiting.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from ipaddress import ip_address
from signal import SIGTERM, signal
from string import Template

from hentou.agent.bootstrap import Bootstrap, is_enrolled
from hentou.agent.carried import WAITING
from hentou.agent.host import Host
from hentou.agent.identity import identity
from hentou.agent.local import this_machine
from hentou.agent.page import FOLDER, PORT
from hentou.effects.disk import parent
from hentou.effects.process import run
from hentou.errors import HentouError

ISSUE = "/run/issue.d/hentou.issue"
"""What agetty(8) shows above its prompt on every screen."""

CONSOLES = ("/dev/console", "/dev/tty1")

_TEXT = """
  {machine}

  Cette machine attend d'être inscrite dans son collectif.
  Lisez ce code à votre administrateur, au téléphone :
  This machine waits to be enrolled in its collective.
  Read this code to your administrator on the phone:

          {code}

  Empreinte, fingerprint: {fingerprint}
  {addresses}
"""
_NO_ADDRESS = "Pas encore de réseau : le câble est-il branché ? No network yet: is the cable plugged in?"


@dataclass(frozen=True)
class Sight:
    """What people are shown."""

    machine: str
    code: str
    fingerprint: str
    addresses: tuple[str, ...]

    @property
    def text(self) -> str:
        """For a screen, in French and English."""
        where = "\n  ".join(map(_url, self.addresses)) or _NO_ADDRESS
        return _TEXT.format(machine=self.machine, code=self.code, fingerprint=self.fingerprint, addresses=where)

    @property
    def page(self) -> bytes:
        """For a browser."""
        values = {"machine": self.machine, "code": self.code, "fingerprint": self.fingerprint}
        values["address"] = _url(next(iter(self.addresses), "ADDRESS"))
        template = Template(files("hentou.agent").joinpath("welcome.html").read_text())
        return template.substitute({name: escape(value) for name, value in values.items()}).encode()


def _url(address: str) -> str:
    return f"http://[{address}]:{PORT}/" if ":" in address else f"http://{address}:{PORT}/"


def addresses() -> tuple[str, ...]:
    """At which addresses this machine is reached on its network now; IPv4 first, as people type those."""
    told = run(["ip", "-json", "address", "show", "up", "scope", "global"], check=False, timeout=10)
    with suppress(ValueError, TypeError, AttributeError):
        links = [link for link in json.loads(told.stdout) if not str(link.get("ifname", "")).startswith("hentou")]
        # What the filter leaves out is told as empty objects.
        told_of = (item.get("local") for link in links for item in link.get("addr_info", ()))
        found = [ip_address(address) for address in told_of if address]
        return tuple(str(address) for address in sorted(found, key=lambda a: (a.version, a.packed)))
    return ()


class Welcome:
    """Shows on screens and on the page who this machine is, whenever that changes."""

    def __init__(self, host: Host, said: dict[str, str]) -> None:
        self._host = host
        self._said = said
        self._shown: Sight | None = None

    def show(self, found: tuple[str, ...]) -> None:
        """Show it, unless it is what is shown."""
        sight = Sight(self._said["machine"], self._said["code"], self._said["fingerprint"], found)
        if sight == self._shown:
            return
        self._shown = sight
        public = json.dumps(self._said, indent=1, sort_keys=True).encode()
        for name, data in (("page.html", sight.page), ("identity.json", public)):
            self._host.disk.make_directory(str(FOLDER))
            self._host.disk.write(f"{FOLDER}/{name}", data)
        self._host.disk.make_directory(parent(ISSUE))
        self._host.disk.write(ISSUE, sight.text.encode())
        for console in CONSOLES:
            self._print(console, sight.text)
        _renew_prompts()

    def _print(self, console: str, text: str) -> None:
        path = self._host.disk.at(console)
        # A machine without a screen has no such device, or one that takes no bytes.
        with suppress(OSError), open(path, "w", encoding="utf-8", errors="replace") as screen:  # noqa: PTH123
            screen.write(text.replace("\n", "\r\n"))

    def hide(self) -> None:
        """Show nothing any more."""
        for file in (ISSUE, *(f"{FOLDER}/{name}" for name in ("page.html", "identity.json"))):
            self._host.disk.remove(file)
        _renew_prompts()


def _renew_prompts() -> None:
    run(["agetty", "--reload"], check=False, timeout=10)


def welcome(host: Host, home: Bootstrap, said: dict[str, str]) -> None:
    """Show who this machine is and call home until it is enrolled and active; it does not wait any more then."""
    shown = Welcome(host, said)
    try:
        while not (is_enrolled(host, said) and host.store.state().current):
            shown.show(addresses())
            home.turn()
            host.sleep(home.pause)
    finally:
        home.down()
        shown.hide()
    host.disk.remove(WAITING)
    host.disk.flush()


def main() -> int:
    """Welcome people to this machine; the exit status."""
    host = Host(tell=_say)
    # What is shown and the interface go with this process, also when it is told to stop.
    signal(SIGTERM, lambda *_: sys.exit(0))
    try:
        said = identity(host, this_machine(host.disk))
        welcome(host, Bootstrap(host, said), said)
    except HentouError as error:
        _say(f"{error.message} {error.hint}")
        return 1
    return 0


def _say(text: str) -> None:
    print(f"hentou-welcome: {text}", file=sys.stderr, flush=True)  # noqa: T201 - the journal


if __name__ == "__main__":
    sys.exit(main())
