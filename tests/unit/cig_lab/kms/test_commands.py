# SPDX-License-Identifier: GPL-3.0-or-later
"""``cig-lab kms`` as an operator runs it, each time with a store of its own."""

from __future__ import annotations

import hashlib
import os
import pty
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import cig_lab
from cig_common.carrier import read_file
from cig_lab.crs.certificate import make_certificate
from cig_lab.main import main
from cig_material import document
from cig_material.material import KeyMaterial
from cig_material.seal import passphrase_from, unseal
from mikey_sakke.periods import month_of

URI = "tel:+8888"
PHRASE = "correct horse battery staple"
PIN = bytes(range(32))


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, ("kms", *arguments), input=typed)


def init(*arguments: str) -> Result:
    anchor = () if any(a in ("--ca", "--pin-from-cert") for a in arguments) else ("--pin",)
    pin = (*anchor, PIN.hex()) if anchor else ()
    return run("init", "--domain", "LAB", "--crs", "crs.example.com:5223", *pin, *arguments)


def issue(*arguments: str, typed: str | None = None) -> Result:
    return run("issue", URI, "--sealed", "--out", "out", *arguments, typed=typed)


def opened(path: Path, phrase: str = PHRASE) -> KeyMaterial:
    return document.decode(unseal(path.read_bytes(), passphrase_from(phrase)))


def test_what_is_issued_is_what_was_asked_for(lab: Path) -> None:
    assert init("--crs", "[2001:db8::1]:5223").exit_code == 0
    (lab / "phrase").write_text(f"{PHRASE}\n")
    result = issue("--periods", "3", "--from", "2026-11", "--passphrase-file", "phrase")
    assert result.exit_code == 0, result.output
    assert "2026-11-1, 2026-12-1, 2027-01-1" in result.stderr
    assert PHRASE not in result.output
    held = opened(lab / "out")
    assert (held.uri, held.domain) == (URI, "LAB")
    assert held.crs == ("crs.example.com:5223", "[2001:db8::1]:5223")
    assert (held.anchor_pin, held.anchor_ca) == (PIN, None)
    assert [keys.period for keys in held.periods] == ["2026-11-1", "2026-12-1", "2027-01-1"]
    for keys in held.periods:
        assert held.user_keys(keys).kms_uri == "kms.lab.example"
    assert (lab / "out").stat().st_mode & 0o777 == 0o600


def test_without_a_terminal_it_is_told_what_to_give(lab: Path) -> None:
    assert init().exit_code == 0
    command = [sys.executable, "-m", "cig_lab.main", "kms", "issue", URI, "--periods", "1"]
    environment = {**os.environ, "PYTHONPATH": str(Path(cig_lab.__file__).parents[1])}
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "give --passphrase-file or --new-passphrase" in done.stderr


def test_by_default_from_the_present_month_and_to_standard_output(lab: Path) -> None:
    (lab / "phrase").write_text(f"{PHRASE}\r\nanother line\n")
    init()
    months = {month_of(time.time())}
    arguments = ("issue", URI, "--periods", "1", "--sealed", "--passphrase-file", "phrase")
    result = run(*arguments)
    months.add(month_of(time.time()))
    assert result.exit_code == 0, result.stderr
    held = document.decode(unseal(result.stdout_bytes, passphrase_from(PHRASE)))
    assert held.periods[0].month in months


@pytest.mark.parametrize("form", ["--text", "--pdf", "--sealed"])
def test_each_form_carries_the_same(lab: Path, form: str) -> None:
    (lab / "phrase").write_text(PHRASE)
    init()
    arguments = ("issue", URI, "--periods", "36", "--from", "2026-11", form, "--out", "out")
    result = run(*arguments, "--passphrase-file", "phrase")
    assert result.exit_code == 0, result.output
    held = document.decode(unseal(read_file(lab / "out"), passphrase_from(PHRASE)))
    assert (held.uri, len(held.periods), held.periods[-1].period) == (URI, 36, "2029-10-1")


def test_octets_do_not_go_to_a_terminal(lab: Path) -> None:
    init()
    ours, terminal = pty.openpty()
    try:
        for form in ("--pdf", "--sealed"):
            ended = subprocess.run(
                (sys.executable, "-m", "cig_lab.main", "kms", "issue", URI, "--periods", "1", form),
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
                check=False,
            )
            assert ended.returncode == 2
            assert f"{form} is not for a terminal" in ended.stderr
    finally:
        os.close(ours)
        os.close(terminal)
    assert URI not in run("show").output


def test_a_revision_that_could_not_be_written_is_never_issued_again(lab: Path) -> None:
    (lab / "phrase").write_text(PHRASE)
    init()
    common = ("--periods", "1", "--from", "2099-11", "--passphrase-file", "phrase")
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            (sys.executable, "-m", "cig_lab.main", "kms", "issue", URI, *common),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode != 0
    assert "issue new ones with --reissue" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert issue(*common).exit_code == 1
    assert issue(*common, "--reissue").exit_code == 0
    assert opened(lab / "out").periods[0].period == "2099-11-2"


def test_a_drawn_passphrase_is_shown_once(lab: Path) -> None:
    init()
    result = issue("--periods", "1", "--new-passphrase")
    assert result.exit_code == 0, result.output
    phrase = result.stderr.splitlines()[0].removeprefix("Passphrase: ")
    assert opened(lab / "out", phrase).uri == URI


