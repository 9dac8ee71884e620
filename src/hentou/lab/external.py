"""An external machine in the lab: somebody else's server, with a page of its own under TLS."""

from __future__ import annotations

from hentou.lab.machine import Machine

_PAGE = """\
<!doctype html><title>{name}</title><h1>{name}</h1><p>A {kind} that hentou never administers.</p>
"""

_NGINX = """\
server {
    listen 443 ssl default_server;
    listen [::]:443 ssl default_server;
    ssl_certificate /etc/ssl/certs/own.pem;
    ssl_certificate_key /etc/ssl/private/own.key;
    root /srv/own;
}
"""

_CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 "
    "-subj /CN={name} -keyout /etc/ssl/private/own.key -out /etc/ssl/certs/own.pem"
)


def furnish(machine: Machine) -> None:
    """Set it up as its own administrator would have: nginx with a self-signed certificate."""
    kind = machine.spec.external.kind if machine.spec.external else "machine"
    machine.copy_in(_PAGE.format(name=machine.name, kind=kind).encode(), "/srv/own/index.html")
    machine.copy_in(_NGINX.encode(), "/etc/nginx/conf.d/own.conf")
    machine.succeed(_CERTIFICATE.format(name=machine.name))
    machine.succeed("systemctl enable --quiet --now nginx")
