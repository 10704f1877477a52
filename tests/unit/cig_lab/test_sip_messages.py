# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP messages, addresses and session descriptions: round trips, and garbage that must not hurt."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_lab.sip_phone.address import NameAddr, Via, destination
from cig_lab.sip_phone.message import (
    Request,
    Response,
    SipError,
    StreamDecoder,
    canonical_name,
    parse,
    split_commas,
)
from cig_lab.sip_phone.sdp import CODECS, DIRECTIONS, AudioDescription, SdpError, answer

values = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cc", "Cs"]),
    min_size=1,
    max_size=30,
)
names = st.from_regex(r"X-[A-Z][a-z]{1,8}", fullmatch=True)
extras = st.lists(st.tuples(names, values), max_size=4).map(tuple)
bodies = st.binary(max_size=80)


def mandatory(method: str) -> tuple[tuple[str, str], ...]:
    return (
        ("Via", "SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bKabc;rport"),
        ("From", '"A, B" <sip:101@127.0.0.1>;tag=1'),
        ("To", "<sip:9@127.0.0.1>"),
        ("Call-ID", "x@y"),
        ("CSeq", f"7 {method}"),
    )


def with_length(message: Request | Response) -> tuple[tuple[str, str], ...]:
    return (*message.headers, ("Content-Length", str(len(message.body))))


@given(extras, bodies)
def test_request_round_trip(extra: tuple[tuple[str, str], ...], body: bytes) -> None:
    request = Request(mandatory("INVITE") + extra, body, method="INVITE", uri="sip:9@127.0.0.1")
    again = parse(request.encode())
    assert isinstance(again, Request)
    assert (again.method, again.uri, again.body) == ("INVITE", request.uri, body)
    assert again.headers == with_length(request)
    assert again.cseq == (7, "INVITE")


@given(st.integers(100, 699), extras, bodies)
def test_response_round_trip(status: int, extra: tuple[tuple[str, str], ...], body: bytes) -> None:
    response = Response(mandatory("BYE") + extra, body, status=status, reason="Fine by me")
    again = parse(response.encode())
    assert isinstance(again, Response)
    assert (again.status, again.reason, again.body) == (status, "Fine by me", body)


@given(st.binary(max_size=300))
def test_garbage_is_an_error_of_one_kind(data: bytes) -> None:
    with pytest.raises(SipError):
        parse(b"?" + data)


@given(st.data())
def test_damaged_message_is_read_or_refused(data: st.DataObject) -> None:
    whole = Request(mandatory("INVITE"), b"v=0", method="INVITE", uri="sip:9@h").encode()
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + 1 :]
    try:
        message = parse(damaged)
    except SipError:
        return
    for read in (lambda: NameAddr.parse(message.need("From")), lambda: message.cseq):
        with contextlib.suppress(SipError):
            read()


@pytest.mark.parametrize(
    "broken",
    [
        b"INVITE sip:9@h SIP/2.0\r\n",
        b"INVITE sip:9@h SIP/2.0\r\nVia: x\r\n\r\n",
        b"INVITE sip:9@h SIP/3.0\r\n\r\n",
        b"SIP/2.0 99 Low\r\n\r\n",
        Request(mandatory("BYE"), method="INVITE", uri="sip:9@h").encode(),
        Request(mandatory("BYE"), method="BYE", uri="sip:9@h").encode()[:-4] + b"Bad line\r\n\r\n",
        Request(mandatory("BYE"), method="BYE", uri="s:9").encode().replace(b"h: 0", b"h: 9"),
        b"x" * 70000,
    ],
)
def test_malformed_messages_are_refused(broken: bytes) -> None:
    with pytest.raises(SipError):
        parse(broken)


def test_compact_and_folded_headers_are_read() -> None:
    text = (
        "BYE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bK1\r\nf: <sip:a@b>;tag=1\r\n"
        "t: <sip:c@d>;\r\n tag=2\r\ni: 1\r\nCSEQ: 1 BYE\r\nl: 0\r\n\r\nrest"
    )
    message = parse(text.encode())
    assert message.get("Call-ID") == "1"
    assert NameAddr.parse(message.need("To")).tag == "2"
    assert message.body == b""
    assert canonical_name("content-TYPE") == "Content-Type"


