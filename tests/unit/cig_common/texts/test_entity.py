# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of an entity; Python's email package is asked where it can tell."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from email.policy import default as unix

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cig_common.texts.content import AutoSubmitted, Octets, ResponderType
from cig_common.texts.errors import ContentError
from unit.cig_common.texts.strategies import filenames, joined, read

MULTIPART = b"Content-Type: multipart/mixed; boundary=b\n\n"
PART = b"\n--b\nContent-Disposition: attachment; filename=a\n"


def text_of(*octets: bytes) -> bytes:
    return joined(read(*octets).text)


def word_of(*octets: bytes) -> str:
    with pytest.raises(ContentError) as caught:
        read(*octets)
    return caught.value.word


def attached(*parts: bytes) -> list[bytes]:
    content = read(MULTIPART, b"--b\n\ntext", *parts, b"\n--b--\n")
    assert joined(content.text) == b"text"
    return [joined(one.octets) for one in content.attachments]


@pytest.mark.parametrize("policy", [unix, SMTP], ids=["LF", "CRLF"])
@pytest.mark.parametrize("cte", ["7bit", "8bit", "base64", "quoted-printable"])
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_what_the_email_package_writes(policy: EmailPolicy, cte: str, data: st.DataObject) -> None:
    alphabet = "aß€\U0001f600 =.-\t\n" if cte != "7bit" else "ab =.-\t\n"
    text = data.draw(st.text(alphabet, max_size=200))
    files = data.draw(st.lists(st.tuples(filenames, st.binary(max_size=200)), max_size=3))
    message = EmailMessage(policy)
    message.set_content(text, cte=cte)
    for name, octets in files:
        message.add_attachment(octets, maintype="image", subtype="png", filename=name)
    content = read(message.as_bytes(policy=policy))
    newline = policy.linesep if cte == "base64" else "\n"
    assert joined(content.text).decode() == text.rstrip("\n").replace("\n", newline)
    assert [joined(one.octets) for one in content.attachments] == [one for _, one in files]


@pytest.mark.parametrize(
    ("charset", "octets", "text"),
    [
        ("utf-8", b"\xc3\xa4", "ä"),
        ('"UTF-8"', b"\xe2\x82", "\ufffd"),
        ("US-ASCII", b"a\xc3\xa4", "aä"),
        ("us-ascii (plain)", b"a", "a"),
        ("ISO-8859-1", b"\xe4\x80", "ä\x80"),
        ("windows-1252", b"\x80\x81", "€\ufffd"),
        ('""', b"\xff\xff", "\ufffd\ufffd"),
    ],
)
def test_charsets(charset: str, octets: bytes, text: str) -> None:
    header = f"Content-Type: TEXT/Plain; Charset={charset}\n\n".encode()
    assert text_of(header, octets).decode() == text


def test_other_charsets_are_refused() -> None:
    assert word_of(b"Content-Type: text/plain; charset=utf-16\n\nx") == "charset"


@pytest.mark.parametrize("at", range(65_530, 65_540))
def test_a_character_on_both_sides_of_a_cut(at: int) -> None:
    text = "x" * at + "€\r\ny=\r\n"
    assert text_of(b"\n", text.encode()).decode() == "x" * at + "€\ny="
    quoted = b"x" * at + b"=E2=82=AC=\r\ny=\n\n"
    header = b"Content-Transfer-Encoding: Quoted-Printable\n\n"
    assert text_of(header, quoted).decode() == "x" * at + "€y"


def test_only_newlines_at_the_end_are_left_out() -> None:
    assert text_of(b"\n\n\n a \n\n b\t\n\r\n\n") == b"\n\n a \n\n b\t"
    assert text_of(b"\n" + b"\n" * 200_000 + b"x" + b"\n" * 200_000) == b"\n" * 200_000 + b"x"
    assert text_of(b"Content-Transfer-Encoding: base64\n\nYQ0KDQoK") == b"a"


def test_line_ends_inside_base64_stay() -> None:
    assert text_of(b"Content-Transfer-Encoding: base64\n\nYQ0KYg0Kcg==") == b"a\r\nb\r\nr"
    assert text_of(b"\na\r\nb\rc\r\n") == b"a\nb\rc"


@pytest.mark.parametrize(
    "octets", [b"QUJDRA==", b"QUJDRA", b" Q U\tJ\r\nD\nR\x0bA = =\n", b"QUJDRA=\n"]
)
def test_base64_that_is_tolerated(octets: bytes) -> None:
    assert attached(PART + b"Content-Transfer-Encoding: BASE64\n\n" + octets) == [b"ABCD"]


