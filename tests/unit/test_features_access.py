"""Who has an account where, and where keys lie."""

from __future__ import annotations

from feature_world import FILES, generation, text

from hentou.generation.generation import Generation


def people(made: Generation) -> list[str]:
    return [user.name for user in made.manifest.users if user.shell == "/bin/bash"]


def test_everyone_of_the_roster_has_an_account_by_default() -> None:
    assert people(generation("heather")) == ["erwan", "yuna"]


def test_a_machine_may_name_groups() -> None:
    made = generation("anchor")
    assert people(made) == ["erwan"]
    assert "AllowUsers erwan\n" in text(made, "/etc/ssh/sshd_config.d/10-hentou.conf")
    assert "/etc/ssh/authorized_keys.d/yuna" not in made.manifest.by_path


def test_who_is_in_a_group_but_not_in_the_roster_does_not_enter() -> None:
    changes = {
        "collective.yaml": FILES["collective.yaml"].replace("[erwan]", "[erwan, maiwenn]"),
        "people/maiwenn.yaml": "full_name: Maiwenn Riou\n",
    }
    assert people(generation("anchor", changes)) == ["erwan"]


def test_keys_are_roots_and_ids_are_the_same_everywhere() -> None:
    entry = generation("heather").manifest.by_path["/etc/ssh/authorized_keys.d/yuna"]
    assert (entry.owner, entry.mode) == ("root", 0o644)
    ids = {
        user.uid
        for machine in ("heather", "gorse", "east")
        for user in generation(machine).manifest.users
        if user.name == "yuna"
    }
    assert len(ids) == 1


def test_neither_root_nor_passwords() -> None:
    made = text(generation("east"), "/etc/ssh/sshd_config.d/10-hentou.conf")
    for line in ("PermitRootLogin no", "PasswordAuthentication no", "KbdInteractiveAuthentication no"):
        assert f"{line}\n" in made
