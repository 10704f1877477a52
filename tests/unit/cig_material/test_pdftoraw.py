# SPDX-License-Identifier: GPL-3.0-or-later
"""pdftoraw as a shell runs it: where keys go, where they must not go, and who is asked for what."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from cig_common import child
from cig_common.carrier import armour
from cig_lab.kms.pdf import write_pdf
from cig_material import document, pdftoraw, raw
from cig_material.material import KeyMaterial
from cig_material.seal import Cost, passphrase_from, seal, unseal
from mikey_sakke.errors import SecretError
from mikey_sakke.secret import Secret
from unit.cig_material.terminal_session import CTRL_C, CTRL_D, Session
from unit.cig_relay.keys.lab import material

MODULE = "cig_material.pdftoraw"
PASSPHRASE = "correct h\u00f6rse"
QUESTION = "Passphrase of the key material: "
SEALED = seal(document.encode(material()), passphrase_from(PASSPHRASE), cost=Cost(4, 8, 1))
RAW = raw.encode(material())


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    path = tmp_path / "key.pdf"
    path.write_bytes(write_pdf(SEALED, title="Key material", lines=[]))
    return path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "key.txt"
    path.write_text(armour.encode(SEALED))
    return path


@pytest.fixture
def phrase(tmp_path: Path) -> Path:
    path = tmp_path / "phrase"
    path.write_text(f"{PASSPHRASE}\nand a second line\n")
    path.chmod(0o600)
    return path


def run(
    *arguments: str | Path, stdout: int = subprocess.PIPE, largest: int | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run it in a session without a terminal; ``largest`` is the size that its files may have."""

    def limit() -> None:
        if largest is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    return subprocess.run(
        [sys.executable, "-m", MODULE, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=child.environment(),
        preexec_fn=limit,
        timeout=60,
        check=False,
    )


def run_into(
    output: Path, *arguments: str | Path, flags: int = os.O_TRUNC, largest: int | None = None
) -> subprocess.CompletedProcess[bytes]:
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | flags, 0o644)
    try:
        return run(*arguments, stdout=descriptor, largest=largest)
    finally:
        os.close(descriptor)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- with a passphrase file -------------------------------------------------------------------


def test_a_pdf_becomes_a_file_that_nobody_else_may_read(
    pdf: Path, phrase: Path, tmp_path: Path
) -> None:
    output = tmp_path / "cig.raw"
    done = run_into(output, pdf, "--passphrase-file", phrase)
    assert done.returncode == 0
    assert output.read_bytes() == RAW
    assert mode(output) == 0o600
    told = done.stderr.decode()
    for words in ("tel:+8888", "LAB", "2026-11-1", "127.0.0.1:5223", "chown ciguser:ciguser"):
        assert words in told
    assert "warning" not in told
    assert PASSPHRASE not in told


def test_a_text_goes_into_a_pipe(text: Path, phrase: Path) -> None:
    done = run(text, "--passphrase-file", phrase)
    assert (done.returncode, done.stdout) == (0, RAW)


def test_a_passphrase_file_that_others_may_read_is_told(text: Path, phrase: Path) -> None:
    phrase.chmod(0o640)
    done = run(text, "--passphrase-file", phrase)
    assert (done.returncode, done.stdout) == (0, RAW)
    assert f"warning: others may read '{phrase}'" in done.stderr.decode()


@pytest.mark.parametrize("line", [PASSPHRASE + "\r\n", unicodedata.normalize("NFD", PASSPHRASE)])
def test_a_passphrase_means_the_same_from_any_editor(text: Path, phrase: Path, line: str) -> None:
    phrase.write_bytes(line.encode())
    assert run(text, "--passphrase-file", phrase).stdout == RAW


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"wrong", "the passphrase is wrong"),
        (b"", "the passphrase is empty"),
        (b"\xff\xfe\n", "the passphrase is no text in UTF-8"),
        (b"x" * 5000, "its first line is too long"),
    ],
)
def test_a_passphrase_that_opens_nothing_is_told(
    text: Path, phrase: Path, tmp_path: Path, content: bytes, said: str
) -> None:
    phrase.write_bytes(content)
    output = tmp_path / "cig.raw"
    done = run_into(output, text, "--passphrase-file", phrase)
    told = done.stderr.decode()
    assert done.returncode == 1
    assert output.read_bytes() == b""
    assert said in told
    assert "The output file is empty: remove it" in told


