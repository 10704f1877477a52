# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader of raw SIP messages: what it finds, what it refuses, and that it never breaks."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_server.sif.headers import (
    MAX_CHARS,
    MAX_HEADERS,
    MalformedSipError,
    SipMessage,
    name_addr_uri,
)

INVITE = (
    "INVITE sip:946701234567@secure.com:5060;user=phone SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\n"
    'From: "Bob \\"<sip:evil@x>" <sip:101@pbx.com;user=phone?Subject=x>;tag=abc\r\n'
    "t: <sip:946701234567@secure.com>\r\n"
    "i: 17a@192.0.2.1\r\n"
    "Subject: folded\r\n"
    "  over two lines\r\n"
    "Content-Type: application/sdp\r\n"
    "\r\n"
    "v=0\r\n"
)


def test_an_invite():
    message = SipMessage.parse(INVITE)
    assert message.request_uri() == "sip:946701234567@secure.com:5060;user=phone"
    assert message.from_uri() == "sip:101@pbx.com;user=phone"
    assert message.call_id() == "17a@192.0.2.1"
    assert message.first("to") == "<sip:946701234567@secure.com>"
    assert message.first("subject") == "folded over two lines"
    assert message.sdp() == "v=0\n"


@pytest.mark.parametrize(
    ("value", "uri"),
    [
        ("<sip:a@b>", "sip:a@b"),
        ("sip:a@b;tag=1", "sip:a@b"),
        ("sip:a@b?Subject=x", "sip:a@b"),
        ("Alice <sip:a@b;transport=tcp>;tag=1", "sip:a@b;transport=tcp"),
        ('"A, <x> B"<sip:a@b:5062>', "sip:a@b:5062"),
        ("<tel:+46701234567>", "tel:+46701234567"),
        ("<sip:%c3%a5@b>", "sip:%c3%a5@b"),
        ("<sip:@pbx.com>", "sip:@pbx.com"),
    ],
)
def test_the_uri_of_an_address(value, uri):
    assert name_addr_uri(value) == uri


@pytest.mark.parametrize(
    "value",
    [
        "",
        "<>",
        "<sip:a@b",
        '"no end <sip:a@b>',
        "<sip:a b@c>",
        "<sip:å@b>",
        "<sip:a\x00@b>",
        "<sip:" + "a" * 300 + "@b>",
        "nothing",
    ],
)
def test_an_address_without_a_proper_uri(value):
    with pytest.raises(MalformedSipError):
        name_addr_uri(value)


def test_compact_names_and_case():
    message = SipMessage.parse("OPTIONS sip:x SIP/2.0\nF: <sip:a@b>\nCALL-ID: 1\n\n")
    assert message.from_uri() == "sip:a@b"
    assert message.call_id() == "1"


@pytest.mark.parametrize(
    "text",
    [
        "INVITE sip:x SIP/2.0\nno colon here\n\n",
        "INVITE sip:x SIP/2.0\n: no name\n\n",
        "INVITE sip:x SIP/2.0\n" + "A: b\n" * (MAX_HEADERS + 1) + "\n",
        "x" * (MAX_CHARS + 1),
    ],
)
def test_messages_that_are_refused(text):
    with pytest.raises(MalformedSipError):
        SipMessage.parse(text)


@pytest.mark.parametrize("line", ["INVITE sip:a@b", "INVITE  SIP/2.0", "INVITE sip:a@b HTTP/1.1"])
def test_request_lines_that_are_refused(line):
    with pytest.raises(MalformedSipError):
        SipMessage.parse(line + "\r\n\r\n").request_uri()


def test_a_status_line_and_reason():
    message = SipMessage.parse('SIP/2.0 486 Busy Here\r\nReason: Q.850;cause=17;text="å"\r\n\r\n')
    assert message.status() == (486, "Busy Here")
    assert message.reason() == 'Q.850;cause=17;text="?"'


@pytest.mark.parametrize("line", ["SIP/2.0 99 x", "SIP/2.0", "HTTP/1.1 200 OK", "SIP/2.0 700 x"])
def test_status_lines_that_are_refused(line):
    with pytest.raises(MalformedSipError):
        SipMessage.parse(line + "\r\n\r\n").status()


def test_missing_fields():
    message = SipMessage.parse("INVITE sip:a@b SIP/2.0\r\n\r\n")
    for read in (message.from_uri, message.call_id):
        with pytest.raises(MalformedSipError):
            read()
    assert message.sdp() is None


def _multipart(part: str, boundary: str = "xyz") -> SipMessage:
    body = f"--xyz\r\n{part}\r\n--xyz--\r\n"
    head = f"INVITE sip:a@b SIP/2.0\r\nc: multipart/mixed; boundary={boundary}\r\n\r\n"
    return SipMessage.parse(head + body)


def test_sdp_out_of_a_multipart_body():
    isup = "Content-Type: application/isup\r\n\r\nxx\r\n--xyz\r\n"
    message = _multipart(isup + "Content-Type: application/sdp\r\n\r\nv=0\r\n", '"xyz"')
    assert message.sdp() == "v=0\n"


def test_a_multipart_body_without_sdp():
    assert _multipart("Content-Type: text/plain\r\n\r\nhello").sdp() is None


def test_a_multipart_body_without_boundary():
    with pytest.raises(MalformedSipError):
        _multipart("", "").sdp()


def test_a_body_of_another_type():
    text = "INVITE sip:a@b SIP/2.0\r\nContent-Type: text/plain\r\n\r\nhello"
    assert SipMessage.parse(text).sdp() is None


def _survives(text: str) -> None:
    with contextlib.suppress(MalformedSipError):
        message = SipMessage.parse(text)
        message.reason()
        for read in (message.request_uri, message.status, message.from_uri, message.call_id):
            with contextlib.suppress(MalformedSipError):
                assert read()
        message.sdp()


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=300))
def test_no_text_breaks_the_reader(text):
    _survives(text)


@given(st.data())
def test_no_damage_to_an_invite_breaks_the_reader(data):
    start = data.draw(st.integers(0, len(INVITE)))
    end = data.draw(st.integers(start, len(INVITE)))
    _survives(INVITE[:start] + data.draw(st.text(max_size=20)) + INVITE[end:])


@given(st.text(max_size=60))
def test_no_address_breaks_the_reader(text):
    try:
        uri = name_addr_uri(text)
    except MalformedSipError:
        return
    assert uri.isascii() and uri.isprintable() and not set(uri) & set('<>" ')
