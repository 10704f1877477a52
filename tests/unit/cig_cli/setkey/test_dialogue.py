# SPDX-License-Identifier: GPL-3.0-or-later
"""set-key step by step, as somebody at a terminal goes through it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cig_common.carrier import armour
from cig_common.control.keys import InspectKeysRequest, InstallKeysRequest
from cig_common.control.messages import ErrorCode, ErrorReply
from cig_common.control.record import Record
from unit.cig_cli.setkey.keys_socket import OTHER, Answers, agreeing, listening
from unit.cig_cli.setkey.pty_session import CTRL_C, CTRL_D, Session, on_terminal

SEALED = bytes(range(256)) * 8
TEXT = armour.encode(SEALED)
PHRASE = "correct horse battery"
MATERIAL, PASSPHRASE = "(text or PDF):\n> ", "Passphrase: "
CONFIRM = "Install these keys? [yes/no] "
UNCHANGED = "Nothing was changed."


@contextmanager
def set_key(
    tmp_path: Path, *options: str, answers: Answers = agreeing
) -> Iterator[tuple[Session, list[Record]]]:
    socket = tmp_path / "keys.sock"
    arguments = ("set-key", "--keys-socket", str(socket), *options)
    with listening(socket, answers) as asked, on_terminal(arguments) as session:
        yield session, asked


def opened(session: Session) -> None:
    """Go through the first two steps."""
    session.expect(MATERIAL)
    session.type(TEXT)
    session.expect(PASSPHRASE)
    session.type(f"{PHRASE}\n")


def installs(asked: list[Record]) -> list[Record]:
    return [message for message in asked if isinstance(message, InstallKeysRequest)]


def test_all_steps(tmp_path: Path) -> None:
    with set_key(tmp_path) as (session, asked):
        opened(session)
        shown = session.expect(CONFIRM)
        for line in (
            "Public ID           tel:+8888",
            "Security Domain     secure.example.com",
            "CRS Address         crs1.example.com:5223",
            "                    crs2.example.com:5223",
            "CRS trust anchor    the certificate with SHA-256 00",
            "  CRS addresses: a (they were b)",
        ):
            assert line in shown.splitlines()
        rows = [" ".join(line.split()) for line in shown.splitlines()]
        for row in (
            "2026-10-1 2026-09-29 00:00 2026-11-02 24:00 left out: expired kms",
            "2026-11-1 2026-10-29 00:00 2026-12-02 24:00 already held kms",
            "2026-12-2 2026-11-29 00:00 2027-01-02 24:00 replaces 2026-12-1 kms",
            "2027-01-1 2026-12-30 00:00 2027-02-02 24:00 added kms",
            "2027-01-0 2026-12-30 00:00 2027-02-03 00:00 left out: there is a later revision kms",
        ):
            assert row in rows
        session.type("yes\n")
        result = session.expect("OK\n")
        assert session.end() == 0
    assert asked == [
        InspectKeysRequest(SEALED, PHRASE.encode()),
        InstallKeysRequest(b"token", False),
    ]
    assert "/ud/.ks.tel:8888" in result
    assert "2026-11-1, 2026-12-2" in result
    assert "A note." in result
    assert "cig-cli status" in result
    assert PHRASE not in session.seen


@pytest.mark.parametrize("answer", ["no\n", "n\n", "\nwhat\nyess\n", CTRL_D, CTRL_C])
def test_all_but_a_yes_installs_nothing(tmp_path: Path, answer: str) -> None:
    with set_key(tmp_path) as (session, asked):
        opened(session)
        session.expect(CONFIRM)
        session.type(answer)
        session.expect(UNCHANGED)
        assert session.end() == 1
    assert not installs(asked)


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D])
@pytest.mark.parametrize("step", ["material", "in the paste", "passphrase"])
def test_leaving(tmp_path: Path, key: str, step: str) -> None:
    with set_key(tmp_path) as (session, asked):
        session.expect(MATERIAL)
        if step == "in the paste":
            session.type(TEXT[:500].rpartition("\n")[0] + "\n")
        elif step == "passphrase":
            session.type(TEXT)
            session.expect(PASSPHRASE)
        session.type(key)
        session.expect(UNCHANGED)
        assert session.end() == 1
    assert asked == []


def test_a_long_paste_with_the_marks_of_a_terminal(tmp_path: Path) -> None:
    sealed = bytes(range(256)) * 230  # more than a terminal's buffer holds, many times over
    with set_key(tmp_path) as (session, asked):
        session.expect(MATERIAL)
        session.type(f"\x1b[200~{armour.encode(sealed).rstrip()}\x1b[201~\n")
        session.expect(PASSPHRASE)
        session.type(f"{PHRASE}\n")
        session.expect(CONFIRM)
        session.type("y\n")
        assert session.end() == 0
    assert asked[0] == InspectKeysRequest(sealed, PHRASE.encode())


def test_a_file_and_its_name_mistyped(tmp_path: Path) -> None:
    path = tmp_path / "my keys.txt"
    path.write_text(TEXT)
    with set_key(tmp_path) as (session, asked):
        session.expect(MATERIAL)
        session.type(f"\n{tmp_path}/my key.txt\n")
        session.expect("there is no file")
        session.expect("or enter the name of a file:\n> ")
        session.type(f"'{path}'\n")
        session.expect(PASSPHRASE)
        session.type(f"{PHRASE}\n")
        session.expect(CONFIRM)
        session.type("yes\n")
        assert session.end() == 0
    assert asked[0] == InspectKeysRequest(SEALED, PHRASE.encode())


def test_three_wrong_files(tmp_path: Path) -> None:
    with set_key(tmp_path) as (session, asked):
        session.expect(MATERIAL)
        for _ in range(2):
            session.type("none\n")
            session.expect("\n> ")
        session.type("none\n")
        session.expect(UNCHANGED)
        assert session.end() == 1
    assert asked == []


def test_a_paste_that_begins_too_late(tmp_path: Path) -> None:
    with set_key(tmp_path) as (session, _):
        session.expect(MATERIAL)
        session.type(TEXT.partition("\n")[2])
        session.expect("the first one is no BEGIN line")
        session.expect("\n> ")
        session.type(TEXT)
        session.expect(PASSPHRASE)


def test_a_mistyped_line(tmp_path: Path) -> None:
    lines = TEXT.splitlines()
    right = lines[5]
    lines[5] = right.replace(right[10:14], right[10:14].swapcase())
    assert lines[5] != right
    with set_key(tmp_path) as (session, asked):
        session.expect(MATERIAL)
        session.type("\n".join((*lines, "")))
        session.expect("line 4 of the key material is mistyped")
        session.expect("Line 4 again: ")
        session.type(f"{right}\n")
        session.expect(PASSPHRASE)
        session.type(f"{PHRASE}\n")
        session.expect(CONFIRM)
    assert asked == [InspectKeysRequest(SEALED, PHRASE.encode())]


def wrong_unless(good: str) -> Answers:
    def answers(request: Record) -> Record | None:
        if isinstance(request, InspectKeysRequest) and request.passphrase != good.encode():
            return ErrorReply(ErrorCode.MATERIAL, "passphrase", "the passphrase is wrong")
        return agreeing(request)

    return answers


def test_a_wrong_passphrase_is_asked_for_again(tmp_path: Path) -> None:
    with set_key(tmp_path, answers=wrong_unless(PHRASE)) as (session, _):
        session.expect(MATERIAL)
        session.type(TEXT)
        session.expect(PASSPHRASE)
        session.type("\n")
        session.expect("Nothing was typed.")
        session.expect(PASSPHRASE)
        session.type("wrong one\n")
        session.expect("the passphrase is wrong. Try again (2 left).")
        session.expect(PASSPHRASE)
        session.type(f"{PHRASE}\n")
        session.expect(CONFIRM)
        assert "wrong one" not in session.seen


def test_three_wrong_passphrases(tmp_path: Path) -> None:
    with set_key(tmp_path, answers=wrong_unless(PHRASE)) as (session, asked):
        session.expect(MATERIAL)
        session.type(TEXT)
        for _ in range(3):
            session.expect(PASSPHRASE)
            session.type("wrong\n")
        session.expect(f"ERROR: the passphrase is wrong. {UNCHANGED}")
        assert session.end() == 1
    assert len(asked) == 3


def refusing(detail: str, text: str) -> Answers:
    return lambda _: ErrorReply(ErrorCode.MATERIAL, detail, text)


def test_a_refusal_that_no_passphrase_mends(tmp_path: Path) -> None:
    with set_key(tmp_path, answers=refusing("expired", "all periods are over")) as (session, asked):
        opened(session)
        session.expect(f"ERROR: all periods are over. {UNCHANGED}")
        assert session.end() == 1
    assert len(asked) == 1


def test_keys_that_are_held_already(tmp_path: Path) -> None:
    held = refusing("nothing-new", "the gateway has these keys already")
    with set_key(tmp_path, answers=held) as (session, _):
        opened(session)
        session.expect("the gateway has these keys already")
        session.expect("OK\n")
        assert session.end() == 0


def of_another(request: Record) -> Record | None:
    return OTHER if isinstance(request, InspectKeysRequest) else agreeing(request)


def test_another_identity_is_given_up_by_typing_its_name(tmp_path: Path) -> None:
    with set_key(tmp_path, answers=of_another) as (session, asked):
        opened(session)
        session.expect("type tel:+4711 (Enter leaves): ")
        session.type("tel:+4711\n")
        session.expect(CONFIRM)
        session.type("yes\n")
        assert session.end() == 0
    assert installs(asked) == [InstallKeysRequest(b"token", True)]


@pytest.mark.parametrize("typed", ["\n", "yes\n", "tel:+8888\n"])
def test_another_identity_is_kept(tmp_path: Path, typed: str) -> None:
    with set_key(tmp_path, answers=of_another) as (session, asked):
        opened(session)
        session.expect("(Enter leaves): ")
        session.type(typed)
        session.expect(UNCHANGED)
        assert session.end() == 1
    assert not installs(asked)


def test_replace_was_said_before(tmp_path: Path) -> None:
    with set_key(tmp_path, "--replace", answers=of_another) as (session, asked):
        opened(session)
        session.expect("takes the place of another keystore: tel:+4711 (security domain d)")
        session.expect(CONFIRM)
        session.type("yes\n")
        assert session.end() == 0
    assert installs(asked) == [InstallKeysRequest(b"token", True)]


def test_dry_run(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_text(TEXT)
    with set_key(tmp_path, "--dry-run", "--file", str(path)) as (session, asked):
        session.expect(PASSPHRASE)
        session.type(f"{PHRASE}\n")
        session.expect(f"Only shown. {UNCHANGED}")
        assert session.end() == 0
    assert not installs(asked)


def test_no_relay(tmp_path: Path) -> None:
    with on_terminal(("set-key", "--keys-socket", str(tmp_path / "none"))) as session:
        session.expect("there is no keys socket")
        session.expect(UNCHANGED)
        assert session.end() == 2


def test_a_relay_that_ends_while_it_installs(tmp_path: Path) -> None:
    def answers(request: Record) -> Record | None:
        return agreeing(request) if isinstance(request, InspectKeysRequest) else None

    with set_key(tmp_path, answers=answers) as (session, _):
        opened(session)
        session.expect(CONFIRM)
        session.type("yes\n")
        session.expect("Whether the keys were installed is not known")
        assert session.end() == 2
    assert UNCHANGED not in session.seen


def test_what_a_relay_says_cannot_steer_the_terminal(tmp_path: Path) -> None:
    with set_key(tmp_path, answers=refusing("x", "a\x1b[2Jb")) as (session, _):
        opened(session)
        session.expect("ERROR: a\\x1b[2Jb.")


def test_at_the_prompt_of_cig_cli(tmp_path: Path) -> None:
    socket = tmp_path / "keys.sock"
    with (
        listening(socket) as asked,
        on_terminal((), CIG_KEYS_SOCKET=str(socket), CIG_MGMT_PORT="1") as session,
    ):
        session.expect("cig-cli$ ")
        session.type("set-key\n")
        session.expect(MATERIAL)
        session.type(CTRL_C)
        session.expect(UNCHANGED)
        session.expect("cig-cli$ ")
        session.type("set-key\n")
        opened(session)
        session.expect(CONFIRM)
        session.type("yes\n")
        session.expect("OK\n")
        session.expect("cig-cli$ ")
        session.type("quit\n")
        assert session.end() == 0
    assert len(installs(asked)) == 1
    assert PHRASE not in session.seen
