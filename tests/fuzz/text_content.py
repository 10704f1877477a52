# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold for any content of a text: the function that all the fuzzing goes through."""

import io
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from cig_common.texts.content import Octets, TextContent
from cig_common.texts.encode import entity_chunks
from cig_common.texts.entity import MAX_ATTACHMENTS, parse_entity
from cig_common.texts.errors import WORDS, ContentError
from cig_common.texts.filenames import clean
from cig_server.texts.mailbox_message import MailboxMessage

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
MAX_LINE = 998
MAX_PIECE = 65536
MAX_TOLD = 200


def check(octets: bytes) -> None:
    """Read these octets as an entity and as a message; raise AssertionError if all is not well.

    Nothing but ContentError may come out, its text must be fit to be shown, and what is read must
    be the same once it was written and read again.
    """
    for read in (read_entity, read_message):
        try:
            read(octets)
        except ContentError as refused:
            assert refused.word in WORDS
            assert str(refused).isprintable()
            assert 0 < len(str(refused)) <= MAX_TOLD


def read_entity(octets: bytes) -> None:
    """Read an entity."""
    _, content = parse_entity(io.BytesIO(octets), NOW)
    check_content(content)
    written = written_pieces(entity_chunks(content, random.Random(1).randbytes))
    assert facts(parse_entity(io.BytesIO(written), NOW)[1]) == facts(content)


def read_message(octets: bytes) -> None:
    """Read a message of a mailbox."""
    message = MailboxMessage.parse(io.BytesIO(octets), NOW)
    written = written_pieces(message.encode(random.Random(1).randbytes))
    again = MailboxMessage.parse(io.BytesIO(written), NOW)
    assert facts(again.content) == facts(message.content)
    if len(message.to) < MAX_LINE // 4:
        assert again.to == message.to


def check_content(content: TextContent) -> None:
    """Check that a content is what its class promises."""
    assert content.date.tzinfo is not None
    text = joined(content.text)
    text.decode()
    assert not text.endswith((b"\n", b"\r"))
    assert len(content.attachments) <= MAX_ATTACHMENTS
    for attachment in content.attachments:
        assert attachment.filename
        assert clean(attachment.filename) == attachment.filename
        joined(attachment.octets)


def joined(octets: Octets) -> bytes:
    """Return all octets, asked for twice."""
    pieces = list(octets.chunks())
    assert all(len(piece) <= MAX_PIECE for piece in pieces)
    whole = b"".join(pieces)
    assert b"".join(octets.chunks()) == whole
    return whole


def written_pieces(chunks: Iterable[bytes]) -> bytes:
    """Return all pieces as one; each line of them is short, and ends with LF alone."""
    pieces = list(chunks)
    written = b"".join(pieces)
    assert max(map(len, written.split(b"\n"))) <= MAX_LINE
    assert b"\r" not in written
    written.decode()
    return written


def facts(content: TextContent) -> tuple[Any, ...]:
    """Return what can be compared of a content."""
    return (
        content.date,
        joined(content.text),
        [(one.filename, one.content_type, joined(one.octets)) for one in content.attachments],
        content.auto_submitted,
        content.responder_type,
    )
