"""The bundle: everything a machine needs to run hentou, installed offline by one script."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from hentou.admin.enrol import member
from hentou.admin.workcopy import WorkCopy
from hentou.agent import carried
from hentou.effects.process import run
from hentou.errors import HentouError
from hentou.ledger.statements import REF
from hentou.trust.acceptance import Trust

PYTHON = "3.13"
"""The Python of Debian 13, which the bundle's wheels are for."""

_PLATFORMS = {
    "amd64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "arm64": ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
}


def source_root() -> Path:
    """The checkout this hentou runs from; the bundle is built of it."""
    root = Path(__file__).resolve().parents[3]
    if not (root / "pyproject.toml").is_file():
        raise HentouError(
            "this hentou was installed without its sources, of which the bundle is built",
            "run it from a checkout: make setup && .venv/bin/hentou …",
        )
    return root


def build_bundle(target: Path, arch: str = "amd64", progress: Callable[[str], None] = lambda _: None) -> Path:
    """Make or refresh the bundle in `target`: wheels, lock, hentou's own wheel, `install.sh`.

    Wheels are fetched only when the lock changed, hentou's own wheel is built only when its sources did.
    """
    root = source_root()
    target.mkdir(parents=True, exist_ok=True)
    lock = root / "requirements" / "runtime.txt"
    if _stale(target / "wheels.key", key := _digest([lock]) + arch):
        progress("fetching the locked wheels")
        fetch_wheels(lock, target / "wheels", arch, "--require-hashes")
        shutil.copy(lock, target / "requirements.txt")
        (target / "wheels.key").write_text(key)
    sources = sorted(p for p in (root / "src").rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    if _stale(target / "hentou.key", key := _digest([root / "pyproject.toml", *sources])):
        progress("building hentou's own wheel")
        for old in target.glob("hentou-*.whl"):
            old.unlink()
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", target, root])
        shutil.copy(root / "src/hentou/agent/install.sh", target / "install.sh")
        (target / "hentou.key").write_text(key)
    return target


def for_machine(bundle: Path, repository: Path, machine: str) -> Trust:
    """Add to a bundle what makes it one machine's: its name, whom it obeys, and the repository as accepted.

    HentouError when the collective describes no such machine, or nothing was published yet.
    """
    copy = WorkCopy(repository)
    member(copy.collective(), machine)
    trust = copy.trust
    if trust is None or not trust.sequence:
        raise HentouError("nothing of this collective was published yet", "publish first: `hentou publish`")
    if machine not in copy.collective(trust.head).machines:
        raise HentouError(f"{machine} is described, but that was not published yet", "publish first: `hentou publish`")
    general(bundle)
    copy.store.update({carried.HEAD: trust.head})
    try:
        file = (bundle / carried.REPOSITORY).resolve()
        copy.store.git("bundle", "create", "--quiet", file, carried.HEAD, REF, timeout=600)
    finally:
        copy.store.update({carried.HEAD: ""})
    (bundle / carried.MACHINE).write_text(f"{machine}\n")
    (bundle / carried.TRUST).write_bytes(trust.json)
    return trust


def general(bundle: Path) -> None:
    """Make a bundle any machine's again."""
    for name in (carried.TRUST, carried.MACHINE, carried.REPOSITORY):
        (bundle / name).unlink(missing_ok=True)


def fetch_wheels(requirements: Path, wheels: Path, arch: str = "amd64", *options: str) -> None:
    """Put the wheels that a machine's Python needs for a file of requirements into `wheels`, and nothing else."""
    shutil.rmtree(wheels, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download"]
    command += [*options, "--only-binary", ":all:", "--python-version", PYTHON]
    command += [word for platform in _PLATFORMS[arch] for word in ("--platform", platform)]
    run([*command, "--implementation", "cp", "--dest", wheels, "--requirement", requirements], timeout=600)


def _stale(stamp: Path, key: str) -> bool:
    return not stamp.is_file() or stamp.read_text() != key


def _digest(paths: list[Path]) -> str:
    digest = sha256()
    for path in paths:
        digest.update(f"{path.name}\0".encode())
        digest.update(sha256(path.read_bytes()).digest())
    return digest.hexdigest()
