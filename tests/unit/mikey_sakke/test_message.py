# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire format: round trips of every payload, bounds, and no other error than ours."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mikey_sakke import MalformedError, MikeySakkeError, ParameterError, UnsupportedError
from mikey_sakke.errors import ErrorNumber
from mikey_sakke.header import Header, SrtpCs, SrtpIdMap
from mikey_sakke.message import MAX_LENGTH, IMessage
from mikey_sakke.payloads import (
    GeneralExtension,
    Idr,
    IdRole,
    Rand,
    Sakke,
    SecurityPolicy,
    Sign,
    Timestamp,
)
from mikey_sakke.wire import Reader
from unit.mikey_sakke import strategies
from unit.mikey_sakke.support import unhex, vector

TEL = unhex(vector("imessage_tel")["messages"][1]["i_message_hex"])
REQUIRED = (Timestamp(1), Rand(bytes(16)), Sakke(b"s"))
HEADER = Header(1, 2, SrtpIdMap((SrtpCs(0, 1), SrtpCs(0, 0))))


def message(*payloads, header=HEADER, sign=Sign(b"x" * 129)):  # noqa: B008
    return IMessage(header, (*REQUIRED, *payloads), sign)


@given(strategies.payloads | strategies.signs)
def test_every_payload_round_trips(payload):
    reader = Reader(payload.encode())
    assert type(payload).parse(reader) == payload
    assert reader.remaining == 0


@given(strategies.headers, strategies.octet)
def test_header_round_trips(header, next_payload):
    reader = Reader(header.encode(next_payload))
    assert Header.parse(reader) == (header, next_payload)
    assert reader.remaining == 0


@given(strategies.messages())
def test_message_round_trips(built):
    assert IMessage.parse(built.encode()) == built


def test_tel_vectors_round_trip():
    data = vector("imessage_tel")
    for entry in data["messages"]:
        raw = unhex(entry["i_message_hex"])
        parsed = IMessage.parse(raw)
        assert parsed.encode() == raw
        assert parsed.header.prf_func == entry["prf_func"]
        assert parsed.header.csb_id == int(data["csb_id"], 16)
        assert parsed.header.cs_map == SrtpIdMap((SrtpCs(0, 0x11111111), SrtpCs(0, 0)))
        assert parsed.timestamp.ntp == int(data["T"], 16)
        assert parsed.rand.value.hex() == data["rand"]
        assert parsed.sakke.data.hex() == entry["sed"]
        assert parsed.sign.signature.hex() == entry["signature"]
        assert parsed.identity(IdRole.INITIATOR).data.decode() == data["initiator_uri"]
        assert parsed.identity(IdRole.RESPONDER).data.decode() == data["responder_uri"]
        assert parsed.identity(IdRole.INITIATOR_KMS).data == b"kms.example.org"
        assert parsed.identity(IdRole.RESPONDER_UID) is None


@given(st.binary(max_size=700))
@example(TEL[:100])
def test_any_octets_raise_nothing_else(octets):
    for raw in (octets, TEL[:19] + octets, TEL[:28] + octets, b"\x01\x1a\x05" + octets):
        try:
            parsed = IMessage.parse(raw)
        except MikeySakkeError:
            continue
        assert parsed.encode() == raw


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(TEL) - 1), strategies.octet), max_size=6))
def test_changed_octets_raise_nothing_else(changes):
    raw = bytearray(TEL)
    for offset, value in changes:
        raw[offset] = value
    try:
        parsed = IMessage.parse(bytes(raw))
    except MikeySakkeError:
        return
    assert parsed.encode() == bytes(raw)


@given(st.lists(st.tuples(strategies.octet, strategies.short), min_size=1, max_size=40))
def test_random_chains_raise_nothing_else(chain):
    raw = HEADER.encode(chain[0][0])
    following = [kind for kind, _ in chain[1:]] + [0]
    for (_, body), next_payload in zip(chain, following, strict=True):
        raw += bytes((next_payload,)) + body
    with pytest.raises(MikeySakkeError):
        IMessage.parse(raw)


def test_every_truncation_is_malformed():
    for length in range(len(TEL)):
        with pytest.raises(MalformedError):
            IMessage.parse(TEL[:length])


def test_octets_after_sign_are_malformed():
    with pytest.raises(MalformedError):
        IMessage.parse(TEL + b"\0")


def test_length_is_bounded():
    filler = GeneralExtension(0, bytes(3500))
    assert IMessage.parse(message(filler).encode())
    with pytest.raises(MalformedError):
        IMessage.parse(message(filler, filler).encode())
    with pytest.raises(MalformedError):
        IMessage.parse(bytes(MAX_LENGTH + 1))


