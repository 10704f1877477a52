# SPDX-License-Identifier: GPL-3.0-or-later
"""The control socket's messages: round trip, and refusal of whatever is not one."""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import StrEnum
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.control.codec import ControlDecoder, Envelope
from cig_common.control.failures import exception_for
from cig_common.control.keys import KEYS, InspectKeysRequest
from cig_common.control.media import Direction, LegStatistics, SipMedia, TelLeg
from cig_common.control.messages import (
    EVENTS,
    REPLIES,
    REQUESTS,
    Done,
    ErrorCode,
    ErrorReply,
    HelloRequest,
    SipMediaRequest,
    TelLegRequest,
)
from cig_common.control.record import Record
from cig_common.errors import CigError, ControlError, CryptoError, OverloadError
from umsg.framing import encode_frame

ALL = (*REQUESTS, *REPLIES, *EVENTS)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    bytes: st.binary(max_size=40),
    int: st.integers(-(2**31), 2**63 - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
}


def _values(hint: Any) -> st.SearchStrategy[Any]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return st.one_of(*(st.none() if a is types.NoneType else _values(a) for a in args))
    if origin is tuple:
        return st.lists(_values(args[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(_values(args[0]), _values(args[1]), max_size=3)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(list(hint))
    if isinstance(hint, type) and issubclass(hint, Record):
        return _records(hint)
    return PLAIN[hint]


def _records(cls: type[Record]) -> st.SearchStrategy[Record]:
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{name: _values(hint) for name, hint in hints.items()})


@given(st.data())
@pytest.mark.parametrize("cls", ALL)
def test_round_trip(cls: type[Record], data: st.DataObject) -> None:
    envelope = Envelope(data.draw(st.integers(0, 2**40)), data.draw(_records(cls)))
    assert ControlDecoder().feed(envelope.encode()) == [envelope]


@given(st.data())
@pytest.mark.parametrize("cls", KEYS.values())
def test_round_trip_on_the_keys_socket(cls: type[Record], data: st.DataObject) -> None:
    envelope = Envelope(data.draw(st.integers(0, 2**40)), data.draw(_records(cls)))
    assert ControlDecoder(KEYS).feed(envelope.encode()) == [envelope]


def test_a_passphrase_crosses_the_keys_socket_alone_and_is_not_shown() -> None:
    request = InspectKeysRequest(b"sealed", b"correct horse")
    assert "horse" not in repr(Envelope(1, request))
    with pytest.raises(ControlError, match="unknown type"):
        ControlDecoder().feed(Envelope(1, request).encode())


@given(st.lists(st.integers(1, 30), min_size=1, max_size=30))
def test_the_stream_may_come_in_any_pieces(cuts: list[int]) -> None:
    sent = [Envelope(n, Done()) for n in range(3)]
    stream = b"".join(envelope.encode() for envelope in sent)
    decoder, got = ControlDecoder(), []
    for size in cuts:
        got += decoder.feed(stream[:size])
        stream = stream[size:]
    assert got + decoder.feed(stream) == sent


@given(st.binary(max_size=200))
def test_any_payload_is_an_envelope_or_a_control_error(payload: bytes) -> None:
    try:
        Envelope.parse(payload)
    except ControlError as error:
        assert error.log_code == "control"


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"n": 1, "t": "Done"},
        {"n": 1, "t": "Done", "b": {}, "x": 1},
        {"n": -1, "t": "Done", "b": {}},
        {"n": True, "t": "Done", "b": {}},
        {"n": 1.0, "t": "Done", "b": {}},
        {"n": 1, "t": 7, "b": {}},
        {"n": 1, "t": "Record", "b": {}},
        {"n": 1, "t": "Done", "b": []},
        {"n": 1, "t": "Done", "b": {"surplus": 1}},
        {"n": 1, "t": "HelloRequest", "b": {"version": 1, "agent": "x"}},
        {"n": 1, "t": "HelloRequest", "b": {"version": "1", "agent": "x", "pid": 1}},
        {"n": 1, "t": "HelloRequest", "b": {"version": True, "agent": "x", "pid": 1}},
        {"n": 1, "t": "MacReply", "b": {"mac": "text"}},
        {"n": 1, "t": "IdentityEvent", "b": {"identity": {}}},
        {"n": 1, "t": "ErrorReply", "b": {"code": "odd", "detail": "", "text": ""}},
    ],
)
def test_what_is_no_envelope_is_refused(value: object) -> None:
    with pytest.raises(ControlError):
        Envelope.parse(cbor2.dumps(value))


def test_a_stream_out_of_step_is_refused() -> None:
    with pytest.raises(ControlError):
        ControlDecoder().feed(b"\x00\x00\x00\x00")
    with pytest.raises(ControlError):
        ControlDecoder().feed(encode_frame(b"\xff"))


def test_an_integer_may_stand_for_a_float_and_null_for_what_is_optional() -> None:
    hint = typing.get_type_hints(LegStatistics)
    assert hint["jitter_ms"] is float
    fields = {f.name: 0 for f in dataclasses.fields(LegStatistics)}
    values: dict[str, Any] = {**fields, "side": "tel", "codec": "", "remote": ""}
    values["round_trip_ms"] = None
    read = LegStatistics.from_map(values)
    assert (read.jitter_ms, read.round_trip_ms) == (0.0, None)
    assert isinstance(read.jitter_ms, float)


def test_enums_travel_by_value() -> None:
    media = SipMedia("192.0.2.1", 4000, 4001, "PCMA/8000", 101, 96, Direction.SENDONLY)
    assert media.to_map()["direction"] == "sendonly"
    request = SipMediaRequest("c", media)
    assert SipMediaRequest.from_map(request.to_map()) == request


def test_a_leg_does_not_show_its_password() -> None:
    request = TelLegRequest("c", TelLeg("192.0.2.1", 146, "ufrag", "secret-password"))
    assert "secret-password" not in repr(request)


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_error_code_has_an_exception(code: ErrorCode) -> None:
    error = exception_for(ErrorReply(code, "detail-word", "what happened"))
    assert isinstance(error, CigError)
    assert str(error) == "detail-word: what happened"


def test_codes_turn_into_what_carries_their_consequence() -> None:
    assert type(exception_for(ErrorReply(ErrorCode.CRYPTO, "replayed", ""))) is CryptoError
    assert type(exception_for(ErrorReply(ErrorCode.OVERLOAD, "busy", ""))) is OverloadError


def test_hello_carries_a_version() -> None:
    assert HelloRequest(1, "cig-server/2.7.0", 7, "192.168.1.1").to_map() == {
        "version": 1,
        "agent": "cig-server/2.7.0",
        "pid": 7,
        "sip_bind": "192.168.1.1",
    }
