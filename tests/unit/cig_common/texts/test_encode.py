# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written of a content: it is read again as it was, by Python's email package too."""

from __future__ import annotations

import email
import email.policy
import hashlib
import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from email.message import EmailMessage

import pytest
from hypothesis import given, settings

from cig_common.texts.content import Attachment, AutoSubmitted, Held, ResponderType, TextContent
from cig_common.texts.encode import encode_body, entity_chunks
from cig_common.texts.entity import parse_entity
from cig_common.texts.transfer import Region
from unit.cig_common.texts.strategies import (
    BOUNDARY,
    NOW,
    boundary_octets,
    contents,
    facts,
    joined,
    lengths,
    read,
    seeded,
)

LONG = 16 << 20
FILE = Attachment("a.png", "image/png", Held(b"octets"))


def written(content: TextContent) -> bytes:
    return b"".join(entity_chunks(content, seeded()))


def with_text(text: bytes) -> bytes:
    return written(TextContent(NOW, Held(text)))


@settings(deadline=None)
@given(contents)
def test_what_is_written_is_read_again(content: TextContent) -> None:
    chunks = list(entity_chunks(content, seeded()))
    assert all(0 < len(chunk) <= 65536 for chunk in chunks)
    assert max(lengths(chunks)) <= 998
    assert facts(read(*chunks)) == facts(content)


