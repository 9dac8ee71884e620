"""Let a browser of the host stand at a laptop or the visitor: a SOCKS proxy that leads there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hentou.effects import containers
from hentou.errors import HentouError
from hentou.lab.lab import Lab
from hentou.lab.network import MARK
from hentou.lab.node import HostNode

PORT = 10800
"""The proxy's port on the host's loopback when the caller names none."""

_MARK = "HENTOU_LAB_BROWSE"
_INSIDE = 1080


@dataclass(frozen=True, slots=True)
class Proxy:
    """An open proxy: names are resolved where its connections leave."""

    port: int
    place: str
    authority: Path

    @property
    def address(self) -> str:
        """As browsers and curl(1) are told it."""
        return f"socks5h://127.0.0.1:{self.port}"

    def write(self, folder: Path, url: str) -> tuple[Path, ...]:
        """Write the scripts that start browsers into a folder, for anybody to run; their paths."""
        folder.mkdir(exist_ok=True)
        scripts = {folder / "chromium": self.chromium(url), folder / "firefox": self.firefox(url)}
        for path, text in scripts.items():
            path.write_text(text)
            path.chmod(0o755)
        return tuple(scripts)

    def curl(self, url: str) -> str:
        """The command line that opens one URL."""
        return f"curl --proxy {self.address} --cacert {self.authority} {url}"

    def chromium(self, url: str) -> str:
        """A shell script that starts Chromium with a profile of its own, at `url` or what it is given."""
        database = "sql:$p/.pki/nssdb"
        return _script(
            ("chromium",),
            url,
            f"mkdir -p $p/.pki/nssdb && {_trust(database, self.authority)}",
            f'HOME=$p "$browser" --no-first-run --proxy-server=socks5://127.0.0.1:{self.port} "$@"',
        )

    def firefox(self, url: str) -> str:
        """A shell script that starts Firefox with a profile of its own, at `url` or what it is given."""
        settings = (
            ("proxy.type", "1"),
            ("proxy.socks", '"127.0.0.1"'),
            ("proxy.socks_port", str(self.port)),
            ("proxy.socks_remote_dns", "true"),
        )
        lines = "".join(f'user_pref("network.{key}", {value});\\n' for key, value in settings)
        return _script(
            ("firefox", "firefox-esr"),
            url,
            f"{_trust('sql:$p', self.authority)} && printf '{lines}' >$p/user.js",
            'HOME=$p "$browser" --no-remote --profile $p "$@"',
        )


_SCRIPT = """\
#!/bin/sh
# A browser that stands elsewhere and trusts the lab's authority. Its profile goes when it is closed.
set -eu
missing() {{ echo "$1 is not installed" >&2; echo "  → apt-get install $2" >&2; exit 1; }}
command -v certutil >/dev/null || missing certutil libnss3-tools
browser=$(command -v {names}) || missing {name} {package}
[ $# -gt 0 ] || set -- {url}
p=$(mktemp -d)
trap 'rm -rf "$p"' EXIT
{prepare}
{start}
"""


def _script(names: tuple[str, ...], url: str, prepare: str, start: str) -> str:
    """`names` are those that Debian gives the program, the last one its package too."""
    known = " || command -v ".join(names)
    return _SCRIPT.format(names=known, name=names[0], package=names[-1], url=url, prepare=prepare, start=start)


def _trust(database: str, authority: Path) -> str:
    add = f"certutil -d {database} -A -n hentou-lab -t C,, -i {authority}"
    return f"certutil -d {database} -N --empty-password && {add}"


def open_proxy(lab: Lab, place: str, port: int = PORT) -> Proxy:
    """Open the lab's proxy at a laptop (`kerminy/laptop`) or the visitor; it replaces an earlier one.

    It runs until the lab is taken down. HentouError when the port is taken.
    """
    node = lab.node(place)
    if not isinstance(node, HostNode):
        raise HentouError(f"{place} has no place for a browser", "name a laptop, such as SITE/laptop, or visitor")
    containers.kill_all(lambda: containers.marked(_MARK, lab.name))
    if containers.answers("127.0.0.1", port, patience=0):
        raise HentouError(f"port {port} of this computer is taken", "choose a free one with --port")
    marks = {MARK: lab.name, _MARK: lab.name}
    log = lab.work / "browse.log"
    inside = [f"{key}={value}" for key, value in marks.items()]
    # UNIX sockets are files, so they lead from one network namespace to another.
    door = lab.work / "browse.sock"
    door.unlink(missing_ok=True)
    proxy = ["microsocks", "-i", "127.0.0.1", "-p", str(_INSIDE)]
    containers.daemon(node.command(["env", *inside, *proxy]), log, marks)
    node.wait_for_open_port(_INSIDE, "127.0.0.1", timeout=5)
    lead = ["socat", f"UNIX-LISTEN:{door},fork", f"TCP:127.0.0.1:{_INSIDE}"]
    containers.daemon(node.command(["env", *inside, *lead]), log, marks)
    node.wait_until_succeeds(f"test -S {door}", timeout=5)
    outside = ["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork", f"UNIX-CONNECT:{door}"]
    containers.daemon(outside, log, marks)
    if not containers.answers("127.0.0.1", port, patience=5):
        raise HentouError(f"the proxy on port {port} did not open", f"read {log}")
    return Proxy(port, place, lab.repository / "keys" / "authority.pem")
