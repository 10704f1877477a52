# SPDX-License-Identifier: GPL-3.0-or-later
"""A file by its content: every form and encoding, and every file that is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cig_common import carrier, child
from cig_common.carrier import CarrierError, armour, read_file, read_octets
from cig_lab.kms.pdf import write_pdf

SEALED = b"CIGSEAL\x01" + bytes(range(200))
TEXT = armour.encode(SEALED)


@pytest.mark.parametrize(
    "octets",
    [
        SEALED,
        TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.replace(" ", "\u00a0").encode("latin-1"),
        f"Grüße!\n{TEXT}".encode("latin-1"),
        write_pdf(SEALED, title="Key material", lines=[]),
        b"\r\n" + write_pdf(SEALED, title="Key material", lines=[]),
    ],
    ids=["sealed", "text", "windows", "utf-16", "no-break", "latin-1", "pdf", "pdf-later"],
)
def test_each_form_is_known_by_its_content(octets: bytes, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(octets)
    assert read_file(path) == SEALED


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n....", "this is a picture: let the scanner save a PDF"),
        (b"CIGRAW\x01...", "this is a cig.raw, which is not sealed"),
        (b"PK\x03\x04\x00\x00", "this is neither text nor PDF"),
        (b"correct horse\n", "there is no key material in the text"),
        (b"\n" * (carrier.MAX_OCTETS + 1), "the file is larger than 32 MiB"),
    ],
    ids=["empty", "picture", "raw", "archive", "passphrase", "huge"],
)
def test_each_file_that_is_none_is_told(octets: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(octets)
    with pytest.raises(CarrierError, match=said):
        read_file(path)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(CarrierError, match=r"there is no file '.*gone'"):
        read_file(tmp_path / "gone")
    with pytest.raises(CarrierError, match="is a folder: name the file in it"):
        read_file(tmp_path)
    with pytest.raises(CarrierError, match="its name cannot be one"):
        read_file(Path("a\0b"))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(CarrierError, match="is no ordinary file"):
        read_file(pipe)
    with pytest.raises(CarrierError) as caught:
        read_file(Path("no\x1b[2Jsuch\udcfffile"))
    assert str(caught.value).isprintable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_somebody_else_is_told(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(SEALED)
    path.chmod(0)
    with pytest.raises(CarrierError, match="this user must not read"):
        read_file(path)


@given(st.binary(min_size=1, max_size=200))
@settings(deadline=None)  # what begins as a PDF starts a process
def test_no_octets_raise_anything_else(octets: bytes) -> None:
    try:
        assert read_octets(octets) == octets
        assert octets.startswith(carrier.SEALED_MAGIC)
    except CarrierError as refused:
        assert str(refused).isprintable()


def test_nothing_heavy_is_loaded_before_there_is_a_pdf() -> None:
    code = "import sys, cig_common.carrier; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=child.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "cig_common" in loaded
    assert not loaded & {"pypdfium2", "zxingcpp", "PIL", "numpy", "cig_material", "mikey_sakke"}