@pytest.mark.parametrize(
    "octets", [b"QUJDR", b"QU*JD", b"QUI=QUJD", b"QUJD===", b"QUJD\xff", b"Q", b"QU-_"]
)
def test_base64_that_is_not(octets: bytes) -> None:
    part = PART + b"Content-Transfer-Encoding: base64\n\n" + octets
    assert word_of(MULTIPART, b"--b\n\n", part, b"\n--b--") == "encoding"
    assert word_of(b"Content-Transfer-Encoding: base64\n\n", octets) == "encoding"


def test_base64_that_goes_wrong_beyond_the_first_piece() -> None:
    good = b"QUJD\n" * 30_000
    header = PART + b"Content-Transfer-Encoding: base64\n\n"
    assert attached(header + good) == [b"ABC" * 30_000]
    for end in (b"Q===", b"QQ==" + b"\n" * 70_000 + b"Q", b"!"):
        assert word_of(MULTIPART, b"--b\n\n", header, good, end, b"\n--b--") == "encoding"


def test_encodings() -> None:
    parts = [
        PART + b"Content-Transfer-Encoding: " + name + b"\n\n=41\r\nx\xff\n"
        for name in (b"7bit", b"8Bit", b"binary", b"quoted-printable")
    ]
    assert attached(*parts) == [b"=41\r\nx\xff\n"] * 3 + [b"A\r\nx\xff\n"]
    assert word_of(b"Content-Transfer-Encoding: x-token\n\nx") == "encoding"
    assert word_of(b"Content-Transfer-Encoding: base64\n" + MULTIPART) == "encoding"


def test_what_is_no_escape_stays() -> None:
    header = PART + b"Content-Transfer-Encoding: quoted-printable\n\n"
    for octets in (b"=\rABC\nD", b"=4", b"=XY", b"a=\r=\rb"):
        part = header + octets + b"\n"
        assert attached(part) == [octets + b"\n"]
    assert attached(header + b"a=\r\nb=\nc=3D=") == [b"abc="]


def test_preamble_and_epilogue_do_not_count() -> None:
    content = read(MULTIPART, b"--bb\npreamble\n--b \t\n\nt\n--b", b"--\nepilogue\n--b\n\nx\n--b--")
    assert joined(content.text) == b"t"
    assert content.attachments == ()


def test_lines_that_only_begin_like_the_boundary() -> None:
    text = b"--\n--bb\n --b\n--b-\n--b -\nx--b\n---b"
    assert text_of(MULTIPART, b"--b\n\n", text, b"\n--b--") == text


def test_a_part_may_be_empty() -> None:
    assert attached(PART, PART + b"\n", PART + b"\n\n", b"\n--b\n") == [b"", b"", b"\n", b""]
    assert text_of(MULTIPART, b"--b\n--b\n--b--") == b""


