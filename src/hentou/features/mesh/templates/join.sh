#!/bin/bash
# Joins {{ machine }} to the mesh of {{ collective }}. Read it, then run it as root on {{ machine }}.
# It writes /etc/wireguard/hentou.key and hentou.conf, starts the tunnel and a unit for each gateway that keeps it
# alive, and touches nothing else.
# To leave again: systemctl disable --now wg-quick@hentou 'hentou-mesh-*'
#                 rm /etc/wireguard/hentou.{conf,key} /etc/systemd/system/hentou-mesh-*.service
set -euo pipefail
umask 077

if [ "$(id -u)" -ne 0 ]; then
    echo "run this as root: sudo bash $0" >&2
    exit 1
fi
if ! command -v wg-quick >/dev/null; then
    echo "WireGuard's tools are missing; on Debian and YunoHost: apt install wireguard-tools" >&2
    exit 1
fi

mkdir -p /etc/wireguard
key=/etc/wireguard/hentou.key
if [ ! -s "$key" ]; then
    wg genkey >"$key.new"
    mv "$key.new" "$key"
fi

cat >/etc/wireguard/hentou.conf <<'END'
{{ configuration }}END

{% for name, unit in units.items() %}
cat >/etc/systemd/system/{{ name }} <<'END'
{{ unit }}END
chmod 0644 /etc/systemd/system/{{ name }}

{% endfor %}
units=(wg-quick@hentou.service{% for name in units %} {{ name }}{% endfor %})
systemctl daemon-reload
systemctl enable "${units[@]}"
systemctl restart "${units[@]}"

echo "Allow TCP port 443 from {{ prefix }} in this machine's firewall."
echo "Then send this line to {{ contact }}; it is public, a mail will do:"
echo "{{ machine }} wireguard $(wg pubkey <"$key")"
