# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of mailboxes: the manual's examples to the octet, and what may come from others."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cig_common.texts.content import Attachment, Held, ResponderType, TextContent
from cig_common.texts.errors import WORDS, ContentError
from cig_common.texts.filenames import disposition
from cig_server.texts.mailbox_message import MailboxMessage
from unit.cig_common.texts.strategies import (
    BOUNDARY,
    NOW,
    boundary_octets,
    contents,
    facts,
    joined,
    lengths,
    seeded,
)

PAGE = Path(__file__).parents[4] / "docs" / "texts.md"
HEADER = """\
To: <sip:124@example.com>
From: <sip:456@example.net>
Date: 26 Nov 2015 17:15:44 +0000
Auto-Submitted: no
X-Sender-URI: tel:+12345
X-Sender-Domain: Example Domain
"""
PLAIN = (
    HEADER
    + """\
Content-Type: text/plain; charset="UTF-8"
Content-Transfer-Encoding: 8bit

This is the text message in plaintext.
"""
)
PARTS = """\
Content-Transfer-Encoding: 8bit
Content-Type: multipart/mixed;
 boundary=e9lafbk45d361b43c2f051a6b732e44n

--e9lafbk45d361b43c2f051a6b732e44n
Content-Type: text/plain; charset="UTF-8"

This is the text message in plaintext.
--e9lafbk45d361b43c2f051a6b732e44n
Content-Type: image/png
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="filename.png"

{base64}
--e9lafbk45d361b43c2f051a6b732e44n--
"""
BASE64 = """\
YwF6Iq1GI8fUeBNAVJIIJez4e8pLu3jzENEMGLrtVyTC5QVMJ/yr5xDC6n
jPVB4NXqxT+mWhR+N3YygRNIN4okh5sYx9h7N1H0nm0lp2F2n0fvfkWmQ
CD1kvLyiwPAsTkNJpdQ7MBZlc2n/0U9VaG7i/GAk1Mz09rAgIeCBvDwM="""
"""As the manual prints it: its padding is one character too many."""
MULTIPART = HEADER + PARTS.format(base64=BASE64)
OCTETS = base64.b64decode(BASE64.replace("\n", "")[:172])
MESSAGE = MailboxMessage(
    to="sip:124@example.com",
    from_="sip:456@example.net",
    content=TextContent(
        datetime(2015, 11, 26, 17, 15, 44, tzinfo=UTC),
        Held(b"This is the text message in plaintext."),
    ),
    sender_uri="tel:+12345",
    sender_domain="Example Domain",
)
WITH_FILE = dataclasses.replace(
    MESSAGE,
    content=dataclasses.replace(
        MESSAGE.content, attachments=(Attachment("filename.png", "image/png", Held(OCTETS)),)
    ),
)
ADDRESSES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=200).map(
    lambda text: text.replace("<", "").replace(">", "").strip() or "tel:+1"
)


def parse(*octets: bytes | str) -> MailboxMessage:
    whole = b"".join(one.encode() if isinstance(one, str) else one for one in octets)
    return MailboxMessage.parse(io.BytesIO(whole), NOW)


def encoded(message: MailboxMessage) -> str:
    return b"".join(message.encode(boundary_octets(BOUNDARY))).decode()


def same(one: MailboxMessage, other: MailboxMessage) -> bool:
    plain = TextContent(NOW, Held(b""))
    return facts(one.content) == facts(other.content) and dataclasses.replace(
        one, content=plain
    ) == dataclasses.replace(other, content=plain)


def test_the_manual_s_plain_example() -> None:
    assert encoded(MESSAGE) == PLAIN
    assert same(parse(PLAIN), MESSAGE)


def test_the_manual_s_example_with_a_file() -> None:
    # The manual's lines of base64 are 58 characters long, ours 76.
    ours = base64.encodebytes(OCTETS).decode().strip()
    assert encoded(WITH_FILE) == HEADER + PARTS.format(base64=ours)
    assert same(parse(MULTIPART), WITH_FILE)
    assert same(parse(encoded(WITH_FILE)), WITH_FILE)


def test_the_example_as_the_manual_prints_it() -> None:
    printed = MULTIPART.replace("\n boundary", "\nboundary")
    assert same(parse(printed), WITH_FILE)