@settings(deadline=None)
@given(contents)
def test_the_email_package_reads_the_same(content: TextContent) -> None:
    message = email.message_from_bytes(written(content), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert message["Date"].datetime == content.date
    assert message["Auto-Submitted"] == content.auto_submitted
    assert message["X-Responder-Type"] == content.responder_type
    body, *files = list(message.iter_parts()) or [message]
    assert body.get_content_type() == "text/plain"
    assert body.get_content_charset() == "utf-8"
    assert body.get_payload(decode=True).rstrip(b"\n") == joined(content.text)
    assert [one.get_payload(decode=True) for one in files] == [
        joined(one.octets) for one in content.attachments
    ]
    for file, attachment in zip(files, content.attachments, strict=True):
        assert file.get_content_type() == attachment.content_type
        assert file.get_content_disposition() == "attachment"
        assert file.get("Content-Transfer-Encoding") == "base64"
    for part in message.walk():
        assert not part.defects


def test_an_entity() -> None:
    content = TextContent(
        NOW, Held("Grüße".encode()), (FILE,), AutoSubmitted.AUTO_REPLIED, ResponderType.CHANNEL
    )
    assert b"".join(entity_chunks(content, boundary_octets(BOUNDARY))).decode() == (
        "Date: 04 Mar 2026 05:06:07 +0000\n"
        "Auto-Submitted: auto-replied\n"
        "X-Responder-Type: channel\n"
        "Content-Transfer-Encoding: 8bit\n"
        f"Content-Type: multipart/mixed;\n boundary={BOUNDARY}\n"
        "\n"
        f"--{BOUNDARY}\n"
        'Content-Type: text/plain; charset="UTF-8"\n'
        "\n"
        "Grüße\n"
        f"--{BOUNDARY}\n"
        "Content-Type: image/png\n"
        "Content-Transfer-Encoding: base64\n"
        'Content-Disposition: attachment; filename="a.png"\n'
        "\n"
        "b2N0ZXRz\n"
        f"--{BOUNDARY}--\n"
    )


@pytest.mark.parametrize(
    "text",
    ["", "plain\ttext\n\nof lines", "ä" * 499, "x" * 998 + "\n" + "y" * 998, "\x80\u2028", ".\n--"],
)
def test_texts_that_are_written_as_they_are(text: str) -> None:
    assert with_text(text.encode()).endswith(
        b"Content-Transfer-Encoding: 8bit\n\n" + text.encode() + b"\n"
    )


@pytest.mark.parametrize(
    "text", [b"a\rb", b"\0", b"\x1b[31m", b"\x7f", b"x" * 999, b"\n" + b"x" * 999, b"\xff", b"\xc3"]
)
def test_texts_that_are_not(text: bytes) -> None:
    assert b"Content-Transfer-Encoding: base64\n\n" in with_text(text)
    two = written(TextContent(NOW, Held(text), (FILE,)))
    assert two.count(b"Content-Transfer-Encoding: base64\n") == 2
    assert two.count(b"Content-Transfer-Encoding: 8bit\n") == 1


@pytest.mark.parametrize("at", [65_000, 65_535, 65_536, 65_537])
def test_a_line_or_character_on_both_sides_of_a_cut(at: int) -> None:
    lines = b"\n".join([b"x" * 900] * 100)[: at - 1] + b"\n"
    good = lines + "€".encode() + b"y" * 995
    assert with_text(good).endswith(b"8bit\n\n" + good + b"\n")
    assert b"base64" in with_text(good + b"z")
    assert b"base64" in with_text(lines + b"\xe2\x82")


class Crumbs:
    """Octets that come one by one."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets

    def chunks(self) -> Iterator[bytes]:
        return (self.octets[at : at + 1] for at in range(len(self.octets)))


def test_pieces_of_any_length() -> None:
    for text in ("ä" * 499, "x" * 998 + "\n" + "y" * 998, "x" * 999, "ä\n€" + "-" * 900):
        assert written(TextContent(NOW, Crumbs(text.encode()))) == with_text(text.encode())
    held = Attachment("a", "a/b", Held(b"\0" * 200))
    crumbs = Attachment("a", "a/b", Crumbs(b"\0" * 200))
    for text in (b"x", b"--" + BOUNDARY.encode()):
        same = {
            b"".join(
                entity_chunks(
                    TextContent(NOW, source(text), (file,)), boundary_octets(BOUNDARY, "z" * 32)
                )
            )
            for source, file in ((Held, held), (Crumbs, crumbs))
        }
        assert len(same) == 1


def test_a_boundary_that_the_text_has_is_not_taken() -> None:
    other = "z" * 32
    for before in (0, 65_536 - 40, 65_536 - 10, 65_536):
        text = (b"x" * 700 + b"\n") * 200
        text = text[:before] + b"\n--" + BOUNDARY.encode() + b"--\n" + text[before:]
        content = TextContent(NOW, Held(text.rstrip()), (FILE,))
        chunks = list(entity_chunks(content, boundary_octets(BOUNDARY, BOUNDARY, other)))
        assert b"boundary=" + other.encode() + b"\n" in b"".join(chunks)
        assert facts(read(*chunks)) == facts(content)


def test_no_octets_at_all() -> None:
    content = TextContent(NOW, Held(b""), (Attachment("empty", "a/b", Held(b"")), FILE))
    assert facts(read(written(content))) == facts(content)


def test_a_type_that_is_none_is_not_written() -> None:
    for kind in ("a/b\nTo: x", "multipart/mixed", "", "image/png; name=x"):
        octets = written(TextContent(NOW, Held(b""), (Attachment("a", kind, Held(b"")),)))
        assert b"\nContent-Type: application/octet-stream\n" in octets


def test_lines_of_base64_are_76_long() -> None:
    body = encode_body(TextContent(NOW, Held(b"\0" * 200_000)), seeded())
    *whole, last, end = lengths(body.chunks)
    assert set(whole) == {76}
    assert 0 < last <= 76
    assert end == 0


def test_sixteen_megabytes_are_never_in_memory() -> None:
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        for _ in range(LONG // 65_536):
            source.write(os.urandom(65_536))
        tracemalloc.start()
        try:
            file = Attachment("big.bin", "a/b", Region(source, 0, LONG))
            target.writelines(entity_chunks(TextContent(NOW, Held(b"x"), (file,)), seeded()))
            assert target.tell() > LONG * 4 // 3
            _, content = parse_entity(target, NOW)
            ours, theirs = hashlib.sha256(), hashlib.sha256()
            for digest, octets in ((ours, file.octets), (theirs, content.attachments[0].octets)):
                for piece in octets.chunks():
                    digest.update(piece)
            assert theirs.digest() == ours.digest()
            assert tracemalloc.get_traced_memory()[1] < 2 << 20
        finally:
            tracemalloc.stop()
