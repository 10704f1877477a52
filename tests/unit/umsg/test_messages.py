# SPDX-License-Identifier: GPL-3.0-or-later
import contextlib
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umsg import cbor, messages
from umsg.errors import CborError, ErrorCode, FieldError, MessageError, UnknownTypeError
from umsg.fields import MAX_IDS
from umsg.messages import Bang, Growl, Hangup, Leg, Message, Resume, Talk, Text, parse
from umsg.reasons import Reason
from unit.umsg.samples import MESSAGES, STRATEGIES

ID = "SxU+cQAE66+12m5j"
BANG = {
    "t": "bang",
    "id": ID,
    "from": "tel:+46701234567",
    "to": "tel:+8888;101",
    "mikey": b"m",
    "offer": ["PCMA/8000"],
    "dtmf": 101,
}


@pytest.mark.parametrize("cls", messages.TYPES.values(), ids=messages.TYPES)
@settings(max_examples=50)
@given(data=st.data())
def test_round_trip(cls: type[Message], data: st.DataObject):
    message = data.draw(STRATEGIES[cls])
    payload = message.encode()
    assert parse(payload) == message
    assert parse(payload).encode() == payload


@given(MESSAGES, st.dictionaries(st.text("xyzé", min_size=5, max_size=8), st.integers(0, 9)))
def test_unknown_keys_are_ignored(message, extra):
    values = {"t": message.TYPE, **message.to_map(), **extra}
    assert parse(cbor.encode(values)) == message


@given(MESSAGES, st.data())
def test_a_bad_field_is_a_message_error_or_the_message_is_sound(message, data):
    values = {"t": message.TYPE, **message.to_map()}
    key = data.draw(st.sampled_from(sorted(values)))
    junk = st.none() | st.integers() | st.binary() | st.text() | st.just([]) | st.just({})
    values[key] = data.draw(junk.filter(lambda v: type(v) is not int or abs(v) < 2**63))
    with contextlib.suppress(MessageError, UnknownTypeError, CborError):
        assert parse(parse(cbor.encode(values)).encode())


def bang(**changes: object) -> bytes:
    return cbor.encode({**BANG, **changes})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("from", "tel:46701234567"),
        ("from", "sip:a@b"),
        ("to", "tel:+" + "1" * 16),
        ("to", "tel:+8888;" + "1" * 300),
        ("to", "tel:+8888;a b"),
        ("to", "tel:+8888;\n"),
        ("to", "tel:+8888\n"),
        ("to", "tel:+٤٤"),
        ("mikey", b""),
        ("mikey", bytes(4097)),
        ("mikey", "text"),
        ("offer", []),
        ("offer", ["PCMA/8000"] * 17),
        ("offer", ["PCMA"]),
        ("offer", "PCMA/8000"),
        ("offer", {"PCMA/8000": 1}),
        ("dtmf", 128),
        ("dtmf", -1),
        ("dtmf", True),
        ("dtmf", 101.0),
        ("dtmf", None),
        ("leg", {"addr": "127.0.0.1"}),
        ("leg", []),
    ],
)
def test_bad_fields_of_a_bang_name_the_call(field, value):
    with pytest.raises(MessageError) as caught:
        parse(bang(**{field: value}))
    assert (caught.value.type, caught.value.field, caught.value.id) == ("bang", field, ID)
    assert caught.value.mid is None
    assert not caught.value.closes


@pytest.mark.parametrize("bad", ["short", "SxU+cQAE66-12m5j", 5, b"SxU+cQAE66+12m5j"])
def test_an_unreadable_id_names_no_call(bad):
    with pytest.raises(MessageError) as caught:
        parse(bang(id=bad))
    assert (caught.value.field, caught.value.id) == ("id", None)


def test_an_unknown_type_is_unsupported_and_names_its_call():
    with pytest.raises(UnknownTypeError) as caught:
        parse(cbor.encode({"t": "wave" * 20, "id": ID, "mid": "x"}))
    assert (caught.value.id, caught.value.mid) == (ID, None)
    assert caught.value.code is ErrorCode.UNSUPPORTED
    assert len(caught.value.type) == 32


@pytest.mark.parametrize("values", [{}, {"t": 1}, {"t": None}, {"id": ID}])
def test_a_map_without_type_ends_the_connection(values):
    with pytest.raises(CborError):
        parse(cbor.encode(values))


def test_what_cannot_be_parsed_cannot_be_built():
    with pytest.raises(FieldError) as caught:
        Hangup(id=ID, reason=Reason.ERROR, text="x" * 4097)
    assert (caught.value.type, caught.value.field) == ("hangup", "text")
    with pytest.raises(FieldError):
        Hangup(id=ID, reason=Reason.ERROR, text="\ud800")
    with pytest.raises(FieldError):
        Resume(ids=(ID,) * (MAX_IDS + 1))
    with pytest.raises(FieldError):
        Bang(id=ID, from_uri="tel:+1", to_uri="tel:+2", mikey=b"m", offer=["PCMA/8000"])


def test_growl_with_media_fields_needs_a_codec():
    assert Growl(id=ID, codec="PCMA/8000", mac=bytes(32))
    for extra in ({"mac": bytes(32)}, {"dtmf": 101}):
        with pytest.raises(FieldError):
            Growl(id=ID, **extra)


def test_a_talk_without_mac_can_be_read():
    assert parse(Talk(id=ID, codec="PCMA/8000").encode()).mac is None


@pytest.mark.parametrize(
    "fields",
    [
        {"seq": 1, "of": 1},
        {"seq": 0, "of": 1},
        {"seq": 0, "of": 1, "from_uri": "tel:+1", "to_uri": "tel:+2"},
        {"seq": 1, "of": 2, "mikey": b"m"},
        {"seq": 1, "of": 513},
    ],
)
def test_parts_of_a_text_must_fit_together(fields):
    with pytest.raises(FieldError):
        Text(mid=ID, data=b"", **fields)


@pytest.mark.parametrize("addr", ["127.0.0.1", "::1", "2001:db8::5"])
def test_a_leg_takes_both_families(addr):
    leg = Leg(addr=addr, port=146, ufrag="abcd", pwd="p" * 24)
    assert Leg.from_map(leg.to_map()) == leg


@pytest.mark.parametrize("addr", ["example.com", "127.0.0.1:5", "fe80::1%eth0", "", 5])
def test_a_leg_takes_no_names_or_scopes(addr):
    with pytest.raises(FieldError):
        Leg(addr=addr, port=146, ufrag="abcd", pwd="p" * 24)


def test_the_password_of_a_leg_is_not_in_its_repr():
    leg = Leg(addr="127.0.0.1", port=146, ufrag="abcd", pwd="s3cret" * 4)
    assert "s3cret" not in repr(messages.Try(id=ID, leg=leg))


def test_ids_are_random_and_well_formed():
    first, second = messages.new_id(secrets.token_bytes), messages.new_id(secrets.token_bytes)
    assert first != second
    assert Growl(id=first)
