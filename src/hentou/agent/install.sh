#!/bin/sh
# Install hentou on this machine from the bundle this script lies in: offline, twice the same.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=/opt/hentou

if [ "$(id -u)" != 0 ]; then
    echo "install.sh: not root, so nothing was changed; run it with sudo" >&2
    exit 1
fi
python3 -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' || {
    echo "install.sh: needs Python 3.11 or newer with venv; run: apt-get install python3-venv" >&2
    exit 1
}
if [ -f "$here/trust.json" ]; then
    for program in git wg ssh-keygen; do
        command -v "$program" >/dev/null || {
            echo "install.sh: needs $program; run: apt-get install git wireguard-tools openssh-server" >&2
            exit 1
        }
    done
fi

[ -x "$home/bin/python" ] || python3 -m venv "$home"
pip() { "$home/bin/python" -m pip --quiet --disable-pip-version-check --no-cache-dir "$@"; }
pip install --no-index --find-links "$here/wheels" --require-hashes --requirement "$here/requirements.txt"
pip install --no-index --no-deps --force-reinstall "$here"/hentou-*.whl
ln -sfn "$home/bin/hentou" /usr/bin/hentou

install -d -m 0755 /etc/hentou
# Services keep their data below it: they may pass through, not look around. Keys and the repository are root's alone.
install -d -m 0711 /var/lib/hentou
install -d -m 0700 /var/lib/hentou/keys /var/lib/hentou/repo.git
units=$("$home/bin/python" -c 'import hentou.agent, pathlib; print(pathlib.Path(hentou.agent.__file__).parent / "units")')
install -m 0644 "$units"/*.service "$units"/*.timer /usr/lib/systemd/system/
# Recovery must run whatever a generation says, so it is wired in beside the units, not enabled by one.
install -d /usr/lib/systemd/system/multi-user.target.wants
install -d /usr/lib/systemd/system/sysinit.target.wants /usr/lib/systemd/system/timers.target.wants
ln -sfn ../hentou-agent.service /usr/lib/systemd/system/multi-user.target.wants/hentou-agent.service
ln -sfn ../hentou-recover.service /usr/lib/systemd/system/sysinit.target.wants/hentou-recover.service
ln -sfn ../hentou-welcome.service /usr/lib/systemd/system/multi-user.target.wants/hentou-welcome.service
ln -sfn ../hentou-renew.timer /usr/lib/systemd/system/timers.target.wants/hentou-renew.timer
# A bundle for one machine says which one it is, and whom it obeys.
[ ! -f "$here/trust.json" ] || "$home/bin/python" -I -m hentou.agent.carried "$here"
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl start --no-block hentou-welcome.service
    # One that runs already notices by itself that it was updated, and waits for what it is doing to end.
    systemctl start --no-block hentou-agent.service
fi