def test_files_that_are_not_there_are_told(text: Path, phrase: Path, tmp_path: Path) -> None:
    for arguments in (
        (tmp_path / "gone", "--passphrase-file", phrase),
        (text, "--passphrase-file", tmp_path / "gone"),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (1, b"")
        assert "gone'" in done.stderr.decode()


def test_wrong_files_are_told(pdf: Path, phrase: Path, tmp_path: Path) -> None:
    whole = pdf.read_bytes()
    other = write_pdf(b"CIGSEALED? no", title="Key material", lines=[])
    for content, said in (
        (whole[: len(whole) // 2], "the PDF is cut short"),
        (RAW, "this is a cig.raw"),
        (b"\x7fELF\x00", "neither text nor PDF"),
        (other, "key material"),
    ):
        pdf.write_bytes(content)
        done = run(pdf, "--passphrase-file", phrase)
        assert (done.returncode, done.stdout) == (1, b""), said
        assert said in done.stderr.decode()
        assert "Nothing was written." in done.stderr.decode()


# --- where it goes ----------------------------------------------------------------------------


def test_no_octet_is_written_before_the_file_is_kept_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "cig.raw"
    output.touch(0o644)
    seen = []
    write = os.write

    def watched(descriptor: int, octets: bytes) -> int:
        seen.append((mode(output), output.stat().st_size))
        return write(descriptor, octets[:100])

    descriptor = os.open(output, os.O_WRONLY)
    try:
        monkeypatch.setattr(pdftoraw, "_OUTPUT", descriptor)
        monkeypatch.setattr(os, "write", watched)
        pdftoraw._write(RAW)
    finally:
        os.close(descriptor)
    assert output.read_bytes() == RAW
    assert seen[0] == (0o600, 0)
    assert len(seen) == -(-len(RAW) // 100)


def test_a_file_with_content_is_left_alone(text: Path, phrase: Path, tmp_path: Path) -> None:
    output = tmp_path / "cig.raw"
    output.write_bytes(b"before")
    done = run_into(output, text, "--passphrase-file", phrase, flags=os.O_APPEND)
    assert done.returncode == 1
    assert "write to it with >, not with >>" in done.stderr.decode()
    assert output.read_bytes() == b"before"


def test_a_file_that_takes_no_more_keeps_no_part(text: Path, phrase: Path, tmp_path: Path) -> None:
    output = tmp_path / "cig.raw"
    done = run_into(output, text, "--passphrase-file", phrase, largest=300)
    assert done.returncode == 1
    assert "the output cannot be written: File too large" in done.stderr.decode()
    assert output.read_bytes() == b""


def test_a_full_disk_is_told(text: Path, phrase: Path) -> None:
    done = run_into(Path("/dev/full"), text, "--passphrase-file", phrase)
    assert done.returncode == 1
    assert "the output cannot be written: No space left" in done.stderr.decode()


def test_a_terminal_gets_no_keys(text: Path, phrase: Path) -> None:
    master, slave = os.openpty()
    try:
        done = run(text, "--passphrase-file", phrase, stdout=slave)
        os.write(slave, b"|")
        assert os.read(master, 100) == b"|"
    finally:
        os.close(master)
        os.close(slave)
    assert done.returncode == 1
    assert "the keys must not go to a terminal" in done.stderr.decode()


# --- at a terminal ----------------------------------------------------------------------------


def test_the_passphrase_is_asked_for_without_echo(pdf: Path, tmp_path: Path) -> None:
    output = tmp_path / "cig.raw"
    with Session(output, MODULE, str(pdf)) as session:
        session.answer(QUESTION, f"{PASSPHRASE}\n")
        code, told = session.end()
        assert session.echoes
        assert session.seen.split() == QUESTION.split()
    assert (code, output.read_bytes()) == (0, RAW)
    assert mode(output) == 0o600
    assert "tel:+8888" in told


def test_it_may_be_mistyped_twice(text: Path, tmp_path: Path) -> None:
    output = tmp_path / "cig.raw"
    with Session(output, MODULE, str(text)) as session:
        session.answer(QUESTION, "wrong\n")
        session.answer(QUESTION, "\n")
        session.answer(QUESTION, f"{PASSPHRASE}\n")
        code, told = session.end()
    assert (code, output.read_bytes()) == (0, RAW)
    assert "the passphrase is wrong, or the key material was altered. Try again (2 left)" in told
    assert "the passphrase is empty. Try again (1 left)" in told


def test_three_wrong_ones_end_it(text: Path, tmp_path: Path) -> None:
    output = tmp_path / "cig.raw"
    with Session(output, MODULE, str(text)) as session:
        for wrong in ("wrong\n", "wr\u00f6ng\n"):
            session.answer(QUESTION, wrong)
        session.answer(QUESTION, CTRL_D)
        code, told = session.end()
        assert session.echoes
        assert "ng" not in session.seen
    assert (code, output.read_bytes()) == (1, b"")
    assert told.count("Try again") == 2
    assert "the passphrase is empty" in told


def test_ctrl_c_leaves_everything_as_it_was(text: Path, tmp_path: Path) -> None:
    output = tmp_path / "cig.raw"
    with Session(output, MODULE, str(text)) as session:
        session.answer(QUESTION, f"half of it{CTRL_C}")
        code, told = session.end()
        assert session.echoes
        assert "half" not in session.seen
    assert (code, output.read_bytes()) == (1, b"")
    assert told.startswith("pdftoraw: interrupted\nNothing was written.")


def test_without_a_terminal_it_says_what_to_do(text: Path) -> None:
    done = run(text)
    assert (done.returncode, done.stdout) == (1, b"")
    told = done.stderr.decode()
    assert told.count("here is no terminal to ask for the passphrase: use --passphrase-file") == 1


# --- what is left in memory -------------------------------------------------------------------


def test_keys_and_passphrase_are_wiped(
    text: Path, phrase: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[Secret] = []
    decode = document.decode

    def decoded(octets: bytes) -> KeyMaterial:
        found = decode(octets)
        held.extend(secret for keys in found.periods for secret in (keys.ssk, keys.rsk))
        return found

    def opened(sealed: bytes, passphrase: Secret) -> bytes:
        held.append(passphrase)
        return unseal(sealed, passphrase)

    monkeypatch.setattr(pdftoraw.document, "decode", decoded)
    monkeypatch.setattr(pdftoraw, "unseal", opened)
    output = tmp_path / "cig.raw"
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
    try:
        monkeypatch.setattr(pdftoraw, "_OUTPUT", descriptor)
        assert pdftoraw._run(text, phrase) == 0
    finally:
        os.close(descriptor)
    assert output.read_bytes() == RAW
    assert len(held) == 3
    for secret in held:
        with pytest.raises(SecretError):
            secret.reveal()
