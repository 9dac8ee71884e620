"""The lab's images: a Debian of our recipe, and over it hentou as its bundle installs it. Both are cached."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from hentou.effects import clock, locks, mounts, process
from hentou.lab import packages

CACHE = Path("/var/cache/hentou/lab")
"""Where images are kept; deleting it costs a minute, no more."""

EPOCH = 1735689600
"""The time that stands in every file the image's build makes (SOURCE_DATE_EPOCH): 2025-01-01."""

Progress = Callable[[str], None]

_PRESET = """\
# Nothing starts because a package was installed: what runs is in a generation, or here.
enable systemd-networkd.service
enable dbus.service
enable dbus.socket
disable *
"""

_NETWORK = """\
# Until a generation says otherwise: what the box offers.
[Match]
Name=en* eth*

[Network]
DHCP=yes

[DHCPv4]
ClientIdentifier=mac
UseHostname=no
"""

_FILES = {
    "usr/lib/systemd/system-preset/00-hentou.preset": _PRESET,
    "usr/lib/systemd/network/80-hentou.network": _NETWORK,
    # Empty, not absent: absent means first boot to systemd, which would apply every preset again.
    "etc/machine-id": "",
}

_REMOVED = (
    "etc/resolv.conf", "etc/hostname", "etc/ssh/ssh_host_*", "var/lib/systemd/random-seed", "var/log/*.log",
    "var/log/apt/*", "var/log/journal/*", "var/cache/ldconfig/aux-cache", "var/lib/dbus/machine-id",
)  # fmt: skip
"""Of the host or of one moment: an image that many machines share must not hold it."""

_OPTIONS = (
    "--variant=minbase",
    '--aptopt=Acquire::Languages "none"',
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
)

_CONFINED = (
    "setpriv", "--pdeathsig", "KILL",
    "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
)  # fmt: skip
"""A build dies whole with the command that asked for it, and what it had mounted is gone with it."""

_INSTALL = """\
set -eu
root=$1 bundle=$2 lower=$3 upper=$4 work=$5
mount -t overlay hentou -o "lowerdir=$lower,upperdir=$upper,workdir=$work" "$root"
mkdir "$root/bundle"
mount --bind "$bundle" "$root/bundle"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount --rbind /dev "$root/dev"
chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 sh /bundle/install.sh
umount "$root/bundle"
rmdir "$root/bundle"
"""


def base_image(cache: Path = CACHE, mirror: str | None = None, progress: Progress = lambda _: None) -> Path:
    """The directory of the base image, built when this recipe has not been built yet.

    `mirror` is a Debian archive's address; by default mmdebstrap's own.
    """
    target = cache / f"base-{_base_key()}"
    with locks.exclusive(cache):
        if target.is_dir():
            progress("base image: cached")
            return target
        progress(f"base image: building Debian {packages.RELEASE} with {len(packages.IMAGE)} packages (about a minute)")
        with _made(target) as partial:
            _debootstrap(partial, mirror)
            _finish(partial)
    return target


def bundle_layer(base: Path, bundle: Path, cache: Path = CACHE, progress: Progress = lambda _: None) -> Path:
    """The layer that the bundle's `install.sh` makes over the base image; built when either changed."""
    target = cache / f"bundle-{_digest([base.name, *_contents(bundle)])}"
    with locks.exclusive(cache):
        if target.is_dir():
            progress("hentou's layer: cached")
            return target
        progress("hentou's layer: installing the bundle over the base image")
        with _made(target) as partial:
            scratch = partial.with_name(f"{partial.name}.scratch")
            for directory in (scratch / "root", scratch / "work"):
                directory.mkdir(parents=True)
            offline = [*_CONFINED, "--net", "sh", "-c", _INSTALL, "install"]
            process.run([*offline, scratch / "root", bundle, base, partial, scratch / "work"], timeout=300)
            mounts.remove(scratch)
        _prune(cache, {base, target})
    return target


def _base_key() -> str:
    recipe = [packages.RELEASE, packages.IMAGE, _FILES, _REMOVED, _OPTIONS, EPOCH]
    return _digest([json.dumps(recipe)])


def _digest(parts: list[str]) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:16]


def _contents(directory: Path) -> list[str]:
    found = sorted(path for path in directory.rglob("*") if path.is_file())
    return [f"{path.relative_to(directory)} {sha256(path.read_bytes()).hexdigest()}" for path in found]


@contextmanager
def _made(target: Path) -> Iterator[Path]:
    """A directory to build in, which becomes `target` only when it is whole."""
    partial = target.with_name(f"{target.name}.partial")
    for left in target.parent.glob("*.partial*"):  # of a build that was killed; the lock is ours
        mounts.remove(left)
    partial.mkdir(mode=0o755)
    yield partial
    partial.rename(target)


def _debootstrap(target: Path, mirror: str | None) -> None:
    command = ["mmdebstrap", "--quiet", *_OPTIONS, f"--include={','.join(packages.IMAGE)}", packages.RELEASE]
    where = [str(target), *([mirror] if mirror else [])]
    process.run([*_CONFINED, "env", f"SOURCE_DATE_EPOCH={EPOCH}", *command, *where], timeout=1800)


def _finish(root: Path) -> None:
    for pattern in _REMOVED:
        for path in root.glob(pattern):
            if path.is_symlink() or path.is_file():
                path.unlink()
            else:
                mounts.remove(path)
    for name, text in _FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    process.run(["systemctl", f"--root={root}", "preset-all"])


def _prune(cache: Path, keep: set[Path]) -> None:
    """Remove images older than a day that no lab uses: every change of hentou makes one."""
    used = Path("/proc/self/mounts").read_text()
    yesterday = clock.now().timestamp() - 86400
    for image in {*cache.glob("base-*"), *cache.glob("bundle-*")} - keep:
        if image.stat().st_ctime < yesterday and str(image) not in used:
            mounts.remove(image)
