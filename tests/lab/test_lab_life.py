"""A lab's beginning and end: two at once, nothing left behind, whatever was killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from hentou.errors import HentouError
from hentou.lab.browse import open_proxy
from hentou.lab.cleanup import processes, remove
from hentou.lab.lab import WORK, Lab
from hentou.model.types import Collective

pytestmark = pytest.mark.lab

UP = """\
import sys
sys.path.insert(0, sys.argv[1])
from conftest import tiny_collective
from hentou.lab.lab import Lab
Lab.up(tiny_collective(), name=sys.argv[2], progress=lambda text: print(text, flush=True))
"""
UP_AND_WAIT = UP.replace("progress=", "deploy=lambda lab: sys.stdin.read(), progress=")


def traces(lab: str) -> list[str]:
    """Everything on this host that bears a lab's name, whole."""
    named = re.compile(rf"\b{lab}(?![\w-])")
    found = [f"process {pid}" for pid in processes(lab)]
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                found.append(f"{entry}: {(entry / 'cmdline').read_text(errors='replace')}")
    found += Path("/proc/self/mounts").read_text().splitlines()
    for directory in ("/run/netns", "/run/systemd/nspawn", "/sys/fs/cgroup"):
        found += [str(path) for path in Path(directory).glob("**/*")]
    found += [str(path) for path in WORK.glob("*")]
    return [trace for trace in found if trace.startswith("process") or named.search(trace)]


def locks() -> set[str]:
    return {path.name for path in Path("/run/systemd/nspawn/locks").glob("inode-*")}


def test_two_labs_at_once_and_nothing_left(tiny: Collective, lab_name: str) -> None:
    other = f"{lab_name}-b"
    with Lab.up(tiny, name=other) as second:
        first = Lab.up(tiny, name=lab_name)
        own = [machine.root.stat() for machine in first.machines()]
        first.machine("home-1").succeed("touch /root/first")
        first.cut("rack-1")
        second.machine("home-1").fail("test -e /root/first")
        second.laptop("home").wait_until_succeeds("ping -c1 -W1 203.0.113.20")
        assert traces(lab_name)
        first.down()
        assert second.machine("rack-1").succeed("hostname") == "rack-1\n"
        assert not traces(lab_name)
        assert not locks() & {f"inode-{found.st_dev}:{found.st_ino}" for found in own}
    assert not traces(other)


def test_a_second_lab_of_one_name_is_refused(tiny: Collective, plain: Lab) -> None:
    with pytest.raises(HentouError, match=f"lab {plain.name} is up already"):
        Lab.up(tiny, name=plain.name)
    assert plain.machine("home-1").succeed("hostname") == "home-1\n"


def test_down_is_idempotent_and_attach_tells(lab_name: str) -> None:
    remove(lab_name)
    remove(lab_name)
    with pytest.raises(HentouError, match=r"no lab (called .* )?is up"):
        Lab.attach(lab_name)


@pytest.mark.parametrize("name", ["", "A", "a.b", "a/b", "-a", "a" * 16])
def test_names_that_the_kernel_could_not_hold_are_refused(tiny: Collective, name: str) -> None:
    with pytest.raises(HentouError, match="cannot be a lab's name"):
        Lab.up(tiny, name=name)


def test_a_failed_deploy_leaves_the_lab_to_look_at(tiny: Collective, lab_name: str) -> None:
    def fails(lab: Lab) -> None:
        raise HentouError("no")

    with pytest.raises(HentouError, match="no"):
        Lab.up(tiny, name=lab_name, deploy=fails)
    Lab.attach(lab_name).machine("home-1").succeed("true")


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.25, 0.5, 0.9, 1.4])
def test_up_killed_at_any_moment_leaves_nothing_after_down(
    tiny: Collective, plain: Lab, lab_name: str, delay: float
) -> None:
    command = [sys.executable, "-c", UP, str(Path(__file__).parent), lab_name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starting:
        assert starting.stdout
        assert "base image" in starting.stdout.readline()
        time.sleep(delay)
        starting.kill()
    remove(lab_name)
    assert not traces(lab_name)
    with Lab.up(tiny, name=lab_name) as lab:
        lab.machine("home-1").succeed("true")
    assert not traces(lab_name)


def test_supervisors_killed_leave_nothing_after_down(tiny: Collective, lab_name: str) -> None:
    lab = Lab.up(tiny, name=lab_name)
    found = subprocess.run(["pgrep", "-f", f"systemd-nspawn.*{lab_name}"], capture_output=True, text=True, check=True)
    for pid in found.stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    (lab.work / "lab.json").unlink()
    remove(lab_name)
    assert not traces(lab_name)


def test_down_refuses_while_up_is_working(lab_name: str, plain: Lab) -> None:
    command = [sys.executable, "-c", UP_AND_WAIT, str(Path(__file__).parent), lab_name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as starting:
        assert starting.stdout
        assert "base image" in starting.stdout.readline()
        with pytest.raises(HentouError, match=f"lab {lab_name} is being started"):
            remove(lab_name)
        starting.communicate()
    assert starting.returncode == 0


def test_a_browser_stands_at_the_laptop(plain: Lab) -> None:
    machine = plain.machine("rack-1")
    machine.succeed("systemctl start nginx")
    for place in ("home/laptop", "visitor"):
        proxy = open_proxy(plain, place, port=10899)
        seen = subprocess.run(
            ["curl", "-fsS", "--noproxy", "", "--proxy", proxy.address, "http://203.0.113.20/"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "nginx" in seen.stdout
    with pytest.raises(HentouError, match="no place for a browser"):
        open_proxy(plain, "home-1")
