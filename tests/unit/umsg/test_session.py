# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umsg import cbor, messages
from umsg.connection import SILENT_SPANS
from umsg.errors import ErrorCode, LocalError
from umsg.events import (
    BadMessage,
    ErrorReceived,
    MessageReceived,
    Resumed,
    ResumeReceived,
    SessionEnded,
    SignatureWanted,
    Welcomed,
)
from umsg.framing import MAX_FRAME, encode_frame
from umsg.messages import (
    Alive,
    Bang,
    ErrorMessage,
    Growl,
    Hangup,
    Leg,
    Ping,
    Pong,
    Stored,
    Talk,
    Text,
    parse,
)
from umsg.reasons import Reason
from umsg.session import ClientSession, ServerSession, SessionState
from unit.umsg.link import SIG, UTC, Link, counting_random, events_of
from unit.umsg.samples import STRATEGIES

ID = "SxU+cQAE66+12m5j"
LEG = Leg(addr="127.0.0.1", port=146, ufrag="abcd", pwd="p" * 24)
CLIENT_STATES = (
    SessionState.CHALLENGE,
    SessionState.SIGNATURE,
    SessionState.WELCOME,
    SessionState.OPEN,
)
SERVER_STATES = (
    SessionState.HELLO,
    SessionState.AUTH,
    SessionState.VERDICT,
    SessionState.OPEN,
)


def sent_by(session: ClientSession | ServerSession) -> list[messages.Message]:
    data, found = session.data_to_send(), []
    while data:
        length = int.from_bytes(data[:4], "big")
        found.append(parse(data[4 : 4 + length]))
        data = data[4 + length :]
    return found


def session_in(state: SessionState) -> ClientSession | ServerSession:
    """Return a session brought to a state the way a peer would bring it there."""
    link = Link()
    if state is SessionState.HELLO:
        return link.server
    if state is SessionState.CHALLENGE:
        link.client.data_to_send()
        return link.client
    if state in (SessionState.SIGNATURE, SessionState.AUTH):
        link.exchange()
    elif state in (SessionState.WELCOME, SessionState.VERDICT):
        link.exchange()
        link.client.authenticate("2026-11-1", SIG, link.now)
        link.exchange()
    else:
        link.open()
    return link.client if state in CLIENT_STATES[:3] else link.server


def open_session(cls: type) -> ClientSession | ServerSession:
    link = Link().open()
    return link.client if cls is ClientSession else link.server


def test_getting_in():
    link = Link().open(pending=3)
    assert link.take(Welcomed) == [Welcomed(time=UTC, keepalive=30, pending=3)]
    assert link.server.uri == "tel:+46701234567"
    assert link.client.state is link.server.state is SessionState.OPEN
    assert link.client_events == link.server_events == []


@given(st.integers(1, 60))
def test_getting_in_octet_by_octet(step):
    link = Link()
    hello = link.client.data_to_send()
    for start in range(0, len(hello), step):
        link.server.receive_data(hello[start : start + step], link.now)
    challenge = link.server.data_to_send()
    for start in range(0, len(challenge), step):
        link.client.receive_data(challenge[start : start + step], link.now)
    assert isinstance(link.client.next_event(), SignatureWanted)


def test_two_connections_never_sign_the_same_text():
    first, second = Link(), Link()
    second.client = ClientSession(
        uri=first.client.uri,
        agent="test",
        certificate_digest=bytes(32),
        now=0.0,
        random_bytes=counting_random(),
    )
    first.exchange()
    second.exchange()
    (one,), (two,) = first.take(SignatureWanted), second.take(SignatureWanted)
    assert one.text("2026-11-1") != two.text("2026-11-1")
    assert one.text("2026-11-1") != one.text("2026-11-2")


def test_a_refused_signature_ends_both_sides_with_auth():
    link = Link()
    link.exchange()
    link.client.authenticate("2026-11-1", SIG, link.now)
    link.exchange()
    link.server.refuse("wrong signature", link.now)
    link.exchange()
    assert link.client_events[-1] == SessionEnded(ErrorCode.AUTH, "wrong signature", by_peer=True)
    assert link.server_events[-1] == SessionEnded(ErrorCode.AUTH, "wrong signature", by_peer=False)
    link.server.accept(0, link.now)  # a verdict that comes too late does nothing
    assert link.server.data_to_send() == b""


@pytest.mark.parametrize("state", [*CLIENT_STATES[:3], *SERVER_STATES[:3]], ids=lambda s: s.name)
@pytest.mark.parametrize("cls", messages.TYPES.values(), ids=messages.TYPES)
@settings(max_examples=3)
@given(data=st.data())
def test_every_message_in_every_state_before_welcome(state, cls, data):
    session = session_in(state)
    message = data.draw(STRATEGIES[cls])
    listed = (state, cls) in type(session)._TABLE
    session.receive_data(encode_frame(message.encode()), 1000.0)
    if listed and cls is not ErrorMessage:
        assert not session.closed
    else:
        (ended,) = events_of(session)
        assert isinstance(ended, SessionEnded)
        told = [m.code for m in sent_by(session)]
        assert told == ([] if listed else [ErrorCode.PROTOCOL])


