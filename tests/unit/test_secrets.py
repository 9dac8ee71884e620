"""Secrets in a working copy, with real keys: who reads them, who could, and what leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyrage import ssh
from secret_world import World, world

from hentou.admin import flat, secrets
from hentou.admin.generators import make
from hentou.effects.process import run
from hentou.errors import HentouError, InvalidCollectiveError
from hentou.model.secrets import generator, stale

pytestmark = pytest.mark.integration


@pytest.fixture
def here(tmp_path: Path) -> World:
    return world(tmp_path)


def told(here: World) -> list[str]:
    return [str(found) for found in stale(here.load())]


def test_exactly_those_named_can_read(here: World) -> None:
    secrets.put(here.top, "door", b"sesame\n", machines=("anchor",), admins=("yuna",))
    for name in ("yuna", "anchor"):
        assert secrets.read(here.top, "door", [here.private[name]]) == b"sesame\n"
    for name in ("erwan", "buoy"):
        with pytest.raises(HentouError, match="it was encrypted for: admin yuna, machine anchor"):
            secrets.read(here.top, "door", [here.private[name]])
    assert here.load().secrets["door"].machines == ("anchor",)
    assert b"sesame" not in b"".join(file.read_bytes() for file in here.top.rglob("*") if file.is_file())


def test_all_admins_read_by_default_and_no_machine(here: World) -> None:
    assert secrets.put(here.top, "authority", b"key") == ("secrets/authority.age", "secrets/authority.yaml")
    for name in ("yuna", "erwan"):
        assert secrets.read(here.top, "authority", [here.private[name]]) == b"key"
    with pytest.raises(HentouError):
        secrets.read(here.top, "authority", [here.private["anchor"]])
    assert set(here.text("secrets/authority.yaml").split(":")[0].split()) == {"rotated"}


def test_comments_and_order_survive(here: World) -> None:
    secrets.put(here.top, "door", b"one", machines=("anchor",))
    here.write("secrets/door.yaml", "# why it is there\n" + here.text("secrets/door.yaml") + "# the end\n")
    secrets.put(here.top, "door", b"two", mode="0440", group="www-data")
    text = here.text("secrets/door.yaml")
    assert text.startswith("# why it is there\nmachines: [anchor]\n")
    assert "# the end" in text
    assert here.load().secrets["door"].group == "www-data"


def test_an_admin_who_leaves_keeps_it_red_until_rotation(here: World) -> None:
    secrets.put(here.top, "wifi", b"old", machines=("anchor",), generator="password 24")
    assert told(here) == []
    here.admit(yuna=here.private["yuna"].with_suffix(".key.pub").read_text().strip())
    assert told(here) == ["wifi: admin erwan left the roster"]
    secrets.rekey(here.top, "wifi", [here.private["yuna"]])
    assert told(here) == ["wifi: admin erwan left the roster"], "encrypting again is not rotating"
    with pytest.raises(HentouError):
        secrets.read(here.top, "wifi", [here.private["erwan"]])
    made, files = secrets.rotate(here.top, "wifi")
    assert told(here) == []
    assert files == ("secrets/wifi.age", "secrets/wifi.yaml")
    assert secrets.read(here.top, "wifi", [here.private["yuna"]]) == made.value != b"old"


def test_the_same_value_again_is_no_rotation(here: World) -> None:
    secrets.put(here.top, "wifi", b"old", machines=("anchor", "buoy"))
    (here.top / "keys/buoy.yaml").unlink()
    assert told(here) == ["wifi: machine buoy was struck out"]
    secrets.put(here.top, "wifi", b"old", identities=[here.private["yuna"]])
    assert told(here) == ["wifi: machine buoy was struck out"]
    secrets.put(here.top, "wifi", b"new", identities=[here.private["yuna"]])
    assert told(here) == []


def test_a_lost_key_and_a_lost_right_are_red_too(here: World) -> None:
    secrets.put(here.top, "wifi", b"v", machines=("anchor", "buoy"))
    here.enrol("anchor")
    secrets.regrant(here.top, [here.private["yuna"]])
    assert told(here) == ["wifi: machine anchor had another key then"]
    assert secrets.read(here.top, "wifi", [here.private["anchor"]]) == b"v"
    secrets.put(here.top, "wifi", b"v", machines=("anchor",), admins=("yuna",), identities=[here.private["yuna"]])
    assert told(here) == [
        "wifi: admin erwan lost the right to it",
        "wifi: machine anchor had another key then",
        "wifi: machine buoy lost the right to it",
    ]


def test_regrant_takes_out_who_is_gone_and_touches_nothing_else(here: World) -> None:
    secrets.put(here.top, "one", b"1", machines=("anchor", "buoy"))
    secrets.put(here.top, "two", b"2", machines=("anchor",), admins=("yuna",))
    secrets.put(here.top, "three", b"3", machines=("anchor",), admins=("yuna",))
    here.write("secrets/two.yaml", here.text("secrets/two.yaml").replace("[yuna]", "[yuna, erwan]"))
    here.admit(yuna=here.private["yuna"].with_suffix(".key.pub").read_text().strip())
    here.write("sites/quay.yaml", here.text("sites/quay.yaml").replace("  buoy: {address: 192.168.1.241}\n", ""))
    (here.top / "keys/buoy.yaml").unlink()
    with pytest.raises(InvalidCollectiveError) as caught:
        here.load()
    assert [problem.message for problem in caught.value.problems] == [
        "no machine is called buoy",
        "erwan is not in the roster",
    ]
    done = secrets.regrant(here.top, [here.private["yuna"]])
    assert (sorted(done.files), done.refused) == (
        ["secrets/one.age", "secrets/one.yaml", "secrets/two.age", "secrets/two.yaml"],
        {},
    )
    assert here.load().secrets["one"].machines == ("anchor",)
    assert here.load().secrets["two"].admins == ("yuna",)
    again = secrets.regrant(here.top, [here.private["yuna"]])
    assert sorted(again.files) == ["secrets/one.age", "secrets/one.yaml"], "red: erwan and buoy could read it"


def test_a_new_machine_waits_for_somebody_who_can_read(here: World) -> None:
    (here.top / "keys/buoy.yaml").unlink()
    secrets.put(here.top, "wifi", b"v", machines=("anchor", "buoy"), admins=("yuna",))
    assert here.load().secrets["wifi"].machines == ("anchor", "buoy")
    here.enrol("buoy")
    with pytest.raises(InvalidCollectiveError, match=r"wifi\.age is not encrypted for buoy"):
        here.load()
    assert list(secrets.regrant(here.top, [here.private["erwan"]]).refused) == ["wifi"]
    assert secrets.regrant(here.top, [here.private["yuna"]]).files == ("secrets/wifi.age", "secrets/wifi.yaml")
    assert secrets.read(here.top, "wifi", [here.private["buoy"]]) == b"v"
    assert secrets.regrant(here.top, [here.private["yuna"]]).files == ()


def test_who_cannot_read_a_secret_can_still_strike_out_who_could(here: World) -> None:
    secrets.put(here.top, "mine", b"v", machines=("buoy",), admins=("erwan",))
    here.admit(yuna=here.private["yuna"].with_suffix(".key.pub").read_text().strip())
    here.write("sites/quay.yaml", here.text("sites/quay.yaml").replace("  buoy: {address: 192.168.1.241}\n", ""))
    (here.top / "keys/buoy.yaml").unlink()
    done = secrets.regrant(here.top, [here.private["yuna"]])
    assert (done.files, list(done.refused)) == (("secrets/mine.yaml",), ["mine"])
    assert told(here) == ["mine: admin erwan left the roster", "mine: machine buoy was struck out"]


def test_an_age_key_goes_before_ssh_keys(here: World) -> None:
    here.write("people/yuna.yaml", f"age: [{here.age_key('yuna-age')}]\n")
    secrets.put(here.top, "door", b"v")
    assert secrets.read(here.top, "door", [here.private["yuna-age"]]) == b"v"
    with pytest.raises(HentouError):
        secrets.read(here.top, "door", [here.private["yuna"]])


def test_a_second_key_of_the_same_person_makes_nothing_red(here: World) -> None:
    secrets.put(here.top, "door", b"v", admins=("yuna",))
    here.write("people/yuna.yaml", f"age: [{here.age_key('yuna-age')}]\n")
    assert secrets.regrant(here.top, [here.private["yuna"]]).files
    assert told(here) == []
    assert secrets.read(here.top, "door", [here.private["yuna-age"]]) == b"v"
    assert secrets.regrant(here.top, [here.private["yuna-age"]]).files == ()
    here.admit(yuna=here.ssh("yuna"), erwan=here.private["erwan"].with_suffix(".key.pub").read_text().strip())
    assert told(here) == ["door: admin yuna had another key then"]


def test_keys_that_age_cannot_use_are_told(here: World) -> None:
    here.admit(yuna=here.ssh("yuna", "-t", "ecdsa", "-N", ""), erwan=here.ssh("erwan"))
    secrets.put(here.top, "door", b"v")
    with pytest.raises(InvalidCollectiveError) as caught:
        here.load()
    (problem,) = caught.value.problems
    assert problem.message == "yuna may read secrets, but has no key for it: age cannot use hardware keys, nor ECDSA"
    assert problem.hint == "add `age:` to people/yuna.yaml; `hentou secret key` makes one"
    here.admit(yuna=here.ssh("yuna", "-t", "ecdsa", "-N", ""))
    with pytest.raises(HentouError, match="nobody could read lock"):
        secrets.put(here.top, "lock", b"v")


def test_a_private_key_behind_a_passphrase(here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here.admit(yuna=here.ssh("yuna", "-t", "ed25519", "-N", "long and good"))
    secrets.put(here.top, "door", b"v")
    locked = here.private["yuna"].read_bytes()
    monkeypatch.delenv("SSH_ASKPASS_REQUIRE", raising=False)
    with pytest.raises(HentouError, match="behind a passphrase, and nobody is here to type it") as caught:
        secrets.read(here.top, "door", [here.private["yuna"]])
    assert "hentou secret key" in caught.value.hint
    # As a person would, a program types it for ssh-keygen.
    typist = tmp_path / "typist"
    typist.write_text("#!/bin/sh\necho 'wrong'\n")
    typist.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(typist))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    with pytest.raises(HentouError, match="incorrect passphrase"):
        secrets.read(here.top, "door", [here.private["yuna"]])
    typist.write_text("#!/bin/sh\necho 'long and good'\n")
    assert secrets.read(here.top, "door", [here.private["yuna"]]) == b"v"
    typist.unlink()
    assert secrets.read(here.top, "door", [here.private["yuna"]]) == b"v", "it is asked for once"
    assert here.private["yuna"].read_bytes() == locked


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"machines": ("anker",)}, "no machine is called anker"),
        ({"machines": ("cabin",)}, "cabin is external: hentou never puts a secret there"),
        ({"admins": ("nobody",)}, "nobody is not in the roster"),
        ({"admins": ()}, "nobody may read x"),
        ({"generator": "poem 3"}, "no generator is called 'poem'"),
        ({"generator": "password 3"}, "'password 3' is no length for password"),
        ({"unit": "postfix"}, "'postfix' is no systemd unit"),
        ({"owner": "a b"}, "'a b' is no account's name"),
        ({"path": "/home/x"}, "/home/x is not under /run, /etc or /var/lib"),
        ({"path": "/etc/../root/x"}, "/etc/../root/x leads elsewhere than it says"),
        ({"path": "/run/hentou/secrets/y"}, "/run/hentou/secrets/y is in the way of what is at /run/hentou"),
        ({"path": "/var/lib/hentou/keys/age.key"}, "is in the way of what is at /var/lib/hentou/keys"),
        ({"path": "/var/lib/hentou/state.json"}, "/var/lib/hentou/state.json is hentou's own"),
        ({"path": "/etc/shadow"}, "/etc/shadow is in the way of what is at /etc/shadow"),
        ({"mode": "0644"}, "0644"),
    ],
)
def test_terms_that_make_no_sense_write_nothing(here: World, terms: dict[str, str], message: str) -> None:
    with pytest.raises(HentouError) as caught:
        secrets.put(here.top, "x", b"v", **terms)  # type: ignore[arg-type]
    assert message in caught.value.message
    assert caught.value.hint
    assert not (here.top / "secrets").exists()


@pytest.mark.parametrize("name", ["../x", "X", "a/b", "", "x" * 31])
def test_a_name_is_a_name(here: World, name: str) -> None:
    with pytest.raises(HentouError, match="is not a name"):
        secrets.put(here.top, name, b"v")


def test_data_is_no_secret(here: World) -> None:
    with pytest.raises(HentouError, match="the value of door has more than 100,000 bytes"):
        secrets.put(here.top, "door", b"x" * 100_001)


def test_a_damaged_value_is_told_and_mended_by_a_new_one(here: World) -> None:
    secrets.put(here.top, "door", b"v")
    file = here.top / "secrets/door.age"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(HentouError, match=r"secrets/door\.age is damaged"):
        secrets.read(here.top, "door", [here.private["yuna"]])
    file.write_bytes(b"sesame")
    with pytest.raises(InvalidCollectiveError, match="not encrypted"):
        here.load()
    secrets.put(here.top, "door", b"w")
    assert secrets.read(here.top, "door", [here.private["yuna"]]) == b"w"


@pytest.mark.parametrize(
    ("spec", "length"), [("password 24", 24), ("passphrase 6", 35), ("hex 32", 64), ("base64 30", 40)]
)
def test_generators_make_what_they_say(spec: str, length: int) -> None:
    one, other = make(spec), make(spec)
    assert len(one.value) == len(other.value) == length
    assert one.value != other.value
    assert one.value.decode() not in repr(one)


def test_generated_keys_are_keys(tmp_path: Path) -> None:
    made, file = make("ssh-ed25519"), tmp_path / "key"
    file.touch(0o600)
    file.write_bytes(made.value)
    assert run(["ssh-keygen", "-y", "-f", file]).stdout.split()[:2] == made.public.split()[:2]
    assert ssh.Recipient.from_str(made.public)
    assert make("age").public.startswith("age1")
    assert run(["wg", "pubkey"], stdin=make("wireguard").value, check=False).status in (0, 127)


def test_a_generator_without_its_number_is_told() -> None:
    with pytest.raises(HentouError, match="is no length for hex"):
        generator("hex")
    with pytest.raises(HentouError, match="age takes no number"):
        generator("age 3")


def test_flat_files_are_edited_by_lines() -> None:
    before = b'# top\nmachines:\n  - a\n  - b\n\n# of the mode\nmode: "0400"  # strict\n'
    after = flat.edit("f", before, {"machines": ("a", "c"), "mode": "0440", "unit": "x.service"})
    assert after == b'# top\nmachines: [a, c]\n\n# of the mode\nmode: "0440"  # strict\nunit: x.service\n'
    assert flat.edit("f", after, {"machines": ("a", "c")}) == after
    assert flat.edit("f", after, {"unit": None}) == after.removesuffix(b"unit: x.service\n")
    assert flat.edit("f", b"", {"unit": "yes"}) == b"unit: yes\n"


@pytest.mark.parametrize("text", [b"machines:\n  - a # the first\n  - b\n", b"{machines: [a]}\n"])
def test_flat_files_are_never_edited_wrongly(text: bytes) -> None:
    with pytest.raises(HentouError):
        flat.edit("f", text, {"machines": ("c",)})