@pytest.mark.parametrize("length", range(65_400, 65_560, 3))
def test_boundaries_wherever_a_piece_ends(length: int) -> None:
    octets = bytes(range(256)) * (length // 256) + b"x" * (length % 256)
    assert attached(PART + b"\n" + octets, PART + b"\n--bx\r\r") == [octets, b"--bx\r"]


@pytest.mark.parametrize("boundary", ['"b c"', "b:c", "=?utf-8?q?b?=", "'b'", "b" * 200])
def test_boundaries_that_are_read(boundary: str) -> None:
    line = boundary.strip('"')
    octets = f"Content-Type: multipart/mixed; boundary={boundary}\n\n--{line}\n\nt\n--{line}--"
    assert text_of(octets.encode()) == b"t"


@pytest.mark.parametrize("rest", ["", "; boundary=", '; boundary=""', f"; boundary={'b' * 201}"])
def test_boundaries_that_are_not(rest: str) -> None:
    assert word_of(f"Content-Type: multipart/mixed{rest}\n\n--\n\n----".encode()) == "boundary"


@pytest.mark.parametrize(
    "end", [b"", b"\n", b"\n--", b"\n--b", b"\n--b\n", b"\n--b-", b"\n--b--x", b"--b--"]
)
def test_a_body_without_its_end_was_cut_off(end: bytes) -> None:
    assert word_of(MULTIPART, b"--b\n\ntext\n--b\n\nx", end) == "cut-off"


def test_every_cut_of_a_message_with_parts_is_found() -> None:
    whole = MULTIPART + b"--b\n\ntext" + PART + b"\nx\n--b--"
    for length in range(len(MULTIPART), len(whole)):
        assert word_of(whole[:length]) == "cut-off", length


def test_types() -> None:
    assert word_of(b"Content-Type: text/html\n\nx") == "type"
    assert word_of(b"Content-Type: multipart/alternative; boundary=b\n\n--b--") == "type"
    assert word_of(MULTIPART, b"--b\nContent-Type: image/png\n\n--b--") == "type"
    assert word_of(MULTIPART, b"--b--") == "boundary"


@pytest.mark.parametrize(
    ("given_type", "read_as"),
    [
        (b"Image/PNG; name=x", "image/png"),
        (b"", "text/plain"),
        (b"nonsense", "application/octet-stream"),
        (b"a/b c", "application/octet-stream"),
        (b"multipart/mixed; boundary=c", "application/octet-stream"),
        (b"message/rfc822", "application/octet-stream"),
    ],
)
def test_types_of_attachments(given_type: bytes, read_as: str) -> None:
    part = PART + b"Content-Type: " + given_type + b"\n\n--c\n\nx\n--c--"
    content = read(MULTIPART, b"--b\n", part, b"\n--b--")
    assert content.attachments[0].content_type == read_as
    assert joined(content.attachments[0].octets) == b"--c\n\nx\n--c--"


def test_names_that_are_missing() -> None:
    named = b"\n--b\nContent-Type: image/png; name=n.png\n\n"
    parts = b"\n--b\n\n" + PART + b"\n" + b"\n--b\nContent-Disposition: inline; filename=..\n\n"
    content = read(MULTIPART, b"--b\n", parts, named, b"\n--b--")
    names = [one.filename for one in content.attachments]
    assert names == ["attachment-1", "a", "attachment-3", "n.png"]


def test_at_most_a_hundred_attachments() -> None:
    assert len(attached(*[PART] * 100)) == 100
    assert word_of(MULTIPART, b"--b\n", PART * 101, b"\n--b--") == "attachments"


@pytest.mark.parametrize(
    ("value", "read_as"),
    [
        (b"auto-replied", AutoSubmitted.AUTO_REPLIED),
        (b"Auto-Notified; owner=x", AutoSubmitted.AUTO_NOTIFIED),
        (b"auto-generated (by us)", AutoSubmitted.AUTO_GENERATED),
        (b"", AutoSubmitted.NO),
        (b"perhaps", AutoSubmitted.NO),
    ],
)
def test_auto_submitted(value: bytes, read_as: AutoSubmitted) -> None:
    assert read(b"Auto-Submitted: " + value + b"\n\n").auto_submitted is read_as


def test_responder_type() -> None:
    assert read(b"\n").responder_type is None
    assert read(b"X-Responder-Type: TEL-URI\n\n").responder_type is ResponderType.TEL_URI
    assert read(b"X-Responder-Type: new\n\n").responder_type is ResponderType.UNKNOWN


def test_pieces_may_be_asked_for_in_turns() -> None:
    parts = [PART + b"\n" + octet * 200_000 for octet in (b"x", b"y")]
    content = read(MULTIPART, b"--b\n", *parts, b"\n--b--")
    sources: list[Octets] = [one.octets for one in content.attachments]
    pairs = list(zip(*(one.chunks() for one in sources), strict=True))
    assert len(pairs) > 2
    assert b"".join(pair[0] for pair in pairs) == b"x" * 200_000
    assert b"".join(pair[1] for pair in pairs) == b"y" * 200_000


def test_nothing_of_the_content_is_shown() -> None:
    secret = b"swordfish"
    content = read(MULTIPART, b"--b\n\n", secret, PART.replace(b"=a", b"=" + secret), b"\n--b--")
    assert "swordfish" not in repr(content)
    for octets in (
        b"Content-Type: swordfish\n\n",
        b"swordfish\n\n",
        b"Content-Transfer-Encoding: swordfish\n\n",
        b"Content-Transfer-Encoding: base64\n\nswordfish!",
        b"Content-Type: text/plain; charset=swordfish\n\n",
    ):
        with pytest.raises(ContentError) as caught:
            read(octets)
        assert "swordfish" not in f"{caught.value!r} {caught.value} {caught.value.__context__!r}"