def test_revisions_and_revocation(lab: Path) -> None:
    (lab / "phrase").write_text(PHRASE)
    common = ("--periods", "2", "--from", "2099-11", "--passphrase-file", "phrase")
    init()
    assert issue(*common).exit_code == 0
    (lab / "out").rename("first")
    again = issue(*common)
    assert again.exit_code == 1
    assert "2099-11-1, 2099-12-1 already: give --from" in again.output
    assert not (lab / "out").exists()
    assert issue(*common, "--reissue").exit_code == 0
    (lab / "out").rename("second")
    assert run("revoke", URI, "--month", "2099-12").output == f"Withdrawn: {URI} 2099-12-1\n" + (
        f"Withdrawn: {URI} 2099-12-2\n"
    )
    assert issue("--periods", "1", "--from", "2099-12", *common[4:]).exit_code == 0
    assert [keys.period for keys in opened(lab / "out").periods] == ["2099-12-3"]
    assert len({opened(lab / name).periods[-1].ssk.reveal() for name in ("first", "second")}) == 2
    assert run("revoke", "tel:+1").exit_code == 1


def test_a_compromised_kms_gets_new_master_keys(lab: Path) -> None:
    (lab / "phrase").write_text(PHRASE)
    common = ("--periods", "1", "--from", "2099-11", "--passphrase-file", "phrase")
    init()
    issue(*common)
    (lab / "out").rename("first")
    result = run("revoke", "--kms")
    assert result.output.splitlines() == [
        "The KMS has new master keys, generation 2.",
        f"Withdrawn: {URI} 2099-11-1",
    ]
    assert issue(*common).exit_code == 0
    old, new = opened(lab / "first").periods[0], opened(lab / "out").periods[0]
    assert new.period == "2099-11-2"
    assert old.kms.kpak != new.kms.kpak
    shown = run("show").output
    assert "Generation       2" in shown
    assert shown.count(f"{URI}             2099-11-") == 2
    for keys in (old, new):
        assert keys.ssk.reveal().hex() not in shown


def test_trust_anchors(lab: Path) -> None:
    certificate = make_certificate("127.0.0.1", "LAB")
    other = make_certificate("127.0.0.1", "LAB")
    (lab / "crs.pem").write_text(f"with a heading\n{certificate.pem}{other.pem}")
    (lab / "phrase").write_text(PHRASE)
    assert init("--pin-from-cert", "crs.pem", "--ca", "crs.pem").exit_code == 0
    issue("--periods", "1", "--passphrase-file", "phrase")
    held = opened(lab / "out")
    assert held.anchor_pin == certificate.sha256
    assert held.anchor_ca == certificate.pem + other.pem
    der = ssl.PEM_cert_to_DER_cert(certificate.pem)
    assert held.anchor_pin == hashlib.sha256(der).digest()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--pin-from-cert", "phrase"), "no certificate in PEM"),
     (("--pin", "00" * 31), "has 32 octets, this has 31"), (("--pin", "xy"), "no hexadecimal"),
     (("--ca", "phrase", "--pin-from-cert", "phrase", "--pin", "00" * 32), "give one of"),
     (("--crs", "crs"), "of the form host:port"), (("--domain", ""), "domain")],
)  # fmt: skip
def test_no_kms_is_made_of_what_is_wrong(lab: Path, arguments: tuple[str, ...], said: str) -> None:
    (lab / "phrase").write_text(PHRASE)
    result = init(*arguments)
    assert result.exit_code in (1, 2)
    assert said in result.output
    assert "Traceback" not in result.output
    assert not (lab / "kms").exists()


def test_a_kms_needs_a_trust_anchor() -> None:
    result = run("init", "--domain", "LAB", "--crs", "crs:1")
    assert (result.exit_code, "trust anchor" in result.output) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("issue", "+8888", "--periods", "1"), "not a canonical tel URI"),
     (("issue", URI, "--periods", "37"), "1<=x<=36"),
     (("issue", URI, "--periods", "1", "--from", "2026-13"), "not a month"),
     (("issue", URI, "--periods", "2", "--from", "9999-12"), "no 2 months"),
     (("issue", URI, "--periods", "1", "--dir", "none"), "holds no KMS"),
     (("issue", URI, "--periods", "1", "--out", "phrase"), "exists already"),
     (("issue", URI, "--periods", "1", "--out", "none/out"), "folder does not"),
     (("issue", URI, "--periods", "1", "--new-passphrase", "--passphrase-file", "phrase"),
      "give one of"),
     (("revoke",), "give a URI"), (("revoke", URI, "--kms"), "give a URI"),
     (("revoke", "--kms", "--month", "2026-11"), "give a URI"),
     (("revoke", URI), "no keys in use"), (("show", "--dir", "none"), "holds no KMS")],
)  # fmt: skip
def test_what_is_wrong_is_told_and_nothing_is_issued(
    lab: Path, arguments: tuple[str, ...], said: str
) -> None:
    (lab / "phrase").write_text(PHRASE)
    init()
    result = run(*arguments, typed="x\nx\n")
    assert result.exit_code in (1, 2)
    assert said in result.output
    assert "Traceback" not in result.output
    assert URI not in run("show").output


@pytest.mark.parametrize("phrase", [b"", b"\n", b"caf\xe9\n"])
def test_no_passphrase_in_the_file(lab: Path, phrase: bytes) -> None:
    (lab / "phrase").write_bytes(phrase)
    init()
    result = issue("--periods", "1", "--passphrase-file", "phrase")
    assert result.exit_code == 1
    assert "the passphrase is" in result.output
    assert "caf" not in result.output
    assert URI not in run("show").output
