# SPDX-License-Identifier: GPL-3.0-or-later
"""MESSAGE without the SIP stack: how it is read, and that each gets one answer or one result."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_server.sif.commands import AnswerMessage, Headers, SendMessage
from cig_server.sif.events import IncomingMessage, MessageEvent, MessageResult
from cig_server.sif.headers import MalformedSipError
from cig_server.sif.incoming_message import read_message
from cig_server.sif.messages import ANSWER_SECONDS, Messages
from cig_server.sif.trunk import StackError

HEADERS = {
    "Via": "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1",
    "From": '"PBX" <sip:101@pbx.com>;tag=a7',
    "To": "<sip:9101@secure.com>",
    "Call-ID": "c1@pbx",
    "CSeq": "12 MESSAGE",
    "Content-Type": 'Text/Plain; format=flowed; Charset="UTF-8"',
    "Content-Length": "5",
}


def request(body: str = "hello", **headers: str | None) -> str:
    values = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = ["MESSAGE sip:9101@secure.com SIP/2.0"]
    lines += [f"{name}: {value}" for name, value in values.items() if value is not None]
    return "\r\n".join([*lines, "", body])


def read(text: str) -> IncomingMessage:
    return read_message("msg-1", text, "192.0.2.1:5060")


def test_a_message_is_read() -> None:
    assert read(request()) == IncomingMessage(
        name="msg-1",
        request_uri="sip:9101@secure.com",
        from_uri="sip:101@pbx.com",
        call_id="c1@pbx",
        cseq=12,
        from_tag="a7",
        content_type="text/plain",
        charset="utf-8",
        encoding="",
        body=b"hello",
        source="192.0.2.1:5060",
    )


@pytest.mark.parametrize(
    ("headers", "field", "value"),
    [
        ({"Content_Type": None}, "content_type", ""),
        ({"Content_Type": None, "c": "text/html"}, "content_type", "text/html"),
        ({"Content_Type": "text"}, "content_type", "?"),
        ({"Content_Type": "text/plain"}, "charset", ""),
        ({"Content_Type": "text/plain;charset=ISO-8859-1"}, "charset", "iso-8859-1"),
        ({"Content_Encoding": "GZIP"}, "encoding", "gzip"),
        ({"e": "gzip"}, "encoding", "gzip"),
        ({"From": "sip:101@pbx.com"}, "from_tag", ""),
        ({"From": '";tag=no" <sip:101@pbx.com;tag=no> ; Tag = yes'}, "from_tag", "yes"),
        ({"Content_Length": "2"}, "body", b"he"),
        ({"Content_Length": None}, "body", b"hello"),
        ({"Content_Length": "0"}, "body", b""),
    ],
)
def test_its_fields(headers: dict[str, str | None], field: str, value: object) -> None:
    assert getattr(read(request(**headers)), field) == value


def test_the_body_keeps_its_octets() -> None:
    octets = b"\r\n a\rb\nc\r\n\r\nd" + bytes(range(256))
    text = request(octets.decode("utf-8", "surrogateescape"), Content_Length=str(len(octets)))
    assert read(text).body == octets


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Length": "6"},
        {"Content_Length": "x"},
        {"Content_Length": "-1"},
        {"CSeq": "12 INVITE"},
        {"CSeq": None},
        {"Call_ID": None},
        {"From": None},
        {"From": "<nothing>"},
    ],
)
def test_what_cannot_be_read(headers: dict[str, str | None]) -> None:
    with pytest.raises(MalformedSipError):
        read(request(**headers))


@given(st.text(max_size=300), st.sampled_from([*HEADERS, "Content-Encoding"]), st.text())
def test_nothing_else_is_raised(value: str, name: str, body: str) -> None:
    for text in (value, request(body, **{name.replace("-", "_"): value})):
        try:
            message = read(text)
        except MalformedSipError:
            continue
        assert isinstance(message.body, bytes) and 0 <= message.cseq < 10**10


class Stack:
    """Stands for the SIP stack: notes what it is told to do."""

    def __init__(self) -> None:
        self.sent: dict[int, SendMessage] = {}
        self.answers: list[tuple[int, int, Headers]] = []
        self.broken = False

    def send(self, token: int, command: SendMessage) -> None:
        if self.broken:
            raise StackError("no buffer space")
        self.sent[token] = command

    def answer(self, token: int, status: int, headers: Headers) -> None:
        if self.broken:
            raise StackError("gone")
        self.answers.append((token, status, headers))


class Desk:
    def __init__(self) -> None:
        self.now = 100.0
        self.stack = Stack()
        self.events: list[MessageEvent] = []
        self.messages = Messages(self.events.append, self.stack, lambda: self.now)

    def results(self) -> list[tuple[str, int, bool]]:
        results = [event for event in self.events if isinstance(event, MessageResult)]
        return [(event.name, event.status, event.heard) for event in results]


SEND = SendMessage("t1", "<sip:1@h>", "<sip:2@h>", "sesame", ())
RETRY = (("Retry-After", "5"),)


def test_an_answer_goes_to_its_request_once() -> None:
    desk = Desk()
    desk.messages.incoming(7, request(), "x")
    desk.messages.incoming(8, request(), "x")
    names = [event.name for event in desk.events]
    assert len(set(names)) == 2 and desk.messages.busy
    desk.messages.carry_out(AnswerMessage(names[1], 202, ()))
    desk.messages.carry_out(AnswerMessage(names[1], 500, ()))
    desk.messages.carry_out(AnswerMessage("msg-99", 500, ()))
    assert desk.stack.answers == [(8, 202, ())]
    assert desk.messages.counters["message-answers-too-late"] == 2


def test_what_cannot_be_read_is_refused_at_the_end_of_the_turn() -> None:
    desk = Desk()
    desk.messages.incoming(7, request(CSeq="x"), "x")
    desk.messages.broken(8)
    assert not desk.events and not desk.stack.answers
    desk.messages.turn(desk.now)
    assert desk.stack.answers == [(7, 400, ()), (8, 500, ())]


def test_what_nobody_answers_gets_503() -> None:
    desk = Desk()
    desk.messages.incoming(7, request(), "x")
    desk.now += 10
    desk.messages.incoming(8, request(), "x")
    desk.messages.turn(99 + ANSWER_SECONDS)
    assert not desk.stack.answers
    desk.messages.turn(100 + ANSWER_SECONDS)
    assert desk.stack.answers == [(7, 503, RETRY)]
    desk.messages.carry_out(AnswerMessage("msg-1", 202, ()))
    assert len(desk.stack.answers) == 1


def test_each_that_is_sent_has_one_result() -> None:
    desk = Desk()
    desk.messages.carry_out(SEND)
    (token,) = desk.stack.sent
    for _ in range(2):
        desk.messages.sent(token, 200, "OK", heard=True)
    desk.messages.sent(token + 1, 200, "OK", heard=True)
    assert desk.results() == [("t1", 200, True)] and not desk.messages.busy


def test_what_the_stack_does_not_do_is_no_fault_of_the_loop() -> None:
    desk = Desk()
    desk.messages.incoming(7, request(), "x")
    desk.stack.broken = True
    desk.messages.carry_out(SEND)
    assert desk.results() == [("t1", 503, False)]
    desk.messages.carry_out(AnswerMessage("msg-1", 202, ()))
    assert desk.messages.counters["message-answers-lost"] == 1


def test_the_end_answers_and_reports_all() -> None:
    desk = Desk()
    desk.messages.incoming(7, request(), "x")
    desk.messages.carry_out(SEND)
    desk.messages.stop()
    desk.messages.incoming(8, request(), "x")
    desk.messages.turn(desk.now)
    assert desk.stack.answers == [(7, 503, RETRY), (8, 503, RETRY)]
    assert desk.results() == [("t1", 503, False)] and not desk.messages.busy


def test_no_repr_holds_a_text() -> None:
    assert "sesame" not in repr(SEND)
    assert "hello" not in repr(read(request()))
