# SPDX-License-Identifier: GPL-3.0-or-later
"""What is seen of the real machine: real folders with real modes, the real route."""

import grp
import os
import socket
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from cig_common.config import loads
from cig_common.config.host import Found, Host, Stands, SystemHost
from cig_common.config.lint_mailboxes import GROUP
from unit.cig_common.config.facts import Facts

HOST = SystemHost()


class InGroup(SystemHost):
    """The real machine, except that the group of the folders made here is called cigmail."""

    def look(self, path: str) -> Found:
        found = super().look(path)
        ours = found.stands is Stands.FOLDER and found.group == group_of(path)
        return replace(found, group=GROUP) if ours else found


def group_of(path: str | Path) -> str:
    number = Path(path).stat().st_gid
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def mailbox(path: Path, mode: int = 0o770) -> Path:
    for folder in (path, path / "new", path / "cur", path / "tmp"):
        folder.mkdir()
        folder.chmod(mode)
    return path


def told(path: Path | str, host: Host) -> list[tuple[str, str]]:
    """Return what is said about a mailbox at `path`: (message, hint)."""
    text = (
        'translate_map t { rule match "tel:+{n}" translation "tel:+{n}"; }\n'
        f'mailboxes {{ read {{ path "{path}"; map_from translate_map t;'
        " map_to translate_map t; } }"
    )
    warnings = [warning for warning in loads(text, host=host).warnings if warning.code == "W114"]
    assert {(warning.line, warning.column) for warning in warnings} <= {(2, 26)}
    return [(warning.message, str(warning.hint)) for warning in warnings]


def test_default_address_is_one_of_this_machine() -> None:
    address = HOST.default_address()
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((str(address), 0))


def test_look_at_a_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o2750)
    assert HOST.look(str(tmp_path)) == Found(Stands.FOLDER, 0o2750, group_of(tmp_path))
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert HOST.look(str(link)).stands is Stands.FOLDER


@pytest.mark.parametrize("name", ["none", "file/none", "a\0b", "x" * 5000, "circle"])
def test_look_where_nothing_stands(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert HOST.look(f"{tmp_path}/{name}") == Found(Stands.NOTHING)


def test_look_at_what_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    assert HOST.look(str(tmp_path / "file")).stands is Stands.OTHER
    assert HOST.look(str(tmp_path / "pipe")).stands is Stands.OTHER


def test_look_at_what_is_hidden(tmp_path: Path) -> None:
    box = mailbox(tmp_path / "box")
    tmp_path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        assert HOST.look(str(box)) == Found(Stands.HIDDEN)
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("hidden", ["/in", "/in/new"])
def test_who_may_not_look_is_told(hidden: str) -> None:
    host = Facts()
    host.make_mailbox("/in")
    host.folders[hidden] = Found(Stands.HIDDEN)
    ((message, hint),) = told("/in", host)
    assert message == "user `operator` may not look into this folder"
    assert hint.endswith("run: adduser operator cigmail")


def test_a_good_mailbox_is_not_told(tmp_path: Path) -> None:
    assert told(mailbox(tmp_path / "in", 0o2770), InGroup()) == []
    # Others may pass through the folders above, and through new when the mailbox is shut.
    box = mailbox(tmp_path / "out", 0o775)
    box.chmod(0o770)
    assert told(box, InGroup()) == []
    assert told(f"{box}/", InGroup()) == []


def test_a_missing_mailbox_is_made_by_the_script(tmp_path: Path) -> None:
    assert told(tmp_path / "in", HOST) == [
        (
            "this folder does not exist",
            f"make it with: /opt/cig/bin/create_cig_maildir {tmp_path}/in",
        )
    ]
    ((_, hint),) = told(tmp_path / "a b", HOST)
    assert hint == f"make it with: /opt/cig/bin/create_cig_maildir '{tmp_path}/a b'"


def test_a_file_is_no_mailbox(tmp_path: Path) -> None:
    (tmp_path / "in").touch()
    assert [message for message, _ in told(tmp_path / "in", HOST)] == ["this is no folder"]


def test_a_folder_without_its_subfolders(tmp_path: Path) -> None:
    box = mailbox(tmp_path / "in")
    (box / "cur").rmdir()
    (box / "cur").touch()
    ((message, hint),) = told(box, InGroup())
    assert message == "this folder has no `cur` in it"
    assert hint == f"make it with: /opt/cig/bin/create_cig_maildir {box}"
    (box / "new").rmdir()
    ((message, _),) = told(box, InGroup())
    assert message == "this folder has no `new` and `cur` in it"


def test_another_group(tmp_path: Path) -> None:
    box = mailbox(tmp_path / "in")
    ((message, hint),) = told(box, HOST)
    assert message == "group `cigmail` does not own this folder, `new`, `cur` and `tmp`"
    assert hint == f"run: chgrp -R cigmail {box}"


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o730, 0o760])
def test_a_folder_that_the_group_cannot_use(tmp_path: Path, mode: int) -> None:
    box = mailbox(tmp_path / "in")
    (box / "new").chmod(mode)
    ((message, hint),) = told(box, InGroup())
    assert message == f"mode `{mode:04o}` keeps the members of `cigmail` out of `new`"
    assert hint == f"run: chmod -R g+rwX {box}"
    (box / "new").chmod(0o770)
    box.chmod(0o700)
    ((message, _),) = told(box, InGroup())
    assert message == "mode `0700` keeps the members of `cigmail` out of this folder"


def test_messages_that_everybody_may_read(tmp_path: Path) -> None:
    ((message, hint),) = told(mailbox(tmp_path / "in", 0o775), InGroup())
    assert message.startswith("every user of this machine can get at the messages")
    assert message.endswith("mode `0775`")
    assert hint == f"run: chmod o= {tmp_path}/in"


def test_every_hint_puts_it_right(tmp_path: Path) -> None:
    box = mailbox(tmp_path / "in", 0o705)
    for _, hint in told(box, InGroup()):
        words = hint.removeprefix("run: ").split()
        assert os.spawnvp(os.P_WAIT, words[0], words) == 0
    assert told(box, InGroup()) == []


def test_a_path_that_is_an_error_is_not_looked_at() -> None:
    class Blind(SystemHost):
        def look(self, path: str) -> Found:
            raise AssertionError(path)

    with pytest.raises(Exception, match="a mailbox path must be absolute"):
        told("in", Blind())


def test_without_a_host_nothing_is_looked_at(tmp_path: Path) -> None:
    text = (
        'translate_map t { rule match "tel:+{n}" translation "tel:+{n}"; }\n'
        f'mailboxes {{ read {{ path "{tmp_path}/none"; map_from translate_map t;'
        " map_to translate_map t; } }"
    )
    assert [warning.code for warning in loads(text).warnings] == ["W108"]


def test_system_host_is_a_host() -> None:
    host: Host = HOST
    assert ip_address(str(host.default_address()))
    assert host.user()
