"""Who has an account where, and where keys lie."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import get_args, get_type_hints

import pytest
from feature_world import ERWAN, FILES, YUNA, generation, text

from hentou.cli.attach import attach
from hentou.cli.detach import detach
from hentou.generation.generation import Generation

SSHD = "/etc/ssh/sshd_config.d/10-hentou.conf"
SUDOERS = "/etc/sudoers.d/hentou"


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


MAIWENN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN8cYwPVbYRCiGvlRnqAQ0tOqgTGJPNeGWyCSN1J maiwenn"
REFERENTS: dict[str, str | None] = {
    "sites/quay.yaml": f"referents: [maiwenn, loic, erwan, yuna]\n{FILES['sites/quay.yaml']}",
    "people/maiwenn.yaml": f"full_name: Maiwenn Riou\nssh: ['{MAIWENN}']\n",
    "people/loic.yaml": "full_name: Loic without a key\n",
    "people/erwan.yaml": f"full_name: Erwan Tanguy\nssh: ['{ERWAN} at his site']\n",
}


def test_a_referent_with_a_key_has_an_account_at_their_site_and_nowhere_else() -> None:
    made = generation("anchor", REFERENTS)
    assert people(made) == ["erwan", "maiwenn"]
    assert "AllowUsers erwan maiwenn\n" in text(made, SSHD)
    assert text(made, "/etc/ssh/authorized_keys.d/maiwenn") == f"restrict,pty {MAIWENN}\n"
    for elsewhere in ("heather", "gorse", "east", "west"):
        other = generation(elsewhere, REFERENTS)
        assert "maiwenn" not in people(other)
        assert "maiwenn" not in text(other, SSHD) + text(other, SUDOERS)


def test_a_referent_has_no_group_that_could_do_more() -> None:
    users = {user.name: user for user in generation("anchor", REFERENTS).manifest.users}
    assert users["maiwenn"].groups == ()
    assert users["erwan"].groups == ("sudo",)


def test_a_referent_forwards_nothing() -> None:
    made = text(generation("anchor", REFERENTS), SSHD)
    general, _, own = made.partition("Match User maiwenn\n")
    assert "DisableForwarding yes" in own
    assert "PermitTunnel no" in own
    assert "Match" not in general
    # What Debian's own file says further down must not hold for référents alone.
    assert own.endswith("Match all\n")


def test_a_referent_who_is_an_admin_keeps_the_admins_rights_and_keys() -> None:
    """Keys of people/ count for no admin: the roster's threshold does not guard that file."""
    made = generation("anchor", REFERENTS)
    assert text(made, "/etc/ssh/authorized_keys.d/erwan") == f"{ERWAN}\n"
    assert "erwan" not in text(made, SUDOERS)


def test_an_admin_of_other_machines_is_a_plain_referent_here() -> None:
    own = MAIWENN.replace("maiwenn", "yuna as a referent")
    changes = {**REFERENTS, "people/maiwenn.yaml": "{}\n", "people/yuna.yaml": f"full_name: Yuna\nssh: ['{own}']\n"}
    made = generation("anchor", changes)
    assert people(made) == ["erwan", "yuna"]
    assert text(made, "/etc/ssh/authorized_keys.d/yuna") == f"restrict,pty {own}\n"
    assert "yuna ALL=(root)" in text(made, SUDOERS)
    assert text(generation("heather", changes), "/etc/ssh/authorized_keys.d/yuna") == f"{YUNA}\n"


def test_without_referents_nothing_is_said_of_them() -> None:
    made = generation("anchor")
    assert "hentou" not in text(made, SUDOERS)
    assert "Match" not in text(made, SSHD)


ALLOWED = (
    "detach", "detach --why the festival --until 3d", "detach --json", "attach", "attach --yes", "attach --dry-run",
    "status", "status --json", "log", "log --json", "log heather", "log heather replaced the disk",
    "log --json heather", "log -- heather old -> new", "log --json -- heather see -C",
)  # fmt: skip
FORBIDDEN = (
    "", "converge", "converge --repo /home/maiwenn/x", "pin", "pin --replace", "sync", "rollback", "secret show dns",
    "--debug status", "statuses", "detachment", "attach\nconverge", "status -C /home/maiwenn/x",
    "status --json --repo /home/maiwenn/x", "log -C /home/maiwenn/x", "log heather -C /home/maiwenn/x",
    "log heather text --directory=/home/maiwenn/x", "log --json -C /home/maiwenn/x heather", "log heather  -C /x",
    "log  -C /x", "log --offline -C /x", "log heather text\n -C /x", "log -n 3 -C /x",
)  # fmt: skip


def _allowed() -> list[str]:
    """The patterns of words that référents may give to hentou as root, as sudo(8) reads them."""
    rules = text(generation("anchor", REFERENTS), SUDOERS).replace("\\\n", " ")
    (alias,) = re.findall(r"^Cmnd_Alias HENTOU_SITE = (.*)$", rules, re.MULTILINE)
    found = re.findall(r"/usr/bin/hentou \^(.*?)\$(?:,|$)", alias)
    assert len(found) == alias.count("/usr/bin/") == 4
    return found


def test_what_a_referent_may_do_as_root_is_this_and_nothing_else() -> None:
    patterns = _allowed()
    for words in ALLOWED:
        assert any(re.fullmatch(pattern, words) for pattern in patterns), words
    for words in FORBIDDEN:
        assert not any(re.fullmatch(pattern, words) for pattern in patterns), words
    made = text(generation("anchor", REFERENTS), SUDOERS)
    assert "maiwenn ALL=(root) CWD=/ NOPASSWD: NOSETENV: HENTOU_SITE\n" in made


@pytest.mark.parametrize("verb", [attach, detach])
def test_no_option_of_what_takes_any_words_names_a_file(verb: Callable[..., None]) -> None:
    """Root would read or write it: `detach` and `attach` are open to every argument."""
    kinds = {get_args(kind)[0] for kind in get_type_hints(verb, include_extras=True).values() if get_args(kind)}
    assert kinds == {str, bool}
