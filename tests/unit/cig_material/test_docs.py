# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/key-material.md says what the code does: its tables, limits and examples are the code's."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable
from pathlib import Path

from cig_material import document, material, raw, seal
from umsg import cbor

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "key-material.md").read_text("utf-8")
VECTOR = json.loads((ROOT / "tests" / "vectors" / "key_material.json").read_text())
BLOCKS = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TYPES = {
    "integer": int,
    "text": str,
    "octets": bytes,
    "octets or null": bytes | None,
    "array of text": list,
    "array of maps": list,
}


def tables(*heads: str) -> list[list[list[str]]]:
    """The rows of all tables whose first cells in the head are these."""
    found = re.findall(r"^\| (.*) \|\n\|[ |-]*\|\n((?:\|.*\n)*)", PAGE, re.MULTILINE)
    return [
        [[cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines()]
        for head, rows in found
        if tuple(head.split(" | ")[: len(heads)]) == heads
    ]


def typed(rows: Iterable[list[str]]) -> dict[str, object]:
    return {row[0].strip("`"): TYPES[row[1]] for row in rows}


def test_fields() -> None:
    whole, kms, periods = tables("field", "type")
    assert typed(whole) == document._FIELDS
    assert typed(kms) == document._KMS_FIELDS
    assert typed(periods) == document._PERIOD_FIELDS


def test_limits() -> None:
    ((*rows,),) = tables("limit", "value")
    assert [int(value) for _, value in rows] == [
        document.MAX_OCTETS,
        material.MAX_PERIODS,
        material.MAX_CRS,
        material.MAX_TEXT,
        material.MAX_CA,
    ]
    assert f"N = 2^{seal.DEFAULT_COST.log_n},\nr = {seal.DEFAULT_COST.r}" in PAGE
    said = f"N up to 2^{seal.MAX_LOG_N}, r up to {seal.MAX_R}, p up to {seal.MAX_P} and 1 GiB"
    assert said in PAGE
    assert seal.MAX_MEMORY == 1 << 30


def test_offsets() -> None:
    sealed, clear = tables("offset", "octets")
    head = [row for row in sealed if row[0].isdigit() and row[1].isdigit()]
    sizes = [int(octets) for _, octets, _ in head]
    assert [int(offset) for offset, _, _ in head] == [sum(sizes[:i]) for i in range(len(sizes))]
    assert sum(sizes) == seal.HEAD_OCTETS
    assert sealed[0][2] == f"`{seal.MAGIC.decode()}`"
    assert sealed[-1][:2] == ["43 + length", str(seal.TAG_OCTETS)]
    assert clear[0][1:] == [str(len(raw.MAGIC)), f"`{raw.MAGIC.decode()}`"]
    assert clear[2][0] == str(raw.HEAD_OCTETS)
    assert clear[3][1] == str(raw.DIGEST_OCTETS)


def test_the_head_shown_is_that_of_the_vector() -> None:
    shown = "".join(re.findall(r"^((?:[0-9a-f]{2,} ?)+)  ", BLOCKS[1], re.MULTILINE))
    head = bytes.fromhex(VECTOR["sealed"][0]["sealed"])[: seal.HEAD_OCTETS]
    assert bytes.fromhex(shown) == head
    (length,) = struct.unpack_from(">I", head, 11)
    assert f"{length} octets of document" in BLOCKS[1]


def test_the_document_shown_is_that_of_the_vector() -> None:
    values = cbor.decode_map(bytes.fromhex(VECTOR["document"]))
    assert re.sub(r"\s", "", notation(values)) == re.sub(r"\s", "", BLOCKS[0])


def notation(value: object) -> str:
    """Diagnostic notation, octet strings cut short."""
    match value:
        case dict():
            return "{" + ",".join(f'"{k}":{notation(v)}' for k, v in value.items()) + "}"
        case list():
            return f"[{','.join(map(notation, value))}]"
        case bytes():
            return f"h'{value[:6].hex()}…'"
        case _:
            return json.dumps(value)
