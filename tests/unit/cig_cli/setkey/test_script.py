# SPDX-License-Identifier: GPL-3.0-or-later
"""set-key as a script runs it: no question, an exit code, and JSON if wanted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cig_common.carrier import armour
from cig_common.control.keys import InspectKeysRequest, InstallKeysRequest
from cig_common.control.messages import ErrorCode, ErrorReply
from cig_common.control.record import Record
from unit.cig_cli.setkey.keys_socket import OTHER, Answers, agreeing, listening
from unit.cig_cli.setkey.pty_session import SRC

SEALED = b"CIGSEAL and so on"
PHRASE = "correct horse battery"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys.txt").write_text(armour.encode(SEALED))
    (tmp_path / "phrase").write_text(f"{PHRASE}\n")
    (tmp_path / "phrase").chmod(0o600)
    return tmp_path


def run(
    folder: Path, *options: str, typed: bytes = b"", plain: bool = False
) -> subprocess.CompletedProcess[bytes]:
    files = () if plain else ("--file", "keys.txt", "--passphrase-file", "phrase")
    return subprocess.run(
        [sys.executable, "-m", "cig_cli.main", "set-key", *files, *options],
        env={**os.environ, "PYTHONPATH": str(SRC), "CIG_KEYS_SOCKET": str(folder / "keys.sock")},
        cwd=folder,
        input=typed,
        capture_output=True,
        timeout=60,
        check=False,
    )


def with_relay(
    folder: Path,
    *options: str,
    answers: Answers = agreeing,
    typed: bytes = b"",
    plain: bool = False,
) -> tuple[subprocess.CompletedProcess[bytes], list[Record]]:
    with listening(folder / "keys.sock", answers) as asked:
        done = run(folder, *options, typed=typed, plain=plain)
    assert PHRASE.encode() not in done.stdout + done.stderr
    return done, asked


def refusing(detail: str, text: str) -> Answers:
    return lambda _: ErrorReply(ErrorCode.MATERIAL, detail, text)


def test_it_installs(folder: Path) -> None:
    done, asked = with_relay(folder)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.splitlines()[0] == b"Public ID           tel:+8888"
    assert done.stdout.endswith(b"\nOK\n")
    assert asked == [
        InspectKeysRequest(SEALED, PHRASE.encode()),
        InstallKeysRequest(b"token", False),
    ]


def test_json(folder: Path) -> None:
    done, _ = with_relay(folder, "--json", "--replace")
    facts = json.loads(done.stdout)
    assert (facts["ok"], facts["installed"], facts["path"]) == (True, True, "/ud/.ks.tel:8888")
    assert facts["periods"][2]["action"] == "replace"
    assert facts["held"] == ["2026-11-1", "2026-12-2"]
    assert "token" not in facts


@pytest.mark.parametrize(("which", "name"), [(0, "keys.txt"), (1, "phrase")])
def test_one_of_the_two_from_standard_input(folder: Path, which: int, name: str) -> None:
    names = ["keys.txt", "phrase"]
    names[which] = "-"
    typed = (folder / name).read_bytes()
    options = ("--file", names[0], "--passphrase-file", names[1])
    done, asked = with_relay(folder, *options, typed=typed, plain=True)
    assert done.returncode == 0
    assert asked[0] == InspectKeysRequest(SEALED, PHRASE.encode())


def test_keys_that_are_held_already_are_no_error(folder: Path) -> None:
    held = refusing("nothing-new", "the gateway has these keys already")
    done, asked = with_relay(folder, answers=held)
    assert (done.returncode, done.stdout) == (0, b"the gateway has these keys already\nOK\n")
    assert len(asked) == 1
    done, _ = with_relay(folder, "--json", answers=held)
    facts = json.loads(done.stdout)
    assert (facts["ok"], facts["installed"], facts["detail"]) == (True, False, "nothing-new")


def test_a_refusal(folder: Path) -> None:
    wrong = refusing("passphrase", "the passphrase is wrong")
    done, asked = with_relay(folder, answers=wrong)
    assert done.returncode == 1
    assert done.stderr == b"ERROR: the passphrase is wrong. Nothing was changed.\n"
    assert len(asked) == 1
    done, _ = with_relay(folder, "--json", answers=wrong)
    facts = json.loads(done.stdout)
    assert (facts["ok"], facts["detail"]) == (False, "passphrase")
    assert facts["error"].startswith("the passphrase is wrong")


def test_another_identity(folder: Path) -> None:
    def answers(request: Record) -> Record | None:
        match request:
            case InspectKeysRequest():
                return OTHER
            case InstallKeysRequest(_, False):
                return ErrorReply(ErrorCode.MATERIAL, "other-identity", "these keys are of another")
        return agreeing(request)

    done, _ = with_relay(folder, answers=answers)
    assert done.returncode == 1
    assert b"ERROR: these keys are of another. Nothing was changed." in done.stderr
    done, asked = with_relay(folder, "--replace", answers=answers)
    assert done.returncode == 0
    assert asked[-1] == InstallKeysRequest(b"token", True)


def test_dry_run(folder: Path) -> None:
    done, asked = with_relay(folder, "--dry-run")
    assert done.returncode == 0
    assert done.stdout.endswith(b"Only shown. Nothing was changed.\nOK\n")
    assert asked == [InspectKeysRequest(SEALED, PHRASE.encode())]


def test_a_passphrase_file_that_others_may_read(folder: Path) -> None:
    (folder / "phrase").chmod(0o644)
    done, _ = with_relay(folder)
    assert done.returncode == 0
    assert b"warning: phrase has mode 0644" in done.stderr


def test_torn_text_never_reaches_the_relay(folder: Path) -> None:
    whole = (folder / "keys.txt").read_text()
    (folder / "keys.txt").write_text(whole.rpartition("-----END")[0])
    done, asked = with_relay(folder)
    assert done.returncode == 1
    assert b"the end of the key material is missing" in done.stderr
    assert b"Nothing was changed." in done.stderr
    assert asked == []


def test_a_torn_pdf(folder: Path) -> None:
    (folder / "keys.txt").write_bytes(b"%PDF-1.7\n%torn")
    done, asked = with_relay(folder)
    assert done.returncode == 1
    assert b"Nothing was changed." in done.stderr
    assert b"Traceback" not in done.stderr
    assert asked == []


def test_no_relay(folder: Path) -> None:
    done = run(folder)
    assert done.returncode == 2
    assert b"is cig-relay running" in done.stderr
    facts = json.loads(run(folder, "--json").stdout)
    assert (facts["ok"], facts["detail"]) == (False, "no-relay")


@pytest.mark.parametrize(
    "options",
    [
        ("--file", "keys.txt"),
        ("--passphrase-file", "phrase"),
        ("--file", "-"),
        ("--json",),
        ("--file", "-", "--passphrase-file", "-"),
        (),
    ],
)
def test_wrong_usage(folder: Path, options: tuple[str, ...]) -> None:
    done, asked = with_relay(folder, *options, plain=True)
    assert done.returncode == 2
    assert b"Error: " in done.stderr
    assert asked == []