@pytest.mark.parametrize("end", [ClientSession, ServerSession])
@pytest.mark.parametrize("cls", messages.TYPES.values(), ids=messages.TYPES)
@settings(max_examples=10)
@given(data=st.data())
def test_every_message_after_welcome(end, cls, data):
    session = open_session(end)
    message = data.draw(STRATEGIES[cls])
    session.receive_data(encode_frame(message.encode()), 1000.0)
    events = events_of(session)
    if (SessionState.OPEN, cls) not in end._TABLE:
        (bad,) = events
        assert isinstance(bad, BadMessage)
        assert (bad.type, bad.id) == (cls.TYPE, getattr(message, "id", None))
    if cls is not ErrorMessage:
        assert not session.closed


@pytest.mark.parametrize("end", [ClientSession, ServerSession])
@settings(max_examples=60)
@given(data=st.binary(max_size=300))
def test_garbage_ends_a_session_at_most(end, data):
    session = open_session(end)
    session.receive_data(data, 1000.0)
    session.receive_data(encode_frame(data or b"x"), 1000.0)
    assert session.closed or session.next_deadline() is not None


@pytest.mark.parametrize("state", [*CLIENT_STATES, SessionState.HELLO], ids=lambda s: s.name)
@pytest.mark.parametrize("frame", [b"\0\0\0\0", encode_frame(b"\x80"), b"\xff\xff\xff\xff"])
def test_a_bad_frame_is_error_protocol_in_any_state(state, frame):
    session = session_in(state)
    session.receive_data(frame, 1000.0)
    assert [m.code for m in sent_by(session)] == [ErrorCode.PROTOCOL]
    assert session.closed
    session.receive_data(frame, 1000.0)
    assert sent_by(session) == []


def test_messages_before_a_bad_length_still_count():
    session = open_session(ServerSession)
    hangup = Hangup(id=ID, reason=Reason.NORMAL)
    session.receive_data(encode_frame(hangup.encode()) + bytes(4), 1000.0)
    first, second = events_of(session)
    assert first == MessageReceived(hangup)
    assert isinstance(second, SessionEnded)


def test_frames_are_limited_to_4096_octets_before_welcome_and_to_65536_after():
    padding = {"t": "hello", "pad": bytes(5000)}
    early = session_in(SessionState.HELLO)
    early.receive_data(encode_frame(cbor.encode(padding))[:4], 1000.0)
    assert [m.code for m in sent_by(early)] == [ErrorCode.PROTOCOL]
    late = open_session(ServerSession)
    hangup = {**Hangup(id=ID, reason=Reason.NORMAL).to_map(), "t": "hangup", "pad": bytes(60000)}
    late.receive_data(encode_frame(cbor.encode(hangup)), 1000.0)
    assert events_of(late) == [MessageReceived(Hangup(id=ID, reason=Reason.NORMAL))]
    late.receive_data((MAX_FRAME + 1).to_bytes(4, "big"), 1000.0)
    assert late.closed


def test_a_server_waits_10_seconds_for_a_client():
    link = Link()
    link.exchange()
    assert link.server.next_deadline() == link.now + 10
    link.server.handle_timer(link.now + 9.9)
    assert not link.server.closed
    link.server.handle_timer(link.now + 10)
    assert [m.code for m in sent_by(link.server)] == [ErrorCode.PROTOCOL]


def test_a_client_waits_30_seconds_for_a_server_and_goes_silently():
    link = Link()
    link.client.data_to_send()
    link.client.handle_timer(link.client.next_deadline())
    assert link.client.closed
    assert sent_by(link.client) == []


@pytest.mark.parametrize("end", [ClientSession, ServerSession])
def test_an_unknown_type_is_answered_and_the_session_goes_on(end):
    session = open_session(end)
    session.receive_data(encode_frame(cbor.encode({"t": "wave", "id": ID})), 1000.0)
    (answer,) = sent_by(session)
    assert (answer.code, answer.id) == (ErrorCode.UNSUPPORTED, ID)
    assert [type(e) for e in events_of(session)] == [BadMessage]
    assert not session.closed


def test_a_bad_message_says_which_call_it_was():
    session = open_session(ClientSession)
    session.receive_data(encode_frame(cbor.encode({"t": "talk", "id": ID})), 1000.0)
    (bad,) = events_of(session)
    assert (bad.type, bad.id) == ("talk", ID)
    assert sent_by(session) == []


