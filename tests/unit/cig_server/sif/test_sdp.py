# SPDX-License-Identifier: GPL-3.0-or-later
"""Session descriptions as text: round trips, bounds, and that no text breaks the reader."""

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_server.sif.sdp import (
    MAX_CHARS,
    MAX_LINES,
    MAX_MEDIA,
    Media,
    Origin,
    SdpError,
    SessionDescription,
)

GOOD = (
    "v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\ni=talk\r\nc=IN IP4 192.0.2.1\r\nb=AS:64\r\nt=0 0\r\n"
    "a=recvonly\r\nm=audio 49170 RTP/AVP 0 8 96\r\nc=IN IP6 2001:db8::1\r\n"
    "a=rtpmap:96 telephone-event/8000\r\na=sendrecv\r\nm=video 0 RTP/AVP 31\r\n"
)

tokens = st.from_regex(r"\A[a-z0-9-]{1,10}\Z")
addresses = st.ip_addresses().map(str)
attributes = st.lists(
    st.tuples(tokens, st.none() | st.text(st.characters(exclude_characters="\x00\r\n"))),
    max_size=4,
).map(tuple)
media = st.builds(
    Media,
    kind=st.sampled_from(["audio", "video", "image"]),
    port=st.integers(0, 65535),
    protocol=st.sampled_from(["RTP/AVP", "RTP/SAVP", "udptl"]),
    formats=st.lists(tokens, min_size=1, max_size=5).map(tuple),
    connection=st.none() | addresses,
    attributes=attributes,
)
descriptions = st.builds(
    SessionDescription,
    origin=st.builds(
        Origin,
        username=tokens,
        session_id=st.integers(0, 2**63),
        version=st.integers(0, 2**63),
        address=addresses,
    ),
    connection=st.none() | addresses,
    attributes=attributes,
    media=st.lists(media, max_size=4).map(tuple),
)


@given(descriptions)
def test_round_trip(description):
    assert SessionDescription.parse(description.encode()) == description


def test_a_whole_description():
    description = SessionDescription.parse(GOOD)
    assert description.origin == Origin("-", 1, 2, "192.0.2.1")
    assert description.connection == "192.0.2.1"
    assert description.attributes == (("recvonly", None),)
    audio, video = description.media
    assert audio.formats == ("0", "8", "96")
    assert audio.connection == str(ipaddress.ip_address("2001:db8::1"))
    assert audio.values("rtpmap") == ["96 telephone-event/8000"]
    assert video.port == 0


def test_line_feeds_alone_are_enough():
    assert SessionDescription.parse(GOOD.replace("\r\n", "\n")) == SessionDescription.parse(GOOD)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("v=0", "v=1"),
        ("o=- 1 2 IN IP4 192.0.2.1\r\n", ""),
        ("o=- 1 2", "o=- x 2"),
        ("o=- 1 2 IN IP4 192.0.2.1", "o=- 1 2 IN IP4"),
        ("o=- 1 2 IN IP4 192.0.2.1", "o=- 1 2 IN ATM 192.0.2.1"),
        ("c=IN IP4 192.0.2.1", "c=IN IP4"),
        ("c=IN IP4 192.0.2.1", "c=IN IP4 <x>"),
        ("a=recvonly", "a=:x"),
        ("a=recvonly", "nonsense"),
        ("a=recvonly", "A=recvonly"),
        ("a=recvonly", "a=x\x00y"),
        ("m=audio 49170", "m=audio x"),
        ("m=audio 49170", "m=audio 70000"),
        ("m=audio 49170", "m=audio 49170/2"),
        ("m=video 0 RTP/AVP 31", "m=video 0 RTP/AVP"),
        ("m=video 0 RTP/AVP 31", "m=video 0 RTP/AVP " + "1 " * 65),
        ("i=talk", "a=x\r\n" * MAX_LINES),
        ("i=talk", "a=x\r\n" * 300 + "i=talk"),
        ("i=talk", "i=" + "x" * MAX_CHARS),
        ("m=video", "m=audio 0 RTP/AVP 0\r\n" * MAX_MEDIA + "m=video"),
    ],
)
def test_what_is_refused(old, new):
    assert old in GOOD
    with pytest.raises(SdpError) as caught:
        SessionDescription.parse(GOOD.replace(old, new, 1))
    assert caught.value.sip_status == 400


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text):
    for candidate in (text, "v=0\n" + text, "v=0\no=- 1 1 IN IP4 1.1.1.1\nm=" + text):
        with contextlib.suppress(SdpError):
            SessionDescription.parse(candidate)


@given(st.data())
def test_no_damage_breaks_the_reader(data):
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, len(GOOD)))
    with contextlib.suppress(SdpError):
        SessionDescription.parse(GOOD[:start] + data.draw(st.text(max_size=20)) + GOOD[end:])