def test_number_of_payloads_is_bounded():
    extension = GeneralExtension(0, b"")
    full = message(*[extension] * 27)
    assert IMessage.parse(full.encode()) == full
    with pytest.raises(MalformedError):
        message(*[extension] * 28)
    raw = full.encode()
    start = len(raw) - len(full.sign.encode()) - 4
    one_more = raw[:start] + b"\x15" + raw[start + 1 : start + 4] + b"\x04\0\0\0" + raw[start + 4 :]
    with pytest.raises(MalformedError):
        IMessage.parse(one_more)


@pytest.mark.parametrize("missing", range(3))
def test_required_payloads_must_be_there(missing):
    rest = [payload for index, payload in enumerate(REQUIRED) if index != missing]
    with pytest.raises(MalformedError):
        IMessage(HEADER, tuple(rest), Sign(b""))


@pytest.mark.parametrize(
    "extra",
    [
        REQUIRED[:1],
        REQUIRED[1:2],
        REQUIRED[2:],
        (Idr(IdRole.INITIATOR, b"a"), Idr(IdRole.INITIATOR, b"b")),
        (SecurityPolicy(3, ()), SecurityPolicy(3, ())),
    ],
    ids=["T", "RAND", "SAKKE", "IDRi", "SP"],
)
def test_duplicates_are_malformed(extra):
    with pytest.raises(MalformedError):
        message(*extra)


def test_duplicates_on_the_wire_are_malformed():
    """The T payload of the vector put in once more, which no dataclass would build."""
    start, end = 28, 38
    assert TEL[start] == 11
    doubled = TEL[:start] + b"\x05" + TEL[start + 1 : end] + TEL[start:]
    with pytest.raises(MalformedError):
        IMessage.parse(doubled)


def test_message_without_sign_is_malformed():
    raw = HEADER.encode(5) + b"\0" + Timestamp(1).encode()
    with pytest.raises(MalformedError):
        IMessage.parse(raw)


@pytest.mark.parametrize("kind", [1, 2, 3, 6, 7, 8, 9, 12, 13, 15, 16, 17, 20, 22, 99, 255])
def test_payloads_that_have_no_place_are_unsupported(kind):
    with pytest.raises(UnsupportedError) as caught:
        IMessage.parse(HEADER.encode(kind) + bytes(40))
    assert caught.value.error_number is ErrorNumber.UNSUPPORTED_MESSAGE


@pytest.mark.parametrize(("offset", "value"), [(0, 2), (1, 0), (1, 27), (9, 3)])
def test_unknown_versions_data_types_and_maps_are_unsupported(offset, value):
    raw = bytearray(TEL)
    raw[offset] = value
    with pytest.raises(UnsupportedError):
        IMessage.parse(bytes(raw))


def test_counter_timestamps_are_unsupported():
    raw = bytearray(TEL)
    raw[29] = 2
    with pytest.raises(UnsupportedError):
        IMessage.parse(bytes(raw))


def test_a_generic_map_naming_a_cs_id_twice_is_malformed():
    session = b"\x01\0\0\0\0\0"
    with pytest.raises(MalformedError):
        IMessage.parse(b"\x01\x1a\x05\x01" + bytes(4) + b"\x02\x02" + session + session)


def test_payloads_are_followed_in_any_order():
    shuffled = list(IMessage.parse(TEL).payloads)
    random.Random(7).shuffle(shuffled)
    other = IMessage(HEADER, tuple(shuffled), Sign(bytes(129)))
    assert IMessage.parse(other.encode()) == other


@pytest.mark.parametrize(
    "make",
    [
        lambda: Timestamp(1 << 64),
        lambda: Rand(bytes(256)),
        lambda: Idr(IdRole.INITIATOR, bytes(65536)),
        lambda: SecurityPolicy(256, ()),
        lambda: SecurityPolicy(0, ((0, bytes(256)),)),
        lambda: SecurityPolicy(0, ((0, bytes(255)),) * 256),
        lambda: Sakke(b"", params=-1),
        lambda: GeneralExtension(256, b""),
        lambda: Sign(bytes(4096)),
        lambda: SrtpCs(0, 1 << 32),
        lambda: Header(128, 0),
        lambda: Header(0, 0, SrtpIdMap((SrtpCs(0, 0),) * 256)),
    ],
)
def test_values_that_do_not_fit_are_refused_when_made(make):
    with pytest.raises(ParameterError):
        make()
