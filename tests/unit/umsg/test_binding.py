# SPDX-License-Identifier: GPL-3.0-or-later
"""The octets are spelt out by hand here, so that a change of layout cannot go unseen."""

import hashlib
import hmac

import pytest

from umsg import binding
from umsg.errors import FieldError

ID = "SxU+cQAE66+12m5j"


def test_call_digest_is_over_these_octets():
    octets = (
        b"\xa5"
        + b"\x62id\x70" + ID.encode()
        + b"\x62to\x6dtel:+8888;101"
        + b"\x64dtmf\x18\x65"
        + b"\x64from\x70tel:+46701234567"
        + b"\x65offer\x82\x69PCMA/8000\x69PCMU/8000"
    )  # fmt: skip
    arguments = {"id": ID, "from_uri": "tel:+46701234567", "to_uri": "tel:+8888;101"}
    offer = ("PCMA/8000", "PCMU/8000")
    digest = binding.call_digest(**arguments, offer=offer, dtmf=101)
    assert digest == hashlib.sha256(octets).digest()
    absent = binding.call_digest(**arguments, offer=offer, dtmf=None)
    assert absent == hashlib.sha256(octets.replace(b"\x18\x65", b"\xf6")).digest()


@pytest.mark.parametrize(("dtmf", "encoded"), [(101, b"\x18\x65"), (None, b"\xf6")])
def test_answer_mac_is_over_these_octets(dtmf, encoded):
    digest = bytes(range(32))
    octets = b"\x85\x64talk\x70" + ID.encode() + b"\x69PCMA/8000" + encoded + b"\x58\x20" + digest
    mac = binding.answer_mac(
        b"k" * 32, t="talk", id=ID, codec="PCMA/8000", dtmf=dtmf, message_digest=digest
    )
    assert mac == hmac.digest(b"k" * 32, octets, "sha256")


def test_auth_text_is_these_octets():
    def digest(data: bytes) -> bytes:
        return hashlib.sha256(data).digest()

    text = binding.auth_text(
        hello_frame=b"h", challenge_frame=b"c", server_certificate=b"s", period="2026-11-3"
    )
    assert text == b"UMSG/1 auth\0" + digest(b"h") + digest(b"c") + digest(b"s") + b"2026-11-3"


@pytest.mark.parametrize("change", [{"period": "2026-13-1"}, {"hello_digest": bytes(31)}])
def test_auth_text_refuses_other_forms(change):
    good = {
        "hello_digest": bytes(32),
        "challenge_digest": bytes(32),
        "certificate_digest": bytes(32),
        "period": "2026-11-1",
    }
    assert binding.auth_text_from_digests(**good)
    with pytest.raises(FieldError):
        binding.auth_text_from_digests(**{**good, **change})


TEXT = {"mid": ID, "from_uri": "tel:+46701234567", "to_uri": "tel:+8888;101"}


def test_text_digest_is_over_these_octets():
    octets = (
        b"\xa3"
        + b"\x62to\x6dtel:+8888;101"
        + b"\x63mid\x70" + ID.encode()
        + b"\x64from\x70tel:+46701234567"
    )  # fmt: skip
    assert binding.text_digest(**TEXT) == hashlib.sha256(octets).digest()


def test_associated_data_of_a_text_are_these_octets():
    data = binding.text_associated_data(**TEXT)
    assert data == ID.encode() + b"\0tel:+46701234567\0tel:+8888;101\0"


def test_receipt_text_is_these_octets():
    text = binding.receipt_text(mid=ID, status="delivered", content_digest=b"d" * 32)
    assert text == b"UMSG/1 receipt\0" + ID.encode() + b"delivered" + b"d" * 32
    with pytest.raises(FieldError):
        binding.receipt_text(mid=ID, status="delivered", content_digest=b"d" * 31)
