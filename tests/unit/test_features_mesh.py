"""Who talks to whom in the mesh, and what an external machine is given."""

from __future__ import annotations

from feature_world import compiler, generation, text, wireguard

from hentou.features.mesh import join_script, peers


def peers_of(machine: str, changes: dict[str, str | None] | None = None) -> dict[str, tuple[str, bool]]:
    """What each peer may send from, and whether it is called."""
    collective = compiler(changes).collective
    found = peers(collective, collective.machines[machine])
    return {peer.name: (peer.allowed, bool(peer.endpoint)) for peer in found}


def address(machine: str) -> str:
    collective = compiler().collective
    return f"{collective.mesh_address(collective.machines[machine])}/128"


def test_site_calls_every_gateway_and_the_first_relays() -> None:
    prefix = compiler().collective.mesh_prefix
    assert peers_of("heather") == {"east": (f"{prefix}::/64", True), "west": (address("west"), True)}


def test_next_gateway_relays_when_the_first_is_not_enrolled() -> None:
    prefix = compiler().collective.mesh_prefix
    assert peers_of("heather", {"keys/east.yaml": None}) == {"west": (f"{prefix}::/64", True)}


def test_gateway_is_called_by_everyone_who_is_enrolled() -> None:
    assert peers_of("east") == {
        "west": (address("west"), True),
        "anchor": (address("anchor"), False),
        "buoy": (address("buoy"), False),
        "heather": (address("heather"), False),
    }


def test_machine_that_is_not_enrolled_has_no_mesh() -> None:
    assert "/etc/wireguard/hentou.conf" not in generation("gorse").manifest.by_path


def test_private_key_is_nowhere_in_a_generation_nor_on_a_command_line() -> None:
    made = generation("heather")
    assert "PrivateKey" not in text(made, "/etc/wireguard/hentou.conf")
    drop_in = text(made, "/etc/systemd/system/wg-quick@hentou.service.d/hentou.conf")
    assert "cat /var/lib/hentou/keys/wireguard.key;" in drop_in
    assert "$(cat" not in drop_in


def test_external_machine_is_given_its_peers_and_keeps_its_key() -> None:
    collective = compiler().collective
    script = join_script(collective, collective.machines["buoy"])
    assert f"PublicKey = {wireguard('east')}\n" in script
    assert "PostUp = wg set %i private-key /etc/wireguard/hentou.key\n" in script
    assert "/var/lib/hentou" not in script


def test_another_address_restarts_the_tunnel_and_another_peer_reloads_it() -> None:
    drop_in = "/etc/systemd/system/wg-quick@hentou.service.d/hentou.conf"
    before, fewer = generation("heather"), generation("heather", {"keys/west.yaml": None})
    assert text(before, drop_in) == text(fewer, drop_in)
    assert text(before, "/etc/wireguard/hentou.conf") != text(fewer, "/etc/wireguard/hentou.conf")
    assert address("heather").removesuffix("/128") in text(before, drop_in)