def test_a_bang_without_leg_is_bad_for_a_client_only():
    bang = Bang(id=ID, from_uri="tel:+1", to_uri="tel:+2", mikey=b"m", offer=("PCMA/8000",))
    client, server = open_session(ClientSession), open_session(ServerSession)
    client.receive_data(encode_frame(bang.encode()), 1000.0)
    server.receive_data(encode_frame(bang.encode()), 1000.0)
    assert [type(e) for e in events_of(client)] == [BadMessage]
    assert events_of(server) == [MessageReceived(bang)]


def test_errors_that_name_a_call_or_are_mild_do_not_end_a_session():
    session = open_session(ClientSession)
    for error in (
        ErrorMessage(code=ErrorCode.FORBIDDEN, text="f"),
        ErrorMessage(code=ErrorCode.PROTOCOL, text="p", id=ID),
        ErrorMessage(code=ErrorCode.PROTOCOL, text="p", mid=ID),
    ):
        session.receive_data(encode_frame(error.encode()), 1000.0)
        expected = ErrorReceived(error.code, error.text, error.id, error.mid)
        assert events_of(session) == [expected]
    replaced = ErrorMessage(code=ErrorCode.REPLACED, text="elsewhere")
    session.receive_data(encode_frame(replaced.encode()), 1000.0)
    assert events_of(session) == [SessionEnded(ErrorCode.REPLACED, "elsewhere", by_peer=True)]


def test_texts_are_handed_through_both_ways():
    link = Link().open()
    link.take(Welcomed)
    part = Text(
        mid=ID, seq=0, of=1, data=bytes(32768), from_uri="tel:+1", to_uri="tel:+2", mikey=b"m"
    )
    link.client.send(part, link.now)
    link.server.send(Stored(mid=ID), link.now)
    link.exchange()
    assert link.server_events == [MessageReceived(part)]
    assert link.client_events == [MessageReceived(Stored(mid=ID))]


def test_silence_is_broken_by_pings_and_both_sides_live_for_an_hour():
    link = Link(keepalive=30).open()
    link.advance(3600)
    assert link.client.state is link.server.state is SessionState.OPEN


def test_a_ping_is_answered_with_its_number():
    session = open_session(ClientSession)
    session.receive_data(encode_frame(Ping(n=7).encode()), 1000.0)
    assert sent_by(session) == [Pong(n=7)]


@pytest.mark.parametrize("end", [ClientSession, ServerSession])
def test_a_peer_that_is_silent_for_two_spans_is_dead(end):
    session = open_session(end)
    session.data_to_send()
    session.handle_timer(session.next_deadline())
    assert [type(m) for m in sent_by(session)] == [Ping]
    assert not session.closed
    session.handle_timer(1000.0 + SILENT_SPANS * 30)
    assert session.closed
    assert session.next_deadline() is None


@pytest.mark.parametrize("count", [0, 1, 500, 501, 1200])
def test_resume_goes_in_parts_and_is_told_once(count):
    link = Link().open()
    link.take(Welcomed)
    ids = [f"{n:016d}" for n in range(count)]
    link.client.resume(ids, link.now)
    link.exchange()
    parts = link.take(ResumeReceived)
    assert [i for part in parts for i in part.ids] == ids
    assert len(parts) == max(1, -(-count // 500))
    for part in parts:
        assert link.client_events == []
        link.server.send(Alive(ids=part.ids[::2]), link.now)
        link.exchange()
    (resumed,) = link.take(Resumed)
    assert resumed.alive | resumed.lost == set(ids)
    assert len(resumed.lost) == sum(len(part.ids) // 2 for part in parts)


def test_alive_without_resume_is_a_bad_message():
    session = open_session(ClientSession)
    events_of(session)
    session.receive_data(encode_frame(Alive(ids=()).encode()), 1000.0)
    assert [type(e) for e in events_of(session)] == [BadMessage]


def test_an_alive_cannot_bring_in_calls_that_were_not_named():
    link = Link().open()
    link.take(Welcomed)
    link.client.resume([ID], link.now)
    link.server.send(Alive(ids=("x" * 16,)), link.now)
    link.exchange()
    assert link.take(Resumed) == [Resumed(alive=frozenset(), lost=frozenset({ID}))]


def test_a_lost_connection_is_told_once():
    session = open_session(ClientSession)
    session.send(Hangup(id=ID, reason=Reason.NORMAL), 1000.0)
    session.connection_lost()
    session.connection_lost()
    assert events_of(session) == [SessionEnded(None, "connection lost", by_peer=True)]
    assert session.data_to_send() == b""


def test_what_a_program_may_not_do_raises_local_errors():
    link = Link()
    talk = Talk(id=ID, codec="PCMA/8000", mac=bytes(32))
    with pytest.raises(LocalError):
        link.client.send(talk, link.now)
    with pytest.raises(LocalError):
        link.client.authenticate("2026-11-1", SIG, link.now)
    with pytest.raises(LocalError):
        link.server.accept(0, link.now)
    link.open()
    with pytest.raises(LocalError):
        link.client.send(messages.Try(id=ID, leg=LEG), link.now)
    link.client.send(Growl(id=ID), link.now)