@pytest.mark.parametrize("octets", [PLAIN, MULTIPART], ids=["plain", "multipart"])
def test_line_ends_of_another_system(octets: str) -> None:
    read = parse(octets.replace("\n", "\r\n"))
    assert same(read, WITH_FILE if octets is MULTIPART else MESSAGE)


def test_blanks_round_the_colon() -> None:
    head, _, body = PLAIN.partition("\n\n")
    for colon in (" : ", ":", "\t:\t"):
        assert same(parse(head.replace(": ", colon), "\n\n", body), MESSAGE)


def test_headers_of_ours_come_where_they_belong() -> None:
    content = dataclasses.replace(MESSAGE.content, responder_type=ResponderType.TEL_URI)
    message = dataclasses.replace(MESSAGE, content=content, message_id="SxU+cQAE66+12m5j")
    assert encoded(message) == PLAIN.replace(
        "Auto-Submitted: no\n", "Auto-Submitted: no\nX-Responder-Type: tel-uri\n"
    ).replace("8bit\n", "8bit\nX-CIG-Message-ID: SxU+cQAE66+12m5j\n")
    assert same(parse(encoded(message)), message)
    with_file = encoded(dataclasses.replace(WITH_FILE, message_id="x"))
    assert f"boundary={BOUNDARY}\nX-CIG-Message-ID: x\n\n--" in with_file


def test_only_to_and_from_are_needed() -> None:
    read = parse("From: <sip:a@example.net>\nX-Other: y\nTo: <sip:b@example.net>\n\nhello")
    assert (read.from_, read.to) == ("sip:a@example.net", "sip:b@example.net")
    assert joined(read.content.text) == b"hello"
    assert read.content.date == NOW
    assert (read.sender_uri, read.sender_domain, read.message_id) == ("", "", "")


@pytest.mark.parametrize(
    "value",
    ["", "a", "<>", "< >", "<a", "a>", "x <a>", "<a> x", '"x" <a>', "<a>, <b>", "<<a>>", "<a\x01>"],
)
@pytest.mark.parametrize("name", ["To", "From"])
def test_addresses_that_are_none(name: str, value: str) -> None:
    other = "From" if name == "To" else "To"
    with pytest.raises(ContentError) as caught:
        parse(f"{name}: {value}\n{other}: <a>\n\nx")
    assert caught.value.word == "header"
    assert name in str(caught.value)


@pytest.mark.parametrize("name", ["To", "From"])
def test_an_address_that_is_missing(name: str) -> None:
    with pytest.raises(ContentError) as caught:
        parse(f"{name}: <a>\n\nx")
    assert caught.value.word == "header"


def test_no_value_makes_a_header_of_its_own() -> None:
    evil = "a>\r\nTo: <b>\n\nbody\x00"
    message = MailboxMessage(evil, evil, MESSAGE.content, evil, evil, evil)
    head = encoded(message).partition("\n\n")[0]
    assert [line.partition(":")[0] for line in head.split("\n")] == [
        "To",
        "From",
        "Date",
        "Auto-Submitted",
        "X-Sender-URI",
        "X-Sender-Domain",
        "Content-Type",
        "Content-Transfer-Encoding",
        "X-CIG-Message-ID",
    ]
    assert parse(encoded(message)).to == "a  To: b  body"


@settings(deadline=None)
@given(ADDRESSES, ADDRESSES, contents, ADDRESSES)
def test_what_is_written_is_read_again(
    to: str, from_: str, content: TextContent, domain: str
) -> None:
    message = MailboxMessage(to, from_, content, "tel:+12345", domain, "SxU+cQAE66+12m5j")
    chunks = list(message.encode(seeded()))
    assert max(lengths(chunks)) <= 998
    assert same(parse(*chunks), message)


def test_the_page_shows_what_is_written() -> None:
    page = PAGE.read_text("utf-8")
    for example in (encoded(MESSAGE), encoded(WITH_FILE), disposition("ä €.png").decode()):
        assert f"```\n{example.rstrip()}\n```" in page
    section = page.partition("## Message format")[2].partition("\n## ")[0]
    assert set(re.findall("^[|] `([a-z-]+)` [|]", section, re.MULTILINE)) == WORDS


def test_nothing_of_the_content_is_shown() -> None:
    assert "plaintext" not in repr(parse(PLAIN))
