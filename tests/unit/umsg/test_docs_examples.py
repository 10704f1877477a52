# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything in docs/umsg.md that a machine can check is checked against the code."""

import dataclasses
import hashlib
import re
from pathlib import Path

import pytest

from umsg import binding, cbor
from umsg.call_table import CallRole
from umsg.errors import ErrorCode
from umsg.fields import Record
from umsg.framing import FrameDecoder, encode_frame
from umsg.messages import TYPES, Bang, Leg, Message, Talk, Text, parse
from umsg.reasons import Reason
from umsg.sealing import TextSealer
from unit.umsg.doc_tables import table_of

PAGE = (Path(__file__).parents[3] / "docs" / "umsg.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```hex (\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SCHEMA = "".join(re.findall(r"^```cddl\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def derived(name: str) -> bytes:
    (block,) = re.findall(rf"^```hex-of {name}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return bytes.fromhex(block)


def example(type_: str) -> Message:
    return parse(payload_of(type_))


def payload_of(type_: str) -> bytes:
    block = next(block for name, block in BLOCKS if name == type_)
    (payload,) = FrameDecoder().feed(bytes.fromhex(block))
    return payload


def test_every_type_has_an_example():
    assert {name for name, _ in BLOCKS} == set(TYPES)


@pytest.mark.parametrize(("name", "block"), BLOCKS, ids=[name for name, _ in BLOCKS])
def test_an_example_parses_and_encodes_to_the_same_octets(name, block):
    frame = bytes.fromhex(block)
    (payload,) = FrameDecoder().feed(frame)
    message = parse(payload)
    assert name == message.TYPE
    assert encode_frame(message.encode()) == frame


def test_the_example_that_is_taken_apart_is_the_hello():
    (block,) = re.findall(r"^```hex-parts hello\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    octets = "".join(line.partition("|")[0] for line in block.splitlines())
    assert bytes.fromhex(octets) == encode_frame(payload_of("hello"))


def test_digests():
    bang, talk = example("bang"), example("talk")
    assert isinstance(bang, Bang)
    assert isinstance(talk, Talk)
    clear = {"id": bang.id, "from": bang.from_uri, "to": bang.to_uri}
    octets = cbor.encode({**clear, "offer": list(bang.offer), "dtmf": bang.dtmf})
    assert derived("call-digest-input") == octets
    assert derived("call-digest") == binding.call_digest(
        id=bang.id, from_uri=bang.from_uri, to_uri=bang.to_uri, offer=bang.offer, dtmf=bang.dtmf
    )
    assert derived("answer-mac") == binding.answer_mac(
        b"K" * 32,
        t="talk",
        id=talk.id,
        codec=talk.codec,
        dtmf=talk.dtmf,
        message_digest=hashlib.sha256(bang.mikey).digest(),
    )
    assert derived("auth-text") == binding.auth_text(
        hello_frame=payload_of("hello"),
        challenge_frame=payload_of("challenge"),
        server_certificate=b"certificate",
        period="2026-11-1",
    )


def test_the_text_that_is_sealed():
    text = example("text")
    assert isinstance(text, Text)
    clear = {"mid": text.mid, "from": text.from_uri, "to": text.to_uri}
    assert derived("text-digest-input") == cbor.encode(clear)
    named = {"mid": text.mid, "from_uri": text.from_uri, "to_uri": text.to_uri}
    assert derived("text-digest") == binding.text_digest(**named)
    data = binding.text_associated_data(**named)
    assert derived("text-associated-data") == data
    sealer = TextSealer(b"K" * 16, data)
    sealed = sealer.update(derived("text-content")) + sealer.finish()
    assert derived("text-sealed") == sealed
    assert derived("receipt-text") == binding.receipt_text(
        mid=text.mid, status="delivered", content_digest=hashlib.sha256(sealed).digest()
    )


def members(cls: type[Record]) -> dict[str, bool]:
    """Return the keys of a record and whether each may be absent."""
    return {
        field.metadata["key"] or field.name: field.metadata["optional"]
        for field in dataclasses.fields(cls)
    }


@pytest.mark.parametrize("cls", [*TYPES.values(), Leg], ids=[*TYPES, "leg"])
def test_the_schema_has_the_fields_of_the_code(cls):
    (body,) = re.findall(rf"^{cls.TYPE} +=\s+\{{(.*?)\}}(?: *;.*)?$", SCHEMA, re.M | re.DOTALL)
    body = re.sub(r'"[^"]*"', "", body)
    found = {name: bool(mark) for mark, name in re.findall(r"(\? )?\b([a-z]+):", body)}
    assert found.pop("t", None) is (None if cls is Leg else False)
    assert found == members(cls)


@pytest.mark.parametrize(("name", "enum"), [("reason", Reason), ("code", ErrorCode)])
def test_the_schema_has_the_values_of_the_code(name, enum):
    (body,) = re.findall(rf"^{name} +=(.*?)(?=^\w|\n\n)", SCHEMA, re.MULTILINE | re.DOTALL)
    assert re.findall(r'"([^"]+)"', body) == list(enum)


@pytest.mark.parametrize("role", CallRole)
def test_the_tables_of_the_call_are_those_of_the_code(role):
    assert table_of(role) in PAGE
