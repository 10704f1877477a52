# SPDX-License-Identifier: GPL-3.0-or-later
import os
from pathlib import Path

import pytest

from cig_cli.check import rights
from cig_cli.check.rights import People, Person
from cig_common.config import loads

ME = Person("me", os.geteuid(), frozenset(os.getgroups()))
OTHER = Person("other", 54321, frozenset({54321}))
MEMBER = Person("member", 54322, frozenset({os.getegid()}))
BOTH = People(ME, OTHER)


@pytest.fixture(autouse=True)
def open_way(tmp_path: Path) -> None:
    """Let everybody pass the folders that pytest makes for its user alone."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and "pytest" in str(folder):
            folder.chmod(0o755)


def test_who_may_what(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.touch()
    for mode, wanted in ((0o640, (True, False)), (0o604, (False, True)), (0o600, (False, False))):
        file.chmod(mode)
        assert (rights.may(MEMBER, file, 4), rights.may(OTHER, file, 4)) == wanted
    file.chmod(0o644)
    tmp_path.chmod(0o700)
    assert not rights.may(OTHER, file, 4)
    with pytest.raises(FileNotFoundError):
        rights.may(OTHER, tmp_path / "none", 4)


def test_cig_conf(tmp_path: Path) -> None:
    path = tmp_path / "cig.conf"
    assert "there is no" in rights.config_file(path, BOTH).found
    path.touch(0o644)
    assert rights.config_file(path, BOTH).state == "ok"
    path.chmod(0o600)
    row = rights.config_file(path, BOTH)
    assert (row.state, row.found) == ("fail", f"other may not read {path}")


def test_userdata(tmp_path: Path) -> None:
    folder = tmp_path / "userdata"
    assert rights.userdata_folder(folder, ME).state == "fail"
    folder.mkdir(0o700)
    assert rights.userdata_folder(folder, ME).state == "ok"
    assert "does not belong to other" in rights.userdata_folder(folder, OTHER).found
    for mode, state in ((0o750, "warn"), (0o770, "fail"), (0o500, "fail")):
        folder.chmod(mode)
        row = rights.userdata_folder(folder, ME)
        assert (row.state, row.advice) == (state, f"run: chmod 700 {folder}")
    file = tmp_path / "file"
    file.touch()
    assert rights.userdata_folder(file, ME).found.endswith("is no folder")


def test_keystore(tmp_path: Path) -> None:
    assert rights.keystore(tmp_path, ME).advice == "run: cig-cli set-key"
    path = tmp_path / ".ks.tel:8888"
    path.touch(0o600)
    assert rights.keystore(tmp_path, ME).state == "ok"
    assert rights.keystore(tmp_path, OTHER).state == "fail"
    path.chmod(0o640)
    row = rights.keystore(tmp_path, ME)
    assert (row.state, row.found) == ("fail", f"{path} has mode 0640")
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert rights.keystore(tmp_path, ME).state == "fail"


def test_folders_of_the_services(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert rights.service_folder("x", folder, BOTH, "make it").advice == "run: make it"
    folder.mkdir()
    assert rights.service_folder("x", folder, BOTH, "").found == "other may not write there"
    folder.chmod(0o777)
    assert rights.service_folder("x", folder, BOTH, "").state == "ok"
    file = tmp_path / "file"
    file.touch()
    assert rights.service_folder("x", file, BOTH, "").state == "fail"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not look")
def test_what_only_root_may_see_is_said_to_be_left_out(tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    (shut / "userdata").mkdir(parents=True)
    shut.chmod(0o700)
    os.seteuid(54321)
    try:
        seen = [
            rights.userdata_folder(shut / "userdata", ME),
            rights.config_file(shut / "cig.conf", BOTH),
            rights.service_folder("x", shut / "userdata", BOTH, ""),
            rights.keystore(shut / "userdata", ME),
        ]
    finally:
        os.seteuid(0)
    assert [(row.state, row.advice) for row in seen] == [("skip", rights.AS_ROOT)] * 4


def test_users_and_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"ciguser": 900, "cigserver": 901}
    monkeypatch.setattr(Person, "named", staticmethod(lambda name: known.get(name)))
    monkeypatch.setattr(rights, "_has_group", lambda name: name == "cig")
    plain = loads("interfaces { sip { bind ::1; } }")
    assert [row.state for row in rights.user_rows(plain)] == ["ok", "warn"]
    assert [row.state for row in rights.user_rows(None)] == ["ok", "fail"]
    del known["cigserver"]
    user, _ = rights.user_rows(plain)
    assert (user.state, user.found) == ("fail", "there is no user cigserver")


def test_real_users() -> None:
    root = Person.named("root")
    assert root is not None
    assert (root.uid, 0 in root.groups) == (0, True)
    assert Person.named("no-such-user") is None
    assert Person.caller().uid == os.geteuid()


def test_mailboxes(tmp_path: Path) -> None:
    text = """
translate_map m {{ rule match "{{x}}@h" translation "tel:+{{x}}"; }}
mailboxes {{ read {{ path "{path}"; map_from translate_map m; map_to translate_map m; }} }}
interfaces {{ sip {{ bind ::1; }} }}
"""
    path = tmp_path / "cig.conf"
    path.write_text(text.format(path=tmp_path / "none"))
    from cig_common.config import load

    row = rights.mailbox_row(load(path))
    assert row.state == "warn"
    assert "line 3: this folder does not exist" in row.found
    assert "create_cig_maildir" in row.advice
    assert rights.mailbox_row(loads("interfaces { sip { bind ::1; } }")).state == "ok"
