"""Who hears news from whom, and the repository as it is really served: by git daemon, as the unit starts it."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from feature_world import FILES, compiler, generation, text

from hentou.effects.gitstore import GitStore
from hentou.features.sync import GIT, HINTS
from hentou.generation.offer import Port, Reach

AGENT = "/etc/hentou/agent.json"
SOCKET = "/etc/systemd/system/hentou-git.socket"
SERVICE = "/etc/systemd/system/hentou-git@.service"
COLLECTIVE = FILES["collective.yaml"]


def agent(machine: str, changes: dict[str, str | None] | None = None) -> dict[str, object]:
    found: dict[str, object] = json.loads(text(generation(machine, changes), AGENT))
    return found


def peers_of(machine: str, changes: dict[str, str | None] | None = None) -> list[str]:
    peers = agent(machine, changes)["peers"]
    assert isinstance(peers, list)
    return [peer["name"] for peer in peers]


def test_peers_are_the_other_managed_and_enrolled_machines() -> None:
    assert peers_of("heather") == ["anchor", "east", "west"]
    assert peers_of("east") == ["anchor", "heather", "west"]


def test_peers_are_called_at_their_mesh_addresses() -> None:
    collective = compiler().collective
    found = agent("heather")
    assert found["peers"] == [
        {"name": name, "address": str(collective.mesh_address(collective.machines[name]))}
        for name in ("anchor", "east", "west")
    ]
    assert found["address"] == str(collective.mesh_address(collective.machines["heather"]))
    assert (found["machine"], found["site"], found["port"], found["poll"]) == ("heather", "moor", 8422, 60)


def test_how_often_is_the_collectives_to_say() -> None:
    assert agent("heather", {"collective.yaml": COLLECTIVE + "policies: {poll: 5min}\n"})["poll"] == 300


def test_machine_that_is_not_enrolled_takes_no_part() -> None:
    made = generation("gorse")
    assert not {AGENT, SOCKET, SERVICE} & set(made.manifest.by_path)
    assert not [port for port in compiler().offers.on(Port, "gorse") if port.by == "sync"]
    assert "gorse" not in peers_of("heather")


def test_machine_that_was_struck_out_is_no_peer_any_more() -> None:
    assert peers_of("heather", {"keys/anchor.yaml": None}) == ["east", "west"]


def test_external_machine_neither_serves_nor_is_asked() -> None:
    assert not [port for port in compiler().offers.on(Port, "buoy") if port.by == "sync"]
    assert "buoy" not in peers_of("east")


def test_repository_and_hints_are_for_the_machines_only() -> None:
    for machine in ("east", "west", "heather", "anchor"):
        found = {(p.protocol, p.number, p.reach) for p in compiler().offers.on(Port, machine) if p.by == "sync"}
        assert found == {("tcp", GIT, Reach.MACHINES), ("udp", HINTS, Reach.MACHINES)}


def test_socket_listens_on_the_mesh_address_only() -> None:
    collective = compiler().collective
    unit = text(generation("heather"), SOCKET)
    address = collective.mesh_address(collective.machines["heather"])
    assert re.findall(r"^ListenStream=(.*)$", unit, re.M) == [f"[{address}]:9418"]
    made = generation("heather").manifest
    assert "/etc/systemd/system/sockets.target.wants/hentou-git.socket" in made.by_path
    assert [check.target for check in made.checks if check.name.startswith("sync")] == ["hentou-git.socket"]


def test_another_peer_restarts_nothing() -> None:
    before, fewer = generation("heather"), generation("heather", {"keys/anchor.yaml": None})
    assert text(before, AGENT) != text(fewer, AGENT)
    for path in (SOCKET, SERVICE):
        assert text(before, path) == text(fewer, path)
    triggers = {path for unit in before.manifest.units for path in unit.triggers}
    assert not [path for path in triggers if AGENT.startswith(path)]


def test_service_is_confined(tmp_path: Path) -> None:
    unit = tmp_path / "hentou-git@.service"
    unit.write_text(text(generation("heather"), SERVICE))
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Served:
    """The repository of a machine, served by the command and in the environment of the real unit.

    As root, also with the unit's rights: another account's, with one capability.
    """

    def __init__(self, home: Path) -> None:
        unit = text(generation("heather"), SERVICE).replace("/var/lib/hentou", str(home))
        (words,) = re.findall(r"^ExecStart=-(.*)$", unit, re.M)
        self.command = shlex.split(words)
        self.environment = {"PATH": os.environ["PATH"]}
        for line in re.findall(r"^Environment=(.*)$", unit, re.M):
            self.environment |= dict(word.split("=", 1) for word in line.split())
        if os.geteuid() == 0:
            capability = "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"
            account = "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"
            limits = "--securebits=+no_setuid_fixup", "--bounding-set=-all,+dac_read_search"
            self.command = ["setpriv", *account, *limits, *capability, *self.command]
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"git://127.0.0.1:{self.listener.getsockname()[1]}"
        Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                subprocess.run(self.command, stdin=connection, stdout=connection, env=self.environment, check=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """What a machine has: a repository with an accepted head, an older statement, and a neighbour of its folder."""
    for name in ("repo.git", "inbox.git"):
        store = GitStore.init(tmp_path / name)
        first = store.write_commit({"collective.yaml": b"name: coast\n"})
        second = store.write_commit({"collective.yaml": b"name: coast\n# more\n"}, [first])
        store.update({"refs/heads/main": second, "refs/hentou/statements": store.write_commit({"a": b"b"})})
    return tmp_path


@pytest.fixture
def served(home: Path) -> Iterator[Served]:
    found = Served(home)
    yield found
    found.listener.close()


def fetch(target: Path, url: str, *refspecs: str) -> tuple[GitStore, str]:
    store = GitStore.init(target)
    return store, store.fetch(url, refspecs, seconds=20, size=2**20)


def test_peer_fetches_statements_and_the_very_commits_that_it_names(served: Served, home: Path, tmp_path: Path) -> None:
    repo = GitStore(home / "repo.git")
    first = repo.parents(repo.get("refs/heads/main"))[0]
    store, failed = fetch(
        tmp_path / "peer.git",
        f"{served.url}/repo.git",
        "refs/hentou/statements:refs/incoming/statements",
        f"{first}:refs/incoming/head",
    )
    assert failed == ""
    assert store.refs("refs/incoming") == {
        "refs/incoming/head": first,
        "refs/incoming/statements": repo.get("refs/hentou/statements"),
    }


@pytest.mark.parametrize("path", ["inbox.git", "repo.git/..", "repo.git/../inbox.git", "repo", "", "~root/repo.git"])
def test_nothing_else_is_served(served: Served, tmp_path: Path, path: str) -> None:
    _, failed = fetch(tmp_path / "peer.git", f"{served.url}/{path}", "refs/heads/main:refs/incoming/main")
    assert failed


def test_nobody_writes_by_it(served: Served, home: Path, tmp_path: Path) -> None:
    before = GitStore(home / "repo.git").refs("refs")
    store = GitStore.init(tmp_path / "peer.git")
    mine = store.write_commit({"evil": b"yes"})
    push = store.git("push", f"{served.url}/repo.git", f"{mine}:refs/heads/main", check=False)
    assert push.status
    assert GitStore(home / "repo.git").refs("refs") == before
