# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/key-material-transport.md says what the code does: examples and limits are the code's."""

from __future__ import annotations

import re
from pathlib import Path

from cig_common.carrier import SEALED_MAGIC, armour, parts, pdf, pdf_codes
from cig_lab.kms import pdf as kms_pdf

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "key-material-transport.md").read_text()
TEXT, PARTS = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLE = bytes(range(100))


def tables(*head: str) -> list[list[list[str]]]:
    """The rows of all tables with this head."""
    found = re.findall(r"^\| (.*) \|\n\|[ |-]*\|\n((?:\|.*\n)*)", PAGE, re.MULTILINE)
    return [
        [[cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines()]
        for cells, rows in found
        if cells == " | ".join(head)
    ]


def test_the_example_as_text() -> None:
    assert armour.encode(EXAMPLE) == TEXT
    assert armour.decode(PAGE[PAGE.index("## Text") :]) == EXAMPLE


def test_the_example_in_parts() -> None:
    octets = [bytes.fromhex(line) for line in PARTS.split()]
    assert parts.split(EXAMPLE, 71) == octets
    assembly = parts.Assembly()
    for one in reversed(octets):
        assembly.add(one)
    assert assembly.result() == EXAMPLE


def test_what_the_forms_begin_with() -> None:
    for mark in (armour.BEGIN, "%PDF-", SEALED_MAGIC.decode(), parts.MAGIC.decode()):
        assert f"`{mark}`" in PAGE


def test_the_tables_of_octets() -> None:
    head, part = tables("offset", "octets", "value")
    assert [row[:2] for row in head] == [["0", "1"], ["1", "4"], ["5", f"{armour.DIGEST_OCTETS}"]]
    assert [row[0] for row in part] == ["0", "4", "5", "13", "15", "17", "the last"]
    assert [row[1] for row in part] == ["4", "1", "8", "2", "2", "at least 1", "4"]
    assert parts.OVERHEAD == 17 + 4


def test_the_limits() -> None:
    (limits,) = tables("limit", "value")
    assert limits == [
        ["size of the file", f"{pdf.MAX_OCTETS >> 20} MiB"],
        ["pages", f"{pdf_codes.MAX_PAGES}"],
        ["time for all looks", f"{pdf.READ_SECONDS:g} s"],
        ["memory of the process that looks", f"{pdf_codes.MAX_MEMORY >> 30} GiB"],
    ]
    assert f"1 to {armour.MAX_SEALED}" in PAGE
    assert f"{armour.MAX_TEXT >> 10} KiB at most" in PAGE
    assert f"number of parts, at most {parts.MAX_PARTS}" in PAGE
    assert f"at most {parts.MAX_WHOLE} octets" in PAGE
    assert len(pdf_codes.WAYS) == 6
    assert "six looks at most" in PAGE


def test_the_paper() -> None:
    assert (
        f"At most {kms_pdf.PART_OCTETS} octets a part: QR version {kms_pdf.MAX_QR_VERSION}" in PAGE
    )
    assert f"error correction level {kms_pdf.ERROR_LEVEL.upper()}." in PAGE
    assert f"{kms_pdf.CODE_MM:g} mm wide" in PAGE
