# SPDX-License-Identifier: GPL-3.0-or-later
"""MIKEY in session descriptions, and the check against bidding-down (RFC 4567)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikey_sakke import (
    BiddingDownError,
    MalformedError,
    MikeySakkeError,
    ParameterError,
    receiver,
    sdp,
)
from mikey_sakke.errors import Reason
from mikey_sakke.initiator import BuildOptions
from mikey_sakke.payloads import GeneralExtension
from unit.mikey_sakke.calls import MESSAGE, built
from unit.mikey_sakke.mcx_calls import THEIR_MESSAGES, their_message
from unit.mikey_sakke.support import CALLEE, NOW, user

OFFER = """v=0
o=alice 2891092738 2891092738 IN IP4 lost.example.com
s=Secret discussion
t=0 0
c=IN IP4 lost.example.com
a=key-mgmt:mikey AQAFgM0XflABAAAAAAAAAAAAAAsAyO==
a=key-mgmt:keyp1 727gkdOshsuiSDF9sdhsdKnD/dhsoSJokdo7eWD
a=key-mgmt:keyp2 DFsnuiSDSh9sdh Kksd/dhsoddo7eOok727gWsJD
m=audio 39000 RTP/SAVP 98
a=rtpmap:98 AMR/8000
m=video 42000 RTP/SAVP 31
a=key-mgmt:mikey AQ==
a=rtpmap:31 H261/90000
"""

names = st.from_regex(r"\A[A-Za-z0-9]{1,8}\Z").filter(str.isascii)
lists = st.lists(names, min_size=1, max_size=5, unique=True)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_levels(end):
    offer = sdp.parse(OFFER.replace("\n", end))
    assert sdp.protocols(offer.session) == ("mikey", "keyp1", "keyp2")
    assert [sdp.protocols(level) for level in offer.media] == [(), ("mikey",)]
    assert offer.in_force() == offer.in_force(0) == offer.session
    assert offer.in_force(1) == (sdp.KeyMgmt("mikey", "AQ=="),)
    assert sdp.protocols(offer.attributes) == ("mikey", "keyp1", "keyp2", "mikey")
    assert offer.in_force(1)[0].octets() == b"\1"
    for medium in (-1, 2):
        with pytest.raises(ParameterError):
            offer.in_force(medium)


@given(st.binary(min_size=1, max_size=4096), names)
def test_lines_round_trip(octets, protocol):
    line = sdp.make_line(octets, protocol=protocol)
    found = sdp.parse_line(line)
    assert (found.protocol, found.octets()) == (protocol, octets)
    assert sdp.parse(f"v=0\r\n{line}\r\nm=audio 1 RTP/SAVP 0\r\n").in_force(0) == (found,)


def test_a_message_of_another_product_is_a_line():
    entry = THEIR_MESSAGES["PCK"]
    line = sdp.parse_line("a=key-mgmt: mikey " + entry["mikey"])
    assert line.octets() == their_message("PCK")


@given(st.text(max_size=200))
def test_any_text_raises_nothing_else(text):
    for description in (text, "a=key-mgmt:" + text, "a=key-mgmt:mikey " + text):
        for use in (sdp.parse, sdp.parse_line):
            try:
                found = use(description)
            except MikeySakkeError:
                continue
            attributes = found.session if isinstance(found, sdp.Offer) else (found,)
            for attribute in attributes:
                try:
                    assert len(attribute.octets()) <= 4096
                except MalformedError:
                    continue


@pytest.mark.parametrize(
    "line",
    [
        "",
        "a=key-mgmt:",
        "a=key-mgmt:mikey",
        "a=key-mgmt:mikey ",
        "a=key-mgmt:mi_key AQ==",
        "a=key-mgmt:mikey\tAQ==",
        "a=key-mgmt:mikey AQ==\0",
        "a=key-mgmt:  mikey AQ==",
        "a=key-mgmt " + "mikey AQ==",
        "mikey AQ==",
    ],
)
def test_lines_that_are_none(line):
    with pytest.raises(MalformedError):
        sdp.parse_line(line)


def test_a_line_that_cannot_be_read_is_not_passed_over():
    with pytest.raises(MalformedError):
        sdp.parse(OFFER + "a=key-mgmt:strong\n")
    with pytest.raises(MalformedError):
        sdp.parse(OFFER + "a=key-mgmt:mikey AQ==\n")
    with pytest.raises(MalformedError):
        sdp.parse("x" * (sdp.MAX_SDP_LENGTH + 1))


@pytest.mark.parametrize("text", ["A", "AQ=", "A Q==", "A-_=", "AQ==é", "A" * 5468, "A" * 5464])
def test_data_that_are_no_base64_or_too_long(text):
    with pytest.raises(MalformedError):
        sdp.KeyMgmt("mikey", text).octets()


def test_what_no_line_can_carry():
    for octets, protocol in ((b"", "mikey"), (bytes(4097), "mikey"), (b"x", "no good"), (b"x", "")):
        with pytest.raises(ParameterError):
            sdp.make_line(octets, protocol=protocol)
    for offered in ((), ("a;b",), ("",)):
        with pytest.raises(ParameterError):
            sdp.sdp_ids(offered)


def verified_with(*extensions: GeneralExtension) -> receiver.Verified:
    raw = built(options=BuildOptions(extensions=extensions)).message
    parsed = receiver.precheck(raw, now=NOW, own_uri=CALLEE)
    return receiver.verify(parsed, verifier=user(CALLEE).verifier)


SIGNED = verified_with(sdp.sdp_ids(["mikey", "keyp1", "keyp2"]))


def test_the_offer_that_was_signed_passes():
    sdp.check_bidding(SIGNED, sdp.protocols(sdp.parse(OFFER).in_force(0)))
    assert sdp.sdp_ids(["mikey", "keyp1"]) == GeneralExtension(1, b"mikey;keyp1")


@pytest.mark.parametrize(
    "offered",
    [
        (),
        ("mikey",),
        ("mikey", "keyp1"),
        ("keyp1", "mikey", "keyp2"),
        ("mikey", "keyp1", "keyp2", "keyp3"),
        ("MIKEY", "keyp1", "keyp2"),
        ("mikey", "keyp1", "keyp2\udcff"),
    ],
)
@pytest.mark.parametrize("required", [True, False])
def test_any_other_offer_is_refused(offered, required):
    with pytest.raises(BiddingDownError) as caught:
        sdp.check_bidding(SIGNED, offered, required=required)
    assert caught.value.reason is Reason.BIDDING


@given(lists, lists)
def test_only_equal_lists_pass(signed, offered):
    verified = _pretend(sdp.sdp_ids(signed))
    if signed == offered:
        sdp.check_bidding(verified, offered)
    else:
        with pytest.raises(BiddingDownError):
            sdp.check_bidding(verified, offered)


def _pretend(extension: GeneralExtension) -> receiver.Verified:
    """The message of SIGNED with another extension: to save hundreds of signatures."""
    message = SIGNED.parsed.message
    payloads = tuple(
        extension if isinstance(p, GeneralExtension) and p.extension_type == 1 else p
        for p in message.payloads
    )
    return replace(
        SIGNED, parsed=replace(SIGNED.parsed, message=replace(message, payloads=payloads))
    )


def test_a_medium_whose_lines_were_taken_away_is_noticed():
    weak, strong = "a=key-mgmt:mikey AQ==", "a=key-mgmt:strong AQ=="
    made = sdp.parse(f"v=0\n{weak}\nm=audio 1 RTP/SAVP 0\n{strong}\n{weak}\n")
    robbed = sdp.parse(f"v=0\n{weak}\nm=audio 1 RTP/SAVP 0\n")
    assert sdp.protocols(robbed.in_force(0)) == ("mikey",), "the session's is in force instead"
    verified = _pretend(sdp.sdp_ids(sdp.protocols(made.attributes)))
    sdp.check_bidding(verified, sdp.protocols(made.attributes))
    with pytest.raises(BiddingDownError):
        sdp.check_bidding(verified, sdp.protocols(robbed.attributes))


def test_a_message_without_a_list_is_refused_unless_that_is_allowed():
    parsed = receiver.precheck(MESSAGE, now=NOW, own_uri=CALLEE)
    verified = receiver.verify(parsed, verifier=user(CALLEE).verifier)
    with pytest.raises(BiddingDownError):
        sdp.check_bidding(verified, ["mikey"])
    sdp.check_bidding(verified, ["mikey"], required=False)


def test_two_lists_are_refused():
    verified = verified_with(sdp.sdp_ids(["mikey"]), sdp.sdp_ids(["mikey"]))
    with pytest.raises(BiddingDownError):
        sdp.check_bidding(verified, ["mikey"])