def test_commas_split_outside_quotes_and_brackets_only() -> None:
    assert split_commas('"a, \\"b" <sip:x,y@z>;q=1, <sip:c>,,d') == [
        '"a, \\"b" <sip:x,y@z>;q=1',
        "<sip:c>",
        "d",
    ]


def test_stream_is_cut_by_length_however_it_comes() -> None:
    one = Request(mandatory("INVITE"), b"body", method="INVITE", uri="sip:9@h").encode()
    two = Request(mandatory("BYE"), method="BYE", uri="sip:9@h").encode()
    decoder = StreamDecoder()
    stream = b"\r\n\r\n" + one + two
    cut = [message for at in range(len(stream)) for message in decoder.feed(stream[at : at + 1])]
    assert cut == [one, two]
    with pytest.raises(SipError, match="without Content-Length"):
        StreamDecoder().feed(b"BYE x SIP/2.0\r\n\r\n")
    with pytest.raises(SipError, match="no end"):
        StreamDecoder().feed(b"a" * 70000)


def test_addresses() -> None:
    assert NameAddr.parse('"X <y>" <sip:a@b;p=1>;tag=9;Q').parameters == {"tag": "9", "q": ""}
    assert NameAddr.parse("sip:a@b;tag=3").uri == "sip:a@b"
    via = Via.parse("SIP / 2.0 / TCP [::1]:7;branch=z9hG4bKq;rport")
    assert (via.transport, via.host, via.port, via.branch) == ("TCP", "[::1]", 7, "z9hG4bKq")
    assert destination("sip:101@127.0.0.1") == ("127.0.0.1", 5060)
    assert destination("SIPS:[::1]:5071;transport=tcp?a=b") == ("::1", 5071)
    for wrong in ("tel:+1", "sip:a@b:99999", "sip:a@b:0", "sip:"):
        with pytest.raises(SipError):
            destination(wrong)
    for wrong in ("", "a b", "<>"):
        with pytest.raises(SipError):
            NameAddr.parse(wrong)
    with pytest.raises(SipError):
        Via.parse("SIP/1.0/UDP x")


descriptions = st.builds(
    AudioDescription,
    addr=st.sampled_from(["127.0.0.1", "192.0.2.7", "::1"]),
    port=st.integers(0, 65535),
    codecs=st.lists(st.sampled_from(sorted(CODECS)), min_size=1, unique=True).map(tuple),
    dtmf=st.none() | st.integers(96, 127),
    direction=st.sampled_from(DIRECTIONS),
    rtcp_port=st.none() | st.integers(0, 65535),
)


@given(descriptions)
def test_description_round_trip(description: AudioDescription) -> None:
    assert AudioDescription.parse(description.encode()) == description


@given(st.binary(max_size=200))
def test_description_garbage_is_an_error_of_one_kind(data: bytes) -> None:
    for octets in (data, b"v=0\r\nm=audio " + data, b"v=0\r\nc=" + data):
        with contextlib.suppress(SdpError):
            AudioDescription.parse(octets)


@given(descriptions, st.sampled_from(DIRECTIONS))
def test_answer_never_sends_what_the_offer_does_not_take(
    offer: AudioDescription, wish: str
) -> None:
    made = answer(offer, addr="h", port=4000, codecs=("PCMA/8000",), direction=wish)
    if "PCMA/8000" not in offer.codecs or offer.port == 0:
        assert made is None
        return
    assert made is not None
    assert made.codecs == ("PCMA/8000",)
    assert made.dtmf == offer.dtmf
    if made.direction in ("sendrecv", "sendonly"):
        assert offer.direction in ("sendrecv", "recvonly")
        assert wish in ("sendrecv", "sendonly")
    if made.direction in ("sendrecv", "recvonly"):
        assert offer.direction in ("sendrecv", "sendonly")


def test_foreign_description_is_read() -> None:
    text = (
        "v=0\no=x 1 1 IN IP4 h\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\na=sendonly\n"
        "m=video 9 RTP/AVP 31\nm=audio 4000/2 RTP/AVP 9 0 101 8 97\nc=IN IP4 192.0.2.9\n"
        "a=rtpmap:8 pcma/8000/1\na=rtpmap:101 Telephone-Event/8000\na=rtpmap:97 opus/48000/2\n"
    )
    read = AudioDescription.parse(text.encode())
    assert (read.addr, read.port, read.codecs) == ("192.0.2.9", 4000, ("PCMU/8000", "PCMA/8000"))
    assert (read.dtmf, read.direction) == (101, "sendonly")
