# SPDX-License-Identifier: GPL-3.0-or-later
"""cig-cli set-key, a real cig-relay, and key material of the lab's KMS."""

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cig_lab.main import main as lab
from unit.cig_cli.setkey.pty_session import SRC, Session, on_terminal

PHRASE = "seven horses sing"
GATEWAY = "tel:+8888"
MATERIAL, PASSPHRASE = "(text or PDF):\n> ", "Passphrase: "
CONFIRM = "Install these keys? [yes/no] "
UNCHANGED = "Nothing was changed."


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what two KMSs of different domains have issued."""
    folder = tmp_path_factory.mktemp("kms")
    (folder / "phrase").write_text(f"{PHRASE}\n")
    (folder / "phrase").chmod(0o600)
    (folder / "wrong").write_text("eight horses sing\n")
    (folder / "wrong").chmod(0o600)
    for name in ("one", "two"):
        domain, crs = f"{name}.example", f"crs.{name}.example:5223"
        _kms(folder, name, "init", "--domain", domain, "--crs", crs, "--pin", "ab" * 32)
    _issue(folder, "one", "first.txt", "--periods", "2")
    _issue(folder, "one", "again.pdf", "--periods", "3", "--reissue", "--pdf")
    _issue(folder, "one", "old.txt", "--periods", "2", "--from", "2020-01")
    _issue(folder, "two", "other.txt", "--periods", "2")
    return folder


def _kms(folder: Path, name: str, command: str, *arguments: str) -> None:
    result = CliRunner().invoke(lab, ["kms", command, "--dir", str(folder / name), *arguments])
    assert result.exit_code == 0, result.output


def _issue(folder: Path, name: str, file: str, *options: str) -> None:
    where = ("--out", str(folder / file), "--passphrase-file", str(folder / "phrase"))
    _kms(folder, name, "issue", GATEWAY, *options, *where)


Running = tuple[Path, "subprocess.Popen[bytes]"]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """Run cig-relay; gives its folder and process."""
    (tmp_path / "userdata").mkdir(mode=0o700)
    (tmp_path / "cig.conf").write_text("interfaces { sip { bind 127.0.0.1; } }")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify.sock"))
        told.settimeout(60)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "cig_relay.app", "--engines", "1"),
                *("--config", str(tmp_path / "cig.conf")),
                *("--userdata", str(tmp_path / "userdata")),
                *("--socket", str(tmp_path / "relay.sock")),
                *("--keys-socket", str(tmp_path / "keys.sock")),
                *("--log", str(tmp_path / "relay.log")),
            ],
            env=environment(tmp_path) | {"NOTIFY_SOCKET": str(tmp_path / "notify.sock")},
        )
        try:
            assert told.recv(100) == b"READY=1"
            yield tmp_path, process
        finally:
            process.kill()
            process.wait()
    assert PHRASE not in (tmp_path / "relay.log").read_text()


@pytest.fixture
def relay(running: Running) -> Path:
    return running[0]


def environment(relay: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SRC), "CIG_KEYS_SOCKET": str(relay / "keys.sock")}


def script(
    relay: Path, shop: Path, file: str, *options: str, phrase: str = "phrase"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "cig_cli.main", "set-key"),
            *("--file", str(shop / file), "--passphrase-file", str(shop / phrase)),
            *options,
        ],
        env=environment(relay),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def keystore(relay: Path) -> Path:
    return relay / "userdata" / f".ks.{GATEWAY}"


def stored(relay: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (relay / "userdata").glob(".ks.*")}


def actions(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [period["action"] for period in json.loads(done.stdout)["periods"]]


def test_a_script_installs_what_a_later_one_replaces(relay: Path, shop: Path) -> None:
    shown = script(relay, shop, "first.txt", "--dry-run", "--json")
    assert (shown.returncode, actions(shown), stored(relay)) == (0, ["add", "add"], {})
    done = script(relay, shop, "first.txt")
    assert done.returncode == 0, done.stderr
    assert f"The keys are installed and in use: {keystore(relay)}" in done.stdout
    assert stat.S_IMODE(keystore(relay).stat().st_mode) == 0o600
    before = stored(relay)
    again = script(relay, shop, "first.txt", "--json")
    facts = json.loads(again.stdout)
    assert (again.returncode, facts["installed"], facts["detail"]) == (0, False, "nothing-new")
    assert stored(relay) == before
    later = script(relay, shop, "again.pdf", "--json")
    assert (later.returncode, actions(later)) == (0, ["replace", "replace", "add"])
    older = script(relay, shop, "first.txt")
    assert older.returncode == 1
    assert "issued last" in older.stderr


@pytest.mark.parametrize("case", ["wrong passphrase", "torn text", "torn pdf", "expired", "other"])
def test_what_is_refused_changes_nothing(relay: Path, shop: Path, case: str) -> None:
    assert script(relay, shop, "first.txt").returncode == 0
    before = stored(relay)
    (shop / "torn.txt").write_text((shop / "first.txt").read_text()[:900])
    (shop / "torn.pdf").write_bytes((shop / "again.pdf").read_bytes()[:20_000])
    file, phrase, told = {
        "wrong passphrase": ("again.pdf", "wrong", "the passphrase is wrong"),
        "torn text": ("torn.txt", "phrase", "the end of the key material is missing"),
        "torn pdf": ("torn.pdf", "phrase", "PDF"),
        "expired": ("old.txt", "phrase", "all periods of this material are over"),
        "other": ("other.txt", "phrase", "are of the security domain two.example"),
    }[case]
    done = script(relay, shop, file, phrase=phrase)
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stderr.endswith(f"{UNCHANGED}\n")
    assert "Traceback" not in done.stderr
    assert stored(relay) == before


def test_another_domain_by_consent(relay: Path, shop: Path) -> None:
    assert script(relay, shop, "first.txt").returncode == 0
    done = script(relay, shop, "other.txt", "--replace", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["domain"] == "two.example"


def paste(session: Session, shop: Path, file: str) -> None:
    session.expect(MATERIAL)
    session.type((shop / file).read_text())
    session.expect(PASSPHRASE)


def test_step_by_step(relay: Path, shop: Path) -> None:
    with on_terminal(("set-key",), **environment(relay)) as session:
        paste(session, shop, "first.txt")
        session.type("not this\n")
        session.expect("the passphrase is wrong, or the key material was altered. Try again")
        session.expect(PASSPHRASE)
        session.type(f"{PHRASE}\n")
        shown = session.expect(CONFIRM)
        assert "Security Domain     one.example" in shown
        assert shown.count("added") == 2
        assert stored(relay) == {}
        session.type("yes\n")
        session.expect(str(keystore(relay)))
        session.expect("OK\n")
        assert session.end() == 0
        assert PHRASE not in session.seen
    assert keystore(relay).exists()


def test_another_domain_step_by_step(relay: Path, shop: Path) -> None:
    assert script(relay, shop, "first.txt").returncode == 0
    before = stored(relay)
    for typed, code in (("yes", 1), (GATEWAY, 0)):
        with on_terminal(("set-key",), **environment(relay)) as session:
            paste(session, shop, "other.txt")
            session.type(f"{PHRASE}\n")
            session.expect(f"keystore: {GATEWAY} (security domain one.example)")
            session.expect(f"type {GATEWAY} (Enter leaves): ")
            session.type(f"{typed}\n")
            if code:
                session.expect(UNCHANGED)
            else:
                session.expect(CONFIRM)
                assert stored(relay) == before
                session.type("yes\n")
            assert session.end() == code
    assert stored(relay)[keystore(relay).name] != before[keystore(relay).name]


def test_a_keystore_that_cannot_be_used(relay: Path, shop: Path) -> None:
    keystore(relay).write_bytes(b"nonsense")
    keystore(relay).chmod(0o600)
    done = script(relay, shop, "first.txt")
    assert done.returncode == 1
    assert "--replace" in done.stderr
    with on_terminal(("set-key", "--file", str(shop / "first.txt")), **environment(relay)) as one:
        one.expect(PASSPHRASE)
        one.type(f"{PHRASE}\n")
        one.expect("its keystore cannot be used")
        one.expect("To give it up, type ")
        one.type(one.expect(" (Enter leaves): ").partition(" ")[0] + "\n")
        one.expect(CONFIRM)
        one.type("yes\n")
        one.expect("OK\n")
        assert one.end() == 0


def test_a_relay_that_is_stopped_while_one_thinks(running: Running, shop: Path) -> None:
    relay, process = running
    with on_terminal(("set-key",), **environment(relay)) as session:
        paste(session, shop, "first.txt")
        session.type(f"{PHRASE}\n")
        session.expect(CONFIRM)
        process.terminate()
        assert process.wait(30) == 0
        session.type("yes\n")
        session.expect("has ended the connection")
        session.expect(UNCHANGED)
        assert session.end() == 2
    assert stored(relay) == {}
