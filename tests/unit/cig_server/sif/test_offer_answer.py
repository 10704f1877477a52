# SPDX-License-Identifier: GPL-3.0-or-later
"""Offer and answer: what is taken of an offer, how it is answered, what we offer."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.control.media import Direction, SipMedia
from cig_common.errors import CodecError
from cig_server.sif.offer_answer import (
    AddressFamilyError,
    LocalSession,
    check_family,
    read_answer,
    read_offer,
)
from cig_server.sif.sdp import SdpError, SessionDescription

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
EVENT = "a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\n"


def offer(audio: str = "m=audio 6000 RTP/AVP 0 8 96\r\n" + EVENT, head: str = HEAD) -> str:
    return head + audio


def test_the_offer_s_order_and_payload_types_are_kept():
    read = read_offer(offer())
    assert read.codecs == ("PCMU/8000", "PCMA/8000")
    assert read.media == SipMedia("192.0.2.9", 6000, 6001, "PCMU/8000", 96, 96, Direction.SENDRECV)


def test_the_answer_names_one_codec_and_their_dtmf_number():
    text = LocalSession(7).answer(read_offer(offer()), "198.51.100.1", 20000)
    description = SessionDescription.parse(text)
    (audio,) = description.media
    assert (audio.port, audio.formats) == (20000, ("0", "96"))
    assert audio.attributes == (
        ("rtpmap", "0 PCMU/8000"),
        ("rtpmap", "96 telephone-event/8000"),
        ("fmtp", "96 0-15"),
        ("ptime", "20"),
        ("sendrecv", None),
    )
    assert description.connection == "198.51.100.1"


def test_our_offer():
    text = LocalSession(7).offer("2001:db8::1", 20000)
    assert "m=audio 20000 RTP/AVP 8 0 101\r\n" in text
    assert "c=IN IP6 2001:db8::1\r\n" in text
    assert "a=fmtp:101 0-15\r\n" in text
    assert read_offer(text).media.dtmf == 101


@pytest.mark.parametrize(
    ("mark", "ours"),
    [
        ("sendonly", Direction.RECVONLY),
        ("recvonly", Direction.SENDONLY),
        ("inactive", Direction.INACTIVE),
        ("sendrecv", Direction.SENDRECV),
    ],
)
@pytest.mark.parametrize("level", ["session", "media"])
def test_the_direction_is_mirrored(mark, ours, level):
    line = f"a={mark}\r\n"
    text = offer(head=HEAD + line) if level == "session" else offer() + line
    read = read_offer(text)
    assert read.media.direction is ours
    assert f"a={ours.value}\r\n" in LocalSession(7).answer(read, "192.0.2.1", 20000)


def test_the_media_s_direction_wins_over_the_session_s():
    text = offer(head=HEAD + "a=inactive\r\n") + "a=sendonly\r\n"
    assert read_offer(text).media.direction is Direction.RECVONLY


@pytest.mark.parametrize(
    ("mark", "ours"),
    [
        ("", Direction.RECVONLY),
        ("a=sendonly\r\n", Direction.RECVONLY),
        ("a=recvonly\r\n", Direction.INACTIVE),
        ("a=inactive\r\n", Direction.INACTIVE),
    ],
)
def test_hold_of_the_old_kind(mark, ours):
    read = read_offer(offer(head=HEAD.replace("c=IN IP4 192.0.2.9", "c=IN IP4 0.0.0.0")) + mark)
    assert read.media.direction is ours


@pytest.mark.parametrize(
    "audio",
    [
        "m=audio 6000 RTP/AVP 18\r\n",
        "m=audio 6000 RTP/SAVP 0 8\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n",
        "m=audio 6000 RTP/AVPF 0\r\n",
        "m=image 6000 udptl t38\r\n",
        "m=video 6000 RTP/AVP 31\r\n",
        "m=audio 0 RTP/AVP 0\r\n",
        "m=audio 65535 RTP/AVP 0\r\n",
        "m=audio 6000 RTP/AVP 0\r\nc=IN IP4 pbx.example\r\n",
        "m=audio 6000 RTP/AVP 0\r\nc=IN IP4 224.2.1.1/127\r\n",
        "m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 L16/8000\r\n",
        "",
    ],
)
def test_offers_that_are_answered_488(audio):
    with pytest.raises(CodecError) as caught:
        read_offer(offer(audio))
    assert caught.value.sip_status == 488


def test_other_media_are_refused_with_port_zero():
    audio = "m=audio 6000 RTP/AVP 8\r\n"
    video = "m=video 6002 RTP/AVP 31\r\n"
    read = read_offer(offer("m=image 6004 udptl t38\r\n" + audio + video + audio))
    described = SessionDescription.parse(LocalSession(7).answer(read, "192.0.2.1", 20000))
    assert [(m.kind, m.port) for m in described.media] == [
        ("image", 0),
        ("audio", 20000),
        ("video", 0),
        ("audio", 0),
    ]


def test_the_rtcp_attribute():
    assert read_offer(offer() + "a=rtcp:53020 IN IP4 192.0.2.9\r\n").media.rtcp_port == 53020
    assert read_offer(offer() + "a=rtcp:99999\r\n").media.rtcp_port == 6001


@pytest.mark.parametrize("number", ["95", "128", "0101", "x"])
def test_telephone_event_wants_a_dynamic_number(number):
    text = f"m=audio 6000 RTP/AVP 0 {number}\r\na=rtpmap:{number} telephone-event/8000\r\n"
    assert read_offer(offer(text)).media.dtmf is None


def test_an_answer_without_telephone_event():
    media = read_answer(offer("m=audio 6000 RTP/AVP 8\r\n"))
    assert (media.codec, media.dtmf, media.receive_dtmf) == ("PCMA/8000", None, None)


def test_an_answer_with_a_number_of_its_own_for_telephone_event():
    media = read_answer(offer())
    assert (media.dtmf, media.receive_dtmf) == (96, 101)


@pytest.mark.parametrize("audio", ["", "m=audio 0 RTP/AVP 8\r\n", "m=audio 6000 RTP/AVP 18\r\n"])
def test_answers_that_take_nothing(audio):
    with pytest.raises(CodecError):
        read_answer(offer(audio))


def test_the_session_id_stays_and_the_version_counts_changes():
    session = LocalSession(4711)
    origins = []
    for mark in ("", "", "a=sendonly\r\n", "a=sendonly\r\n", ""):
        text = session.answer(read_offer(offer() + mark), "192.0.2.1", 20000)
        origin = SessionDescription.parse(text).origin
        origins.append((origin.session_id, origin.version))
    assert origins == [(4711, 1), (4711, 1), (4711, 2), (4711, 2), (4711, 3)]


@given(st.text(max_size=200))
def test_no_text_breaks_the_readers(text):
    for read in (read_offer, read_answer):
        for candidate in (text, HEAD + "m=audio 6000 RTP/AVP 0 96\r\na=rtpmap:" + text):
            with contextlib.suppress(SdpError, CodecError):
                read(candidate)


@given(
    st.permutations(["0", "8", "18", "96", "101"]).flatmap(
        lambda order: st.integers(1, 5).map(lambda n: order[:n])
    ),
    st.sampled_from(list(Direction)),
)
def test_every_answer_of_ours_fits_its_offer(formats, direction):
    text = offer(f"m=audio 6000 RTP/AVP {' '.join(formats)}\r\n{EVENT}a={direction.value}\r\n")
    if not {"0", "8"} & set(formats):
        with pytest.raises(CodecError):
            read_offer(text)
        return
    answer = LocalSession(1).answer(read_offer(text), "192.0.2.1", 20000)
    (audio,) = SessionDescription.parse(answer).media
    assert set(audio.formats) <= set(formats)
    assert audio.formats[0] == next(f for f in formats if f in ("0", "8"))
    back = read_answer(answer)
    assert back.direction is direction


def of(addr: str, audio: str = "m=audio 6000 RTP/AVP 8\r\n") -> str:
    network = "IP6" if ":" in addr else "IP4"
    return f"v=0\r\no=- 1 1 IN {network} {addr}\r\ns=-\r\nc=IN {network} {addr}\r\n{audio}"


@pytest.mark.parametrize(("addr", "other"), [("192.0.2.9", 6), ("2001:db8::9", 4)])
def test_sound_of_the_other_family(addr, other):
    theirs = frozenset({10 - other})
    assert read_offer(of(addr), theirs).media.addr == addr
    assert read_answer(of(addr), theirs).addr == addr
    for read in (read_offer, read_answer):
        with pytest.raises(AddressFamilyError, match=f"{addr}, but .* over IPv{other}") as caught:
            read(of(addr), frozenset({other}))
        assert caught.value.sip_status == 488


@pytest.mark.parametrize("addr", ["0.0.0.0", "::"])
def test_no_sound_has_no_family(addr):
    media = read_offer(of(addr), frozenset({4})).media
    assert media.direction is Direction.RECVONLY
    check_family(media, frozenset({6}))


def test_of_two_descriptions_the_one_of_our_family_is_taken():
    six = "m=audio 6000 RTP/AVP 8\r\nc=IN IP6 2001:db8::9\r\n"
    four = "m=audio 6002 RTP/AVP 8\r\nc=IN IP4 192.0.2.9\r\n"
    read = read_offer(of("192.0.2.9", six + four), frozenset({4}))
    assert (read.index, read.media.addr) == (1, "192.0.2.9")
    assert read_offer(of("192.0.2.9", six + four)).index == 0
    with pytest.raises(AddressFamilyError):
        read_offer(of("192.0.2.9", six), frozenset({4}))


@pytest.mark.parametrize("addr", ["fe80::1", "ff02::1", "::ffff:192.0.2.9"])
def test_ipv6_addresses_to_which_nothing_can_be_sent(addr):
    with pytest.raises(CodecError):
        read_offer(of(addr))
