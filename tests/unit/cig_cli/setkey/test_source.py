# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cig_cli.setkey.source import (
    SourceError,
    as_file_name,
    passphrase_from_file,
    sealed_from_file,
)
from cig_common.carrier import armour


def test_key_material(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_text("Dear operator,\n\n" + armour.encode(b"sealed") + "\nregards\n")
    assert sealed_from_file(str(path)) == b"sealed"
    path.write_bytes(b"CIGSEAL...")
    assert sealed_from_file(str(path)) == b"CIGSEAL..."
    path.write_text("nothing")
    with pytest.raises(SourceError, match="there is no key material in the text"):
        sealed_from_file(str(path))
    for name in (tmp_path / "none", tmp_path, "a\0b"):
        with pytest.raises(SourceError):
            sealed_from_file(str(name))


@pytest.mark.parametrize(
    ("content", "passphrase"),
    [
        (b"correct horse\n", b"correct horse"),
        (b"correct horse", b"correct horse"),
        (b"correct horse\r\nsecond line\n", b"correct horse"),
        (b"\xef\xbb\xbfcorrect horse\n", b"correct horse"),
        (b" kept \n", b" kept "),
        ("schl\u00fcssel\n".encode(), "schl\u00fcssel".encode()),
    ],
)
def test_the_first_line_is_the_passphrase(
    tmp_path: Path, content: bytes, passphrase: bytes
) -> None:
    path = tmp_path / "phrase"
    path.write_bytes(content)
    path.chmod(0o600)
    assert passphrase_from_file(str(path)) == (passphrase, "")


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_others_who_may_read_it_are_told_of(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "phrase"
    path.write_text("correct horse\n")
    path.chmod(mode)
    phrase, warning = passphrase_from_file(str(path))
    assert phrase == b"correct horse"
    assert f"{path} has mode {mode:04o}" in warning
    assert f"chmod 600 {path}" in warning
    assert "correct" not in warning


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n", b"\nsecret", b"\xef\xbb\xbf\n"])
def test_an_empty_line_is_no_passphrase(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "phrase"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="is empty: it should be the passphrase"):
        passphrase_from_file(str(path))


def test_no_passphrase_file(tmp_path: Path) -> None:
    path = tmp_path / "phrase"
    with pytest.raises(SourceError, match="No such file"):
        passphrase_from_file(str(path))
    with pytest.raises(SourceError, match="Is a directory"):
        passphrase_from_file(str(tmp_path))
    with pytest.raises(SourceError):
        passphrase_from_file("a\0b")
    path.write_bytes(b"x" * 9000)
    with pytest.raises(SourceError, match="too long to be a passphrase"):
        passphrase_from_file(str(path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_any_passphrase_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "phrase"
    path.write_bytes(content)
    try:
        phrase, _ = passphrase_from_file(str(path))
    except SourceError:
        return
    assert phrase
    assert b"\n" not in phrase
    assert bytes(phrase) in content


def test_names_as_they_are_typed_or_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/op")
    assert as_file_name(" ~/keys.pdf ") == "/home/op/keys.pdf"
    assert as_file_name("'/media/my stick/keys.pdf'") == "/media/my stick/keys.pdf"
    assert as_file_name("/media/my\\ stick/keys.pdf") == "/media/my stick/keys.pdf"
    assert as_file_name("it's here") == "it's here"
    odd = tmp_path / "'odd'"
    odd.touch()
    assert as_file_name(str(odd)) == str(odd)
